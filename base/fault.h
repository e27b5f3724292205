/* Named places at which a test may kill this process (configure --enable-faults): FAULT("after-commit") dies by SIGKILL
 * when a file of that name is in the folder $WRIT_FAULTS. Compiled to nothing otherwise. */
#ifndef WRIT_BASE_FAULT_H
#define WRIT_BASE_FAULT_H

#ifdef WRIT_FAULTS
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fault_here(const char *name) {
  char path[PATH_MAX];
  const char *folder = getenv("WRIT_FAULTS");

  if (!folder) return;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  /* unlink, not access: of several processes that come by, one dies. */
  if (unlink(path) == 0) raise(SIGKILL);
}
#define FAULT(name) fault_here(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
