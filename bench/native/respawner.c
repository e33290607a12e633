/* The floor: the least that keeps commands running. respawner COMMAND…, each split at its spaces. */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static pid_t *pids;
static int count;
static volatile sig_atomic_t ending;

static void end(int signal) {
  ending = 1;
  for (int i = 0; i < count; i++)
    if (pids[i] > 0) kill(pids[i], signal);
}

static void start(int i, const char *command) {
  char *copy = strdup(command), *words[64];
  int n = 0;
  for (char *word = strtok(copy, " "); word && n < 63; word = strtok(NULL, " ")) words[n++] = word;
  words[n] = NULL;
  if (posix_spawnp(&pids[i], words[0], NULL, NULL, words, environ) != 0) pids[i] = 0;
  free(copy);
}

int main(int argc, char **argv) {
  count = argc - 1;
  pids = calloc(count + 1, sizeof *pids);
  signal(SIGTERM, end);
  for (int i = 0; i < count; i++) start(i, argv[i + 1]);
  for (pid_t pid; (pid = wait(NULL)) > 0;)
    for (int i = 0; i < count; i++)
      if (pids[i] == pid) {
        pids[i] = 0;
        if (!ending) start(i, argv[i + 1]);
      }
  return 0;
}
