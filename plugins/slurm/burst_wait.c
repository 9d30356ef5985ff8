/*
 * burst-wait SOCKET JOB VERSION SECONDS -- PROGRAM [ARGUMENTS]
 *
 * What a stand-in is while it waits: a static program of some 100 kB instead of an interpreter.
 * Asks burstd to answer when the job's burst has moved past VERSION, or after SECONDS, and then
 * becomes PROGRAM. TERM (scancel) becomes PROGRAM at once, with BURST_AGENT_TERM=1. PROGRAM begins
 * with TERM blocked, as this program does when PROGRAM becomes it: one that falls into the change
 * is kept for whoever comes, instead of ending a stand-in that has things to bring home.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t terminated;

static void on_term(int number) {
    (void)number;
    terminated = 1;
}

static int ask(const char *path, const char *job, const char *version, const char *seconds) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char request[512];
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int size = snprintf(request, sizeof request,
                        "GET /v1/wait/%s?version=%s&seconds=%s HTTP/1.1\r\nHost: burstd\r\n"
                        "Connection: close\r\n\r\n", job, version, seconds);
    if (connect(sock, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(sock, request, (size_t)size, MSG_NOSIGNAL) != size) {
        close(sock);
        return -1;
    }
    return sock;
}

/* Nothing to wait on: sleep, so that a missing burstd is not asked in a busy loop. */
static void rest(const sigset_t *open_mask, time_t seconds) {
    struct timespec time = {.tv_sec = seconds};
    if (!terminated) ppoll(NULL, 0, &time, open_mask);
}

int main(int argc, char **argv) {
    if (argc < 7 || strcmp(argv[5], "--") != 0) {
        fprintf(stderr, "usage: burst-wait SOCKET JOB VERSION SECONDS -- PROGRAM [ARGUMENTS]\n");
        return 2;
    }
    sigset_t term, open_mask;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &open_mask); /* delivered in ppoll only: none is lost */
    sigdelset(&open_mask, SIGTERM);
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);

    long seconds = strtol(argv[4], NULL, 10);
    int sock = ask(argv[1], argv[2], argv[3], argv[4]);
    if (sock < 0) {
        rest(&open_mask, seconds < 10 ? seconds : 10);
    } else {
        char status[10] = ""; /* "HTTP/1.1 2" */
        struct pollfd one = {.fd = sock, .events = POLLIN};
        struct timespec limit = {.tv_sec = seconds + 30};
        if (ppoll(&one, 1, &limit, &open_mask) == 1 &&
            (recv(sock, status, sizeof status, MSG_DONTWAIT) < (ssize_t)sizeof status ||
             status[sizeof status - 1] != '2'))
            rest(&open_mask, 2); /* burstd went away without a word, or is in need itself */
    }
    if (terminated) setenv("BURST_AGENT_TERM", "1", 1);
    signal(SIGTERM, SIG_DFL); /* and blocked */
    execvp(argv[6], argv + 6);
    dprintf(2, "burstd: %s: %s\n", argv[6], strerror(errno));
    return 1;
}
