/* What the streamer is told by the processes that change something that it may have followers of: a pipe of records of one
 * size, each written and read whole. Best effort: a record that finds the pipe full is dropped, as the streamer looks by
 * itself as well, a little later. */
#ifndef WRIT_BASE_TELL_H
#define WRIT_BASE_TELL_H

#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>

/* Both ends do not block. False with errno. */
bool tell_open(int fds[2]);
/* The state of this mutation has changed, and the transaction that did it has ended. NULL: events have got positions in the
 * log. fd -1, or what is no UUID: nothing is done. */
void tell_streamer(int fd, const char *mutation);
/* Up to most records that are waiting, 0: none. The log of events is all zeros. */
size_t tell_take(int fd, unsigned char (*records)[UUID_BYTES], size_t most);

#endif
