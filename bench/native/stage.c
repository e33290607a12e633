/*
 * The eyes and hands of the benchmark inside a PID namespace: stage FIFO
 *
 * It reads orders on stdin, one a line, fields separated by the byte 31, and answers on stdout. All times are CLOCK_MONOTONIC in ns.
 *   run IN OUT PROGRAM ARGUMENT…   ->  ran PID TIME          the time right before fork(2)
 *   kill PID SIGNAL                ->  killed PID TIME       the time right before kill(2)
 * Told unasked:
 *   born NAME PID TIME             what a service wrote into the FIFO as its first action
 *   alone TIME                     nobody holds the FIFO any more: all services are gone
 *   exited PID TIME STATUS CPU     of every child, with its CPU and that of those it waited for (us);
 *                                  of orphans too where this is PID 1
 * It ends with its stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST (4 << 20)

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long micros(struct timeval t) { return t.tv_sec * 1000000LL + t.tv_usec; }

static void redirect(const char *path, int flags, int fd) {
  int opened = open(path, flags, 0644);
  if (opened < 0) _exit(126);
  dup2(opened, fd);
  if (opened > 2) close(opened);
}

static void obey(char *line, const sigset_t *children) {
  static char *words[LONGEST / 64];
  int count = 0;
  for (char *word = strtok(line, "\037"); word; word = strtok(NULL, "\037")) words[count++] = word;
  words[count] = NULL;
  if (count == 3 && strcmp(words[0], "kill") == 0) {
    pid_t pid = atoi(words[1]);
    long long at = now();
    kill(pid, atoi(words[2]));
    dprintf(1, "killed %d %lld\n", pid, at);
  } else if (count >= 4 && strcmp(words[0], "run") == 0) {
    long long at = now();
    pid_t pid = fork();
    if (pid == 0) {
      sigprocmask(SIG_UNBLOCK, children, NULL);
      setsid();
      redirect(words[1], O_RDONLY, 0);
      redirect(words[2], O_WRONLY | O_CREAT | O_APPEND, 1);
      dup2(1, 2);
      execvp(words[3], words + 3);
      _exit(127);
    }
    dprintf(1, "ran %d %lld\n", pid, at);
  }
}

static int listen_to(const char *fifo) { return open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC); }

int main(int argc, char **argv) {
  if (argc != 2) return 64;
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  enum { ORDERS, CHILDREN, BIRTHS };
  struct pollfd from[] = {
      [ORDERS] = {.fd = 0, .events = POLLIN},
      [CHILDREN] = {.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN},
      [BIRTHS] = {.fd = listen_to(argv[1]), .events = POLLIN},
  };
  static char order[LONGEST], birth[1 << 17];
  size_t ordered = 0, born = 0;
  dprintf(1, "ready %lld\n", now());
  for (;;) {
    if (poll(from, 3, -1) < 0 && errno != EINTR) return 71;
    long long at = now();
    if (from[CHILDREN].revents) {
      struct signalfd_siginfo told;
      while (read(from[CHILDREN].fd, &told, sizeof told) > 0) {}
      int status;
      struct rusage used;
      for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &used)) > 0;)
        dprintf(1, "exited %d %lld %d %lld\n", pid, at, status, micros(used.ru_utime) + micros(used.ru_stime));
    }
    if (from[BIRTHS].revents & POLLIN) {
      ssize_t got = read(from[BIRTHS].fd, birth + born, sizeof birth - born);
      if (got > 0) born += got;
      char *end = memrchr(birth, '\n', born);
      if (end) {
        size_t whole = end + 1 - birth;
        for (size_t wrote = 0; wrote < whole;) {
          ssize_t more = write(1, birth + wrote, whole - wrote);
          if (more > 0) wrote += more;
        }
        memmove(birth, end + 1, born - whole);
        born -= whole;
      }
    } else if (from[BIRTHS].revents & POLLHUP) {
      /* Opened anew, it waits for the next writer. */
      close(from[BIRTHS].fd);
      from[BIRTHS].fd = listen_to(argv[1]);
      dprintf(1, "alone %lld\n", at);
    }
    if (from[ORDERS].revents) {
      ssize_t got = read(0, order + ordered, sizeof order - ordered);
      if (got <= 0) return 0;
      ordered += got;
      char *start = order, *end;
      while ((end = memchr(start, '\n', order + ordered - start))) {
        *end = 0;
        obey(start, &children);
        start = end + 1;
      }
      ordered = order + ordered - start;
      memmove(order, start, ordered);
    }
  }
}
