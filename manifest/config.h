/* writ.yaml: how writd runs. One table (config.c) gives each key its name, type, unit, default, limits and help;
 * `writ check --print`, writ.yaml(5) and the option check in make check walk it. */
#ifndef WRIT_MANIFEST_CONFIG_H
#define WRIT_MANIFEST_CONFIG_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct problems;

struct listener {
  const char *socket;        /* path of the unix socket */
  const char *owner, *group; /* names; NULL: as the process */
  int mode;                  /* 0660 */
  int backlog;               /* 1024 */
};

struct datasource {
  const char *name;
  const char *conninfo; /* libpq's; secrets through its service and passfile */
  bool prepared;        /* false behind a pooler that cannot keep them (PgBouncer's transaction mode) */
  int line;
};

struct config {
  bool environment_optional; /* of who only checks: $env.NAME of a manifest need not be set, that is a warning */
  const char *file;
  const char *manifest;     /* path, made absolute against file's folder */
  const char *user, *group; /* workers run as; needed when writd starts as root */
  struct listener border, inside;
  struct datasource *datasources;
  size_t ndatasources; /* the first is the default one */
  int workers, inside_workers;
  int runners;           /* processes that deliver after-hooks */
  int runner_deliveries; /* at once, of each runner on each datasource */
  int runner_lease_ms, runner_poll_ms;
  int runner_keep_dead_s; /* dead letters; 0: for good */
  struct listener stream; /* of the streamer: mode, owner, group and backlog are the border's */
  int streams;            /* most at once; 0: no streamer */
  int stream_poll_ms, stream_heartbeat_s, stream_buffer_bytes, stream_stuck_s;
  int background_runners; /* processes that run durable mutations */
  int background_claims;  /* mutations that one of them claims at once */
  int background_lease_ms, background_poll_ms;
  int background_attempts;   /* of a step, when a service or the database fails */
  int background_deadline_s; /* of a whole mutation; 0: none */
  int background_keep_s;     /* mutations that have ended; 0: for good */
  int max_requests;          /* a worker ends after so many; 0: never */
  int timeout_ms;            /* a request's deadline */
  int lock_timeout_ms;       /* 0: PostgreSQL's own setting stands */
  int idempotency_wait_ms;   /* for another request with the same key */
  int idempotency_hours;     /* how long keys are kept */
  int event_keep_hours;      /* events of the log; 0: for good */
  int event_partition;       /* positions; 0: writ's own choice, and events are cleaned away one by one */
  int mutex_wait_ms;         /* for a mutex that another request holds */
  int waiting_workers;       /* of a pool, that may wait for either; 0: half of it */
  int drain_ms;              /* SIGTERM and reload: how long requests in work may take before SIGKILL */
  int slow_ms;               /* log a request at warn above it; 0: never */
  int retries;               /* of serialization failures and deadlocks */
  int idle_connection_s;     /* close a connection unused for so long; 0: keep */
  enum log_level log_level;
  int max_body_bytes, max_depth, max_commands, max_rows, max_result_bytes;
  int graphql_depth, graphql_fields, graphql_aliases, graphql_complexity; /* of a document; 0: no limit */
  int graphql_cache_documents, graphql_cache_bytes;                       /* of each worker */
  bool graphql_known_only;                      /* documents that `writ schema persist` has stored, and no others */
  int graphql_stored_documents;                 /* that clients may have stored; 0: none */
  int graphql_stored_days;                      /* without use */
  int state_events, state_changes, event_bytes; /* of a mutation's state */
  int state_hours;                              /* how long it is kept when the mutation has ended */
  int calls_deep;                               /* handlers called by handlers */
};

/* Reads file. NULL when *p got errors; all are reported at once. Relative paths are relative to the file's folder. */
struct config *config_load(const void *mem, const char *file, struct problems *p);
/* Effective values as YAML, each with its help as a comment: `writ check --print`. */
void config_print(FILE *out, const struct config *c);
/* Names of all keys, dotted, NULL at the end: for the option check (`writ check --keys`). */
const char *const *config_keys(void);

#endif
