/* An error as a value: filled once where it is known, carried up, rendered once (handlers/answer.c, cli/). */
#ifndef WRIT_BASE_ERR_H
#define WRIT_BASE_ERR_H

#include <stdbool.h>

struct json;
struct str;

/* The codes of docs/protocol.md, section 3: one line each in err.def. ERR_OWN is a code of the application's own
 * (a check's error, the manifest's constraints:, writ.fail, PTxyz): the text stands in err.own_code. */
enum err_code {
  ERR_NONE,
#define ERR(code, status, title, retryable) ERR_##code,
#include "base/err.def"
#undef ERR
  ERR_OWN
};

/* All strings belong to mem (the request's arena) or are constants. NULL or 0: does not apply. */
struct err {
  const void *mem; /* where texts are made; set by err_init */
  enum err_code code;
  const char *own_code; /* with ERR_OWN */
  int status;           /* HTTP */
  bool retryable;
  int retry_after_s;                                /* Retry-After header, seconds; 0: none */
  const char *message;                              /* for the client: problem+json detail */
  const char *log_detail;                           /* for the log only; may hold what a client must not see */
  char sqlstate[6];                                 /* "" when PostgreSQL did not raise it */
  const char *constraint, *column, *details, *hint; /* as PostgreSQL gave them */
  const char *schema, *table, *key,
      *key_value;      /* of a violated unique or foreign key: its table, its columns with commas between, what
                                        * they would be, both NULL where row-level security does not say; for us alone */
  int item;            /* which of several values that a statement works on, from 0; -1: does not apply; for us alone */
  int index;           /* place in the set, -1: none */
  const char *command; /* the command that the request named */
  const char *path;    /* JSON pointer (RFC 6901) into the request body */
  const char *argument;
  int prisma_code;                   /* of a model's command: the number that Prisma 1 gave it; 0: none */
  unsigned input_line, input_column; /* in a GraphQL text, from 1, counting characters; 0: does not apply */
  int committed;                     /* execute_command_set: commands done before it; -1: does not apply */
  const char *file;                  /* where in our code */
  int line;
};

void err_init(struct err *e, const void *mem);

/* Fills *e (everything but mem is reset) and gives false, so that a caller may `return err_set(...)`. The message is
 * for the client: no secrets. Status, title and retryable come from err.def. */
#define err_set(e, code, ...) err_fill((e), ERR_##code, __FILE__, __LINE__, __VA_ARGS__)
bool err_fill(struct err *e, enum err_code code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

const char *err_name(const struct err *e);              /* "UNIQUE_VIOLATION", or the own code */
bool err_is_own(const struct err *e, const char *code); /* a code of an application, or of our own SQL, by name */
/* Appends it as problem+json (RFC 9457), as clients and states of mutations get it. */
void err_put(struct str *out, const struct err *e, const char *request_id);
/* The error that such an object tells of, as of a stored answer; its texts are the object's. Always false, as err_set. */
bool err_read(struct err *e, const struct json *problem);
const char *err_title(int status);                      /* "Conflict": the HTTP reason phrase */
bool err_lookup(const char *name, enum err_code *code); /* by name, for writ.fail('NOT_FOUND', ...) */
int err_status(enum err_code code);                     /* of err.def; ERR_OWN: 422 */

#endif
