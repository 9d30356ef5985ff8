/* delay MILLISECONDS TAP_A TAP_B: hand every frame of one tap to the other, that much later.
 *
 * The kernel of the lab has no netem. Frames keep their order; nothing is dropped until 65536 frames wait.
 * Runs inside the WAN's network namespace; both taps exist beforehand. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 65536, FRAME = 2048, BATCH = 64 };

struct frame { long long due; int size; char *bytes; };
struct queue { struct frame *slots; unsigned head, tail; };

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_tap(const char *name) {
  struct ifreq request;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) { perror(name); exit(1); }
  return fd;
}

static void take(struct queue *q, int fd, long long delay) {
  for (int k = 0; k < BATCH && q->tail - q->head < SLOTS; k++) {
    struct frame *f = &q->slots[q->tail % SLOTS];
    if (!f->bytes && !(f->bytes = malloc(FRAME))) exit(1);
    f->size = (int)read(fd, f->bytes, FRAME);
    if (f->size <= 0) return;
    f->due = now_ns() + delay;
    q->tail++;
  }
}

static void give(struct queue *q, int fd) {
  long long t = now_ns();
  for (; q->head != q->tail && q->slots[q->head % SLOTS].due <= t; q->head++) {
    struct frame *f = &q->slots[q->head % SLOTS];
    if (write(fd, f->bytes, (size_t)f->size) < 0) { /* the far tap is down: lost, as on a wire */ }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) { fprintf(stderr, "usage: delay MILLISECONDS TAP_A TAP_B\n"); return 2; }
  long long delay = (long long)(atof(argv[1]) * 1e6);
  int fd[2] = {open_tap(argv[2]), open_tap(argv[3])};
  struct queue q[2];
  for (int i = 0; i < 2; i++) {
    q[i].head = q[i].tail = 0;
    q[i].slots = calloc(SLOTS, sizeof(struct frame));
    if (!q[i].slots) return 1;
  }
  for (;;) {
    long long next = -1;
    for (int i = 0; i < 2; i++) {
      give(&q[i], fd[1 - i]);
      if (q[i].head != q[i].tail && (next < 0 || q[i].slots[q[i].head % SLOTS].due < next))
        next = q[i].slots[q[i].head % SLOTS].due;
    }
    struct pollfd wait[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}};
    struct timespec left = {0, 0};
    if (next >= 0) {
      long long ns = next - now_ns();
      if (ns < 1000) ns = 1000;
      left.tv_sec = ns / 1000000000LL;
      left.tv_nsec = ns % 1000000000LL;
    }
    ppoll(wait, 2, next < 0 ? NULL : &left, NULL);
    for (int i = 0; i < 2; i++)
      if (wait[i].revents & POLLIN) take(&q[i], fd[i], delay);
  }
}
