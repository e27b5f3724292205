/* The supervisor: binds the sockets, forks workers, runners and the streamer, and looks after them. It touches neither libpq nor requests. */
#ifndef WRIT_FCGI_SUPERVISE_H
#define WRIT_FCGI_SUPERVISE_H

struct setup;

/* Runs until SIGTERM, SIGINT or SIGQUIT. Takes the setup over. Gives the exit status.
 *   SIGTERM, SIGINT  drain: requests in work are answered, for drain_ms at most; a second SIGINT does not wait
 *   SIGQUIT          fast: workers are killed at once
 *   SIGHUP           reload: configuration and manifest are read again; new workers take them, old ones drain */
int supervise(const char *config_file, struct setup *setup);

#endif
