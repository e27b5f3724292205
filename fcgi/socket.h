/* The listening unix sockets. FCGX_OpenSocket is not used: it removes the path unasked, sets no mode and exits on
 * trouble. */
#ifndef WRIT_FCGI_SOCKET_H
#define WRIT_FCGI_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct listener;

/* An open listening socket and what identifies its file. */
struct bound_socket {
  const char *path;
  int fd; /* -1: not open */
  dev_t device;
  ino_t inode;
};

/* Binds and listens, non-blocking; a socket file that nobody listens on is replaced. False: *why tells. mem outlives the socket. */
bool socket_open(struct bound_socket *s, const struct listener *listener, const void *mem, const char **why)
    __attribute__((warn_unused_result));
/* Closes; removes the file if it is still the one that was bound. Called by the process that opened it only. */
void socket_close(struct bound_socket *s);

#endif
