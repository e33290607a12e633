/*
 * The services of the benchmark, as small as can be: svc KIND FIFO NAME [MORE]
 *
 * Each tells its birth as its first action, by a line "born NAME PID TIME" into the FIFO (CLOCK_MONOTONIC, ns), and keeps the FIFO open
 * as long as it lives.
 *   run                 stays in the foreground
 *   daemon [PIDFILE]    puts itself into the background: its launcher leaves when it is up
 *   ready MS FILE       stays in the foreground, and makes the file after so many ms
 *   crash               exits with 1
 *   lines COUNT         after SIGUSR1 writes COUNT lines of 100 bytes, the last one marked
 *   orphans COUNT       leaves COUNT orphans, which end when their parents have; tells "made" as well then
 *   crowd COUNT         has COUNT children that sleep
 *   drain               reads stdin up to the marked line, and tells its NAME then (not before)
 *   stall               opens stdin and never reads it
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MARK "the-last-line"
#define LINE 100

static const char *fifo, *name;

static void tell_birth(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  int fd = open(fifo, O_WRONLY);
  dprintf(fd, "born %s %d %lld\n", name, getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
}

static void write_all(const char *from, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(1, from, size);
    if (wrote <= 0) _exit(74);
    from += wrote;
    size -= wrote;
  }
}

static void write_lines(long count) {
  static char block[640 * LINE];
  sigset_t go;
  sigemptyset(&go);
  sigaddset(&go, SIGUSR1);
  sigprocmask(SIG_BLOCK, &go, NULL);
  tell_birth();
  int signal;
  sigwait(&go, &signal);
  for (int i = 0; i < 640; i++) {
    memset(block + i * LINE, 'a' + i % 26, LINE - 1);
    block[i * LINE + LINE - 1] = '\n';
  }
  long left = count - 1;
  for (; left >= 640; left -= 640) write_all(block, sizeof block);
  write_all(block, left * LINE);
  memset(block, '.', LINE - 1);
  memcpy(block, MARK, sizeof MARK - 1);
  write_all(block, LINE);
}

static void drain(void) {
  static char block[1 << 16];
  const size_t overlap = sizeof MARK - 2;
  size_t kept = 0;
  for (;;) {
    ssize_t got = read(0, block + kept, sizeof block - kept);
    if (got <= 0) return;
    if (memmem(block, kept + got, MARK, sizeof MARK - 1)) break;
    size_t all = kept + got;
    kept = all < overlap ? all : overlap;
    memmove(block, block + all - kept, kept);
  }
  tell_birth();
}

static void become_daemon(const char *pid_file) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0) _exit(71);
  if (fork() != 0) {
    close(ready[1]);
    _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
  }
  setsid();
  if (fork() != 0) _exit(0);
  tell_birth();
  if (pid_file) {
    FILE *file = fopen(pid_file, "w");
    if (file) {
      fprintf(file, "%d\n", getpid());
      fclose(file);
    }
  }
  if (write(ready[1], "", 1) != 1) _exit(71);
  close(ready[0]);
  close(ready[1]);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
}

static void leave_orphans(long count) {
  /* Its own children are nobody's zombies: it is their orphans that count. */
  signal(SIGCHLD, SIG_IGN);
  tell_birth();
  for (long i = 0; i < count; i++) {
    if (fork() != 0) continue;
    pid_t parent = getpid();
    if (fork() == 0)
      while (getppid() == parent) usleep(1000);
    _exit(0);
  }
  name = "made";
  tell_birth();
}

int main(int argc, char **argv) {
  if (argc < 4) return 64;
  const char *kind = argv[1], *more = argc > 4 ? argv[4] : NULL;
  fifo = argv[2];
  name = argv[3];
  if (!strcmp(kind, "drain")) drain();
  else if (!strcmp(kind, "stall")) {}
  else if (!strcmp(kind, "lines")) write_lines(atol(more));
  else if (!strcmp(kind, "daemon")) become_daemon(more);
  else if (!strcmp(kind, "orphans")) leave_orphans(atol(more));
  else {
    tell_birth();
    if (!strcmp(kind, "crash")) return 1;
    if (!strcmp(kind, "ready") && argc > 5) {
      usleep(atol(more) * 1000);
      close(open(argv[5], O_WRONLY | O_CREAT, 0644));
    }
    if (!strcmp(kind, "crowd"))
      for (long i = atol(more); i > 0; i--)
        if (fork() == 0) break;
  }
  for (;;) pause();
}
