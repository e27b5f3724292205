/* What bounds the code of a module: a worker that does not come back would be lost for good, one that ends is replaced. */
#include "engine/module_inside.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* An atexit function has nothing else to work on. NULL: no module's code is running. */
static const char *running;

/* A module that calls exit() would end the worker as if all were well: without an answer, and without the pause that keeps a
 * worker which fails at once from being started again and again. */
static void on_exit_of_module(void) {
  if (!running) return;
  log_line(LOG_ERROR, "module", "command=%s reason=\"the module has called exit\"", running);
  _exit(EXIT_FAILURE);
}

void module_watch_init(void) {
  struct sigaction end = {.sa_handler = SIG_DFL};
  sigset_t alarm_only;

  atexit(on_exit_of_module);
  sigaction(SIGALRM, &end, NULL);
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
}

static void set_timer(int64_t ms) {
  struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

  setitimer(ITIMER_REAL, &timer, NULL);
}

void module_watch_enter(const char *command, int64_t kill_ms) {
  int64_t left = kill_ms - clock_ms();

  running = command;
  set_timer(left > 1 ? left : 1); /* 0 would be never */
}

void module_watch_leave(void) {
  set_timer(0);
  running = NULL;
}
