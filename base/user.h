/* The user that a process runs as. */
#ifndef WRIT_BASE_USER_H
#define WRIT_BASE_USER_H

#include <stdbool.h>
#include <sys/types.h>

/* Of root, makes the user of that name, for good: all or nothing, there is no way back. Who is not root stays who it is.
 * False: it cannot, or name is NULL; the process may be neither then, and had better end. */
bool user_become(const char *name, uid_t uid, gid_t gid) __attribute__((warn_unused_result));

#endif
