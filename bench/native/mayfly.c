/*
 * The service of the soak, which lives for some ms: mayfly KIND MS DEATH
 *
 *   KIND    run: stays in the foreground; daemon: puts itself into the background, by forking twice
 *   MS      how long it lives, at least; up to 7 ms are added
 *   DEATH   exit: exits with 1; or the number of the signal that it kills itself with
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void become_daemon(void) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0) _exit(71);
  if (fork() != 0) {
    close(ready[1]);
    _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
  }
  setsid();
  if (fork() != 0) _exit(0);
  if (write(ready[1], "", 1) != 1) _exit(71);
  close(ready[0]);
  close(ready[1]);
}

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  if (strcmp(argv[1], "daemon") == 0) become_daemon();
  /* By their pids they live unequally long, so that those which began together do not die together for ever. */
  long ms = atol(argv[2]) + getpid() % 8;
  struct timespec life = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&life, &life) != 0) {}
  if (strcmp(argv[3], "exit") == 0) return 1;
  kill(getpid(), atoi(argv[3]));
  pause();
}
