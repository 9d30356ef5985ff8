/* init: process 1 of a lab host. It keeps the namespaces alive and reaps orphans, nothing else. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void wake(int sig) { (void)sig; }

int main(void) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &all, NULL);
  signal(SIGCHLD, wake);
  for (;;) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
    sigset_t wait_for = all;
    sigdelset(&wait_for, SIGCHLD);
    sigsuspend(&wait_for);
  }
}
