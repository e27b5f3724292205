/* Sends an answer in as few system calls as can be. */
#include "fcgi/reply_write.h"

#include "base/arena.h"
#include "base/str.h"
#include "handlers/answer.h"

#include <fcgiapp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

/* An answer that does not fit into the socket's buffer waits for its reader. nginx takes it at once (fastcgi_buffering
 * on) or hangs up by its own timeouts; a reader that does neither gets so many seconds for each piece of 8 kB. */
enum { BIG_BYTES = 64 * 1024, BIG_PIECE_S = 60 };

static void write_all(FCGX_Stream *out, const struct answer *answer, void *mem) {
  struct str *head = str_new(mem, 512);

  answer_write_head(answer, head);
  FCGX_PutStr(head->p, (int)head->len, out);
  FCGX_PutStr(answer->body->p, (int)answer->body->len, out); /* int: limits.result_bytes is far below */
}

static void set_term(int how) {
  sigset_t term;

  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(how, &term, NULL);
}

/* A signal must not break into a write with a timeout: the kernel does not restart it, and libfcgi gives the answer up.
 */
static void be_patient(FCGX_Request *fcgi) {
  struct timeval time = {.tv_sec = BIG_PIECE_S};

  setsockopt(fcgi->ipcFd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  set_term(SIG_BLOCK);
}

/* Order: stderr first, it is empty and then costs nothing; closing stdout writes answer, end of stream and end of
 * request together. Only now is it known whether they were taken: FCGX_PutStr succeeds without having written. */
static int send_streams(FCGX_Request *fcgi) {
  FCGX_FClose(fcgi->err);
  FCGX_FClose(fcgi->out);
  return FCGX_GetError(fcgi->out);
}

int reply_write(FCGX_Request *fcgi, const struct answer *answer, void *mem) {
  bool big = answer->body->len > BIG_BYTES;
  int error;

  if (big) be_patient(fcgi);
  write_all(fcgi->out, answer, mem);
  error = send_streams(fcgi);
  if (big) set_term(SIG_UNBLOCK);
  return error;
}

void reply_finish(FCGX_Request *fcgi, bool drained) {
  /* A kept connection would hold this worker until the web server sends something on it: never kept, whatever it asks
   * for. */
  fcgi->keepConnection = 0;
  /* libfcgi would shut the connection down, wait for the web server to close it, and read what may come (OS_Close), so
   * that the kernel does not drop an answer for data that was not read. When all of the request has been read there is
   * no such data: on a unix socket what was written stays with the reader after a close. A detached connection is
   * closed at once: three system calls and a wait for the web server less. */
  if (drained) FCGX_Detach(fcgi);
  FCGX_Finish_r(fcgi);
}
