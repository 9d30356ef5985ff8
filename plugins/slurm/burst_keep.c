/*
 * burst-keep PROGRAM [ARGUMENTS]
 *
 * The stand-in's first process: keeps PROGRAM (burst-agent, and what it turns into) alive until it
 * has said how it ends. A stand-in's end is the end of the user's job, so one that the kernel's
 * out-of-memory killer, an administrator or a fault of ours ended without a word begins again,
 * with the same memory and the same output files.
 *
 * PROGRAM finds in its environment: BURST_AGENT_END, a descriptor to write its ending to (two
 * bytes: exit code and signal), and BURST_AGENT_DIR, a private directory for what it remembers.
 * If TERM (scancel) came while no PROGRAM was alive, the next one has BURST_AGENT_TERM=1.
 *
 * If slurmstepd dies this dies too, and PROGRAM with it: a stand-in that Slurm does not know of
 * would speak for its job beside the one that Slurm starts in its place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SHORTEST_LIFE
#define SHORTEST_LIFE 10 /* seconds: after one that ended sooner there is a pause until then */
#endif

static volatile sig_atomic_t terminated;

static void on_term(int number) {
    (void)number;
    terminated = 1;
}

static pid_t start(char **argv, int end, const sigset_t *mask) {
    pid_t keeper = getpid(), pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) _exit(1); /* it died before we asked to follow it */
    char text[16];
    snprintf(text, sizeof text, "%d", end);
    setenv("BURST_AGENT_END", text, 1);
    if (terminated) setenv("BURST_AGENT_TERM", "1", 1);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execv(argv[0], argv);
    dprintf(2, "burstd: %s: %s; waiting\n", argv[0], strerror(errno));
    _exit(1);
}

/* What is left of the shortest life that began then; nothing if it was longer. */
static struct timespec left_of(const struct timespec *began) {
    struct timespec now, left;
    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_sec = began->tv_sec + SHORTEST_LIFE - now.tv_sec;
    left.tv_nsec = began->tv_nsec - now.tv_nsec;
    if (left.tv_nsec < 0) {
        left.tv_sec--;
        left.tv_nsec += 1000000000;
    }
    if (left.tv_sec < 0) left.tv_sec = left.tv_nsec = 0;
    return left;
}

/* Ends as PROGRAM has asked for. */
static void finish(const unsigned char ending[2]) {
    if (ending[1] != 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none); /* a core of ours tells the user nothing */
        signal(ending[1], SIG_DFL);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, ending[1]);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
        raise(ending[1]);
    }
    _exit(ending[0]);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: burst-keep PROGRAM [ARGUMENTS]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ours, &before);
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);

    const char *job = getenv("SLURM_JOB_ID"); /* its next stand-in, on this node, tidies up */
    char memory[64];
    snprintf(memory, sizeof memory, "/tmp/burst-agent-%.20s-XXXXXX",
             job != NULL && job[strspn(job, "0123456789")] == '\0' ? job : "");
    if (mkdtemp(memory) != NULL) setenv("BURST_AGENT_DIR", memory, 1); /* full: PROGRAM tries on */

    for (;;) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETFD, 0) != 0) return 1;
        struct timespec began;
        clock_gettime(CLOCK_MONOTONIC, &began);
        pid_t pid = start(argv + 1, ends[1], &before);
        close(ends[1]);
        int status = 0;
        while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
            int number = 0;
            sigwait(&ours, &number);
            if (number == SIGTERM) terminated = 1; /* Slurm sends it to PROGRAM as well */
        }
        unsigned char ending[2];
        fcntl(ends[0], F_SETFL, O_NONBLOCK); /* what it started may hold the other end */
        ssize_t size = read(ends[0], ending, sizeof ending);
        close(ends[0]);
        if (size == (ssize_t)sizeof ending) finish(ending);
        struct timespec pause = left_of(&began); /* none left: a TERM that waits is seen as well */
        if (terminated && pause.tv_sec >= 1) pause = (struct timespec){1, 0}; /* there is little time */
        sigset_t term = ours;
        sigdelset(&term, SIGCHLD);
        if (sigtimedwait(&term, NULL, &pause) == SIGTERM) terminated = 1;
    }
}
