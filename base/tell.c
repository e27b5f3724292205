/* A pipe and not datagrams: a socket holds ten of those by default (net.unix.max_dgram_qlen), a pipe 4096 of these. */
#include "base/tell.h"

#include <fcntl.h>
#include <unistd.h>

bool tell_open(int fds[2]) { return pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0; }

/* Less than PIPE_BUF bytes: written whole or not at all (pipe(7)). */
void tell_streamer(int fd, const char *mutation) {
  unsigned char record[UUID_BYTES] = {0};

  if (fd < 0 || (mutation && !uuid_read(mutation, record))) return;
  if (write(fd, record, sizeof record) < 0) return; /* full, or nobody reads: see tell.h */
}

size_t tell_take(int fd, unsigned char (*records)[UUID_BYTES], size_t most) {
  ssize_t n = read(fd, records, most * UUID_BYTES);
  return n > 0 ? (size_t)n / UUID_BYTES : 0;
}
