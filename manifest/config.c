/* Reads writ.yaml. The table below is the one place that knows its keys: reading, printing and the option check of the
 * manual page walk it. */
#include "manifest/config.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "db/conn.h"
#include "manifest/sql_scan.h"
#include "manifest/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum type {
  PATH,          /* const char *, made absolute against the file's folder */
  NAME,          /* const char *, a user or a group; null: unset */
  NUMBER,        /* int */
  MODE,          /* int, octal */
  LEVEL,         /* enum log_level */
  DOCUMENTS,     /* bool: any or known */
  DATASOURCES,   /* the whole mapping */
  OF_DATASOURCE, /* a key of one datasource: told here for help and manual, read by read_datasource */
};

struct row {
  const char *key; /* dotted */
  enum type type;
  const char *unit;     /* NULL: none */
  const char *fallback; /* as it would be written; NULL: unset */
  int min, max;         /* NUMBER, both included */
  bool restart;         /* read at start only; the others count from the next reload (SIGHUP) */
  const char *help;
  size_t offset;
};

enum { HOUR_MS = 3600 * 1000, MEGABYTE = 1 << 20, MAX_ANSWER_BYTES = 200 * MEGABYTE };

/* A depth of 512 keeps recursion over a document within some 100 kB of stack. talloc gives no more than 256 MB in one
 * piece, and a worker holds a whole body or answer: 64 MB of one, MAX_ANSWER_BYTES of the other. */
static const struct row rows[] = {
#define AT(member) offsetof(struct config, member)
    {"manifest", PATH, NULL, "manifest.yaml", 0, 0, false,
     "The manifest: which commands exist. Relative to this file's folder.", AT(manifest)},
    {"user", NAME, NULL, NULL, 0, 0, false, "User the workers run as. Required when writd is started as root.", AT(user)},
    {"group", NAME, NULL, NULL, 0, 0, false, "Group the workers run as; null is the user's own group.", AT(group)},
    {"border.socket", PATH, NULL, "/run/writ/border.sock", 0, 0, true,
     "Unix socket for callers from outside: allow: is applied.", AT(border.socket)},
    {"border.mode", MODE, NULL, "0660", 0, 0, true, "Who may connect: whoever may is believed to be nginx.",
     AT(border.mode)},
    {"border.owner", NAME, NULL, NULL, 0, 0, true, "Owner of the socket; null is the user who starts writd.",
     AT(border.owner)},
    {"border.group", NAME, NULL, NULL, 0, 0, true, "Group of the socket, usually that of nginx; null is the starter's.",
     AT(border.group)},
    {"border.backlog", NUMBER, "connections", "1024", 1, 65535, true, "Connections that may wait for a worker.",
     AT(border.backlog)},
    {"inside.socket", PATH, NULL, "/run/writ/inside.sock", 0, 0, true,
     "Unix socket for callers from inside: every command is open to them.", AT(inside.socket)},
    {"inside.mode", MODE, NULL, "0660", 0, 0, true, "Who may connect: whoever may can run every command.", AT(inside.mode)},
    {"inside.owner", NAME, NULL, NULL, 0, 0, true, "Owner of the socket; null is the user who starts writd.",
     AT(inside.owner)},
    {"inside.group", NAME, NULL, NULL, 0, 0, true, "Group of the socket; null is the starter's.", AT(inside.group)},
    {"inside.backlog", NUMBER, "connections", "1024", 1, 65535, true, "Connections that may wait for a worker.",
     AT(inside.backlog)},
    {"datasources", DATASOURCES, NULL, NULL, 0, 0, false,
     "Databases by name, the first is the default one. A conninfo alone may stand in place of the mapping.", 0},
    {"datasources.NAME.conninfo", OF_DATASOURCE, NULL, NULL, 0, 0, false,
     "Connection string of libpq; keep passwords in its passfile or service file.", 0},
    {"datasources.NAME.prepared", OF_DATASOURCE, NULL, "true", 0, 0, false,
     "Use prepared statements: false behind PgBouncer in transaction mode.", 0},
    {"workers", NUMBER, "processes", "8", 1, 1024, false, "Workers on the border socket, each with its own connections.",
     AT(workers)},
    {"inside_workers", NUMBER, "processes", "4", 0, 1024, false, "Workers on the inside socket; 0 is no inside listener.",
     AT(inside_workers)},
    {"runners", NUMBER, "processes", "1", 0, 64, false, "Processes that deliver after-hooks; 0 is none on this machine.",
     AT(runners)},
    {"runner.deliveries", NUMBER, "requests", "10", 1, 100, false,
     "Most after-hooks that a runner delivers at once, on each datasource.", AT(runner_deliveries)},
    {"runner.lease_ms", NUMBER, "ms", "10000", 1000, HOUR_MS, false,
     "What a runner that died had claimed is taken over by others after so long.", AT(runner_lease_ms)},
    {"runner.poll_ms", NUMBER, "ms", "1000", 50, HOUR_MS, false,
     "Longest pause between looks for work that nobody told of: repeats, other machines.", AT(runner_poll_ms)},
    {"runner.keep_dead_s", NUMBER, "s", "2592000", 0, 10 * 365 * 24 * 3600, false,
     "After-hooks that failed for good are deleted after so long; 0 is never.", AT(runner_keep_dead_s)},
    {"streams.socket", PATH, NULL, NULL, 0, 0, true,
     "Unix socket of the streamer, with border's mode, owner and group; by default streams.sock beside border.socket.",
     AT(stream.socket)},
    {"streams.most", NUMBER, "streams", "10000", 0, 1000000, false,
     "Most streams of events at once, each takes a descriptor; 0 is no streamer.", AT(streams)},
    {"streams.poll_ms", NUMBER, "ms", "1000", 50, HOUR_MS, false,
     "Longest pause between looks for news that nobody told of: from other machines.", AT(stream_poll_ms)},
    {"streams.heartbeat_s", NUMBER, "s", "15", 1, 3600, false,
     "A silent stream gets a comment so often; below the web server's read timeout.", AT(stream_heartbeat_s)},
    {"streams.buffer_bytes", NUMBER, "bytes", "262144", 1024, 64 * MEGABYTE, false,
     "A reader that has more than this unread gets no more until it has read it.", AT(stream_buffer_bytes)},
    {"streams.stuck_s", NUMBER, "s", "30", 1, 3600, false,
     "A reader that takes nothing for so long is dropped; it may resume.", AT(stream_stuck_s)},
    {"background_runners", NUMBER, "processes", "1", 0, 64, false,
     "Processes that run mutations in the background; 0 is none on this machine.", AT(background_runners)},
    {"background.claims", NUMBER, "mutations", "50", 1, 1000, false,
     "Most mutations that one of them takes at once; it runs them one after the other.", AT(background_claims)},
    {"background.lease_ms", NUMBER, "ms", "10000", 1000, HOUR_MS, false,
     "What a process that died was running is taken over by others after so long.", AT(background_lease_ms)},
    {"background.poll_ms", NUMBER, "ms", "1000", 50, HOUR_MS, false,
     "Longest pause between looks for mutations that nobody told of: repeats, other machines.", AT(background_poll_ms)},
    {"background.attempts", NUMBER, "times", "15", 1, 1000, false,
     "How often a step is tried while services or the database fail; then the mutation ends as a dead letter.",
     AT(background_attempts)},
    {"background.deadline_s", NUMBER, "s", "86400", 0, 10 * 365 * 24 * 3600, false,
     "A mutation that has not ended so long after it was accepted is given up before its next step; 0 is never.",
     AT(background_deadline_s)},
    {"background.keep_s", NUMBER, "s", "604800", 0, 10 * 365 * 24 * 3600, false,
     "Mutations that have ended are deleted after so long; 0 is never.", AT(background_keep_s)},
    {"max_requests", NUMBER, "requests", "100000", 0, 1000000000, false, "A worker is replaced after so many; 0 is never.",
     AT(max_requests)},
    {"timeout_ms", NUMBER, "ms", "30000", 1, HOUR_MS, false, "Deadline of a request, from its arrival to its answer.",
     AT(timeout_ms)},
    {"lock_timeout_ms", NUMBER, "ms", "0", 0, HOUR_MS, false, "Longest wait for a lock; 0 leaves PostgreSQL's own setting.",
     AT(lock_timeout_ms)},
    {"idempotency_wait_ms", NUMBER, "ms", "1000", 0, HOUR_MS, false,
     "How long a request waits while another with its Idempotency-Key is running.", AT(idempotency_wait_ms)},
    {"idempotency_hours", NUMBER, "hours", "24", 1, 24 * 366, false, "How long the answer to an Idempotency-Key is kept.",
     AT(idempotency_hours)},
    {"state_hours", NUMBER, "hours", "168", 1, 24 * 366, false, "How long the state of a mutation is kept behind its end.",
     AT(state_hours)},
    {"event_log.keep_hours", NUMBER, "hours", "0", 0, 100 * 24 * 366, false,
     "Events older than that are deleted, when all projections and named readers have seen them; 0 is never.",
     AT(event_keep_hours)},
    {"event_log.partition", NUMBER, "positions", "0", 0, 2000000000, false,
     "Old events go by partitions of so many positions, each at once when all of it is old; 0: each event when it is old itself.",
     AT(event_partition)},
    {"mutex_wait_ms", NUMBER, "ms", "5000", 0, HOUR_MS, false, "How long a request waits for its mutexes.",
     AT(mutex_wait_ms)},
    {"waiting_workers", NUMBER, "processes", "0", 0, 1024, false,
     "Workers of a listener that may wait so at once, the others refuse; 0 is half of them.", AT(waiting_workers)},
    {"drain_ms", NUMBER, "ms", "10000", 0, HOUR_MS, false,
     "How long requests in work may take at a stop or reload before they are killed.", AT(drain_ms)},
    {"slow_ms", NUMBER, "ms", "1000", 0, HOUR_MS, false, "A request that takes longer is logged as a warning; 0 is never.",
     AT(slow_ms)},
    {"retries", NUMBER, "times", "3", 0, 100, false, "How often a serialization failure or deadlock is tried again.",
     AT(retries)},
    {"idle_connection_s", NUMBER, "s", "600", 0, 7 * 24 * 3600, false,
     "A connection to PostgreSQL unused for so long is closed; 0 is never.", AT(idle_connection_s)},
    {"log_level", LEVEL, NULL, "info", 0, 0, false, "Least important lines to log: error, warn, info or debug.",
     AT(log_level)},
    {"limits.body_bytes", NUMBER, "bytes", "1048576", 1, 64 * MEGABYTE, false, "Longest request body.", AT(max_body_bytes)},
    {"limits.depth", NUMBER, "levels", "64", 1, 512, false, "Deepest nesting of a request body.", AT(max_depth)},
    {"limits.commands", NUMBER, "commands", "100", 1, 1000, false,
     "Most commands in one set, those that composites stand for included.", AT(max_commands)},
    {"limits.rows", NUMBER, "rows", "10000", 1, 1000000000, false, "Most rows in one result of many.", AT(max_rows)},
    {"limits.result_bytes", NUMBER, "bytes", "1048576", 1, MAX_ANSWER_BYTES, false,
     "Longest result of one command; times limits.commands at most 200 MB.", AT(max_result_bytes)},
    {"limits.state_events", NUMBER, "events", "50", 1, 1000, false,
     "Most events in the state of a mutation; the newest stay.", AT(state_events)},
    {"limits.state_changes", NUMBER, "changes", "200", 1, 10000, false,
     "Most changes of a state that are kept for followers who come back; the newest stay.", AT(state_changes)},
    {"limits.event_bytes", NUMBER, "bytes", "8192", 100, 65536, false, "Longest payload of a state event.", AT(event_bytes)},
    {"limits.calls_deep", NUMBER, "handlers", "8", 1, 100, false, "Deepest chain of handlers that call handlers.",
     AT(calls_deep)},
    {"graphql.documents", DOCUMENTS, NULL, "any", 0, 0, false,
     "Which GraphQL documents run: any, or those known by writ schema persist.", AT(graphql_known_only)},
    {"graphql.depth", NUMBER, "levels", "25", 0, 1000, false, "Deepest nesting of fields in a document; 0 is no limit.",
     AT(graphql_depth)},
    {"graphql.fields", NUMBER, "fields", "2000", 0, 100000, false,
     "Most fields in a document, fragments counted where they are used; 0 is no limit.", AT(graphql_fields)},
    {"graphql.aliases", NUMBER, "fields", "200", 0, 100000, false, "Most fields with an alias; 0 is no limit.",
     AT(graphql_aliases)},
    {"graphql.complexity", NUMBER, "points", "500000", 0, 2000000000, false,
     "A field is a point, ten times that within each list; 0 is no limit.", AT(graphql_complexity)},
    {"graphql.cache_documents", NUMBER, "documents", "1000", 0, 100000, false, "Documents that each worker keeps prepared.",
     AT(graphql_cache_documents)},
    {"graphql.cache_bytes", NUMBER, "bytes", "16777216", 65536, 1 << 30, false, "Memory for those, about.",
     AT(graphql_cache_bytes)},
    {"graphql.stored_documents", NUMBER, "documents", "1000", 0, 100000, false,
     "Most documents that clients have stored by their hash; 0 is no such storing.", AT(graphql_stored_documents)},
    {"graphql.stored_days", NUMBER, "days", "30", 1, 3660, false, "Those unused for so long are deleted.",
     AT(graphql_stored_days)},
#undef AT
};
enum { NROWS = sizeof rows / sizeof *rows };

struct reader {
  const void *mem;
  struct config *config;
  struct problems *problems;
  const char *folder; /* of the file, absolute, without a slash at its end */
};

static const struct {
  const char *name;
  enum log_level level;
} levels[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
enum { NLEVELS = sizeof levels / sizeof *levels };

static const struct row *find_row(const char *key) {
  for (size_t i = 0; i < NROWS; i++)
    if (strcmp(rows[i].key, key) == 0 && rows[i].type != OF_DATASOURCE) return &rows[i];
  return NULL;
}

static void wrong(struct reader *r, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void wrong(struct reader *r, int line, const char *key, const char *format, ...) {
  char what[1024]; /* longer ones are cut */
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  problems_add(r->problems, r->config->file, line, "%s: %s", key, what);
}

/* ---- values ---- */

static bool parse_whole(const char *text, int min, int max, int *number) {
  char *end;
  if (text[strspn(text, "-0123456789")] != '\0') return false;
  long long value = strtoll(text, &end, 10); /* out of range: its limits, which are beyond ours */
  if (*end != '\0' || end == text || value < min || value > max) return false;
  *number = (int)value;
  return true;
}

static bool parse_mode(const char *text, int *mode) {
  size_t n = strspn(text, "01234567");
  long value = strtol(text, NULL, 8);
  if (n < 3 || n > 4 || text[n] != '\0' || value > 0777) return false;
  *mode = (int)value;
  return true;
}

static bool parse_level(const char *text, enum log_level *level) {
  for (size_t i = 0; i < NLEVELS; i++) {
    if (strcmp(levels[i].name, text) != 0) continue;
    *level = levels[i].level;
    return true;
  }
  return false;
}

static const char *absolute_path(struct reader *r, const char *path) {
  while (strncmp(path, "./", 2) == 0) path += 2;
  if (path[0] == '/') return arena_strdup(r->mem, path);
  return arena_printf(r->mem, "%s/%s", r->folder, path);
}

/* Gives NULL, or what would have been right. */
static const char *set_value(struct reader *r, const struct row *row, enum json_kind kind, const char *text) {
  void *field = (char *)r->config + row->offset;
  bool is_text = kind == JSON_STRING && text[0] != '\0';

  switch (row->type) {
  case PATH:
    if (!is_text) return "a path is needed";
    *(const char **)field = absolute_path(r, text);
    return NULL;
  case NAME:
    if (kind == JSON_NULL) *(const char **)field = NULL;
    else if (is_text) *(const char **)field = arena_strdup(r->mem, text);
    else return "a name is needed";
    return NULL;
  case NUMBER:
    if (kind == JSON_NUMBER && parse_whole(text, row->min, row->max, field)) return NULL;
    return arena_printf(r->mem, "a whole number from %d to %d is needed", row->min, row->max);
  case MODE:
    /* 660 without its zero is read as octal too: nobody means 01224. */
    if ((kind == JSON_STRING || kind == JSON_NUMBER) && parse_mode(text, field)) return NULL;
    return "a file mode in octal digits is needed, for example \"0660\"";
  case LEVEL:
    if (kind == JSON_STRING && parse_level(text, field)) return NULL;
    return "one of error, warn, info, debug is needed";
  case DOCUMENTS:
    *(bool *)field = kind == JSON_STRING && strcmp(text, "known") == 0;
    return kind == JSON_STRING && (strcmp(text, "known") == 0 || strcmp(text, "any") == 0) ? NULL : "any or known is needed";
  case DATASOURCES:
  case OF_DATASOURCE: break;
  }
  return NULL;
}

static void set_fallbacks(struct reader *r) {
  for (size_t i = 0; i < NROWS; i++) {
    if (!rows[i].fallback || rows[i].type == OF_DATASOURCE) continue;
    enum json_kind kind = rows[i].type == NUMBER ? JSON_NUMBER : JSON_STRING;
    const char *mistake = set_value(r, &rows[i], kind, rows[i].fallback);
    if (mistake) problems_add(r->problems, r->config->file, 0, "default of %s: %s", rows[i].key, mistake);
  }
}

/* ---- datasources ---- */

/* Not with libpq's own words: it quotes what it cannot read, and that may be a password. */
static void take_conninfo(struct reader *r, const char *where, const struct yaml *node, struct datasource *out) {
  out->conninfo = node->json.text;
  if (!conn_can_read(out->conninfo))
    wrong(r, node->line, where,
          "libpq cannot read this conninfo; write \"host=/run/postgresql dbname=app\", or a postgresql:// URI");
}

static void read_datasource(struct reader *r, const char *name, const struct yaml *node, struct datasource *out) {
  static const char *const keys[] = {"conninfo", "prepared", NULL};
  char *where = arena_printf(r->mem, "datasources.%s", name);

  *out = (struct datasource){.name = arena_strdup(r->mem, name), .prepared = true, .line = node->line};
  if (!sql_is_name(name)) wrong(r, node->line, where, "a name is letters, digits and _, not a digit first, at most 63");
  if (node->json.kind == JSON_STRING) {
    take_conninfo(r, where, node, out);
    return;
  }
  if (node->json.kind != JSON_OBJECT) {
    wrong(r, node->line, where,
          "a conninfo is needed, such as \"host=/run/postgresql dbname=app\", or { conninfo: ..., prepared: ... }");
    return;
  }
  for (size_t i = 0; i < node->json.len; i++) {
    const struct yaml *value = &node->nodes[i];
    const char *key = node->json.keys[i];
    if (strcmp(key, "conninfo") == 0) {
      if (value->json.kind == JSON_STRING) take_conninfo(r, where, value, out);
      else wrong(r, value->line, where, "conninfo must be text, such as \"host=/run/postgresql dbname=app\"");
    } else if (strcmp(key, "prepared") == 0) {
      if (value->json.kind == JSON_TRUE || value->json.kind == JSON_FALSE) out->prepared = value->json.kind == JSON_TRUE;
      else wrong(r, value->line, where, "prepared must be true or false");
    } else {
      const char *near = nearest(key, keys);
      wrong(r, node->key_lines[i], where, "unknown key %s%s%s%s", key,
            near ? "; did you mean " : "; there are conninfo and prepared", near ? near : "", near ? "?" : "");
    }
  }
  if (!yaml_get(node, "conninfo")) wrong(r, node->line, where, "conninfo is missing");
}

static void read_datasources(struct reader *r, const struct yaml *node) {
  struct config *c = r->config;

  if (node->json.kind != JSON_OBJECT || node->json.len == 0) {
    wrong(r, node->line, "datasources", "a mapping is needed: name: \"host=... dbname=...\"");
    return;
  }
  c->datasources = arena_array(r->mem, struct datasource, node->json.len);
  c->ndatasources = node->json.len;
  for (size_t i = 0; i < node->json.len; i++) read_datasource(r, node->json.keys[i], &node->nodes[i], &c->datasources[i]);
}

/* ---- mappings ---- */

/* Bytes of "border." in "border.socket"; 0 for a key that is in no section. */
static size_t section_bytes(const char *key) {
  const char *dot = strchr(key, '.');
  return dot ? (size_t)(dot - key) + 1 : 0;
}

static bool is_section(const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i < NROWS; i++)
    if (section_bytes(rows[i].key) == n + 1 && strncmp(rows[i].key, name, n) == 0) return true;
  return false;
}

static void unknown_key(struct reader *r, int line, const char *section, const char *key, const char *full) {
  const char *names[NROWS + 1];
  size_t n = 0, skip = strlen(section);

  for (size_t i = 0; i < NROWS; i++) {
    if (strncmp(rows[i].key, section, skip) != 0 || rows[i].type == OF_DATASOURCE) continue;
    const char *name = rows[i].key + skip;
    size_t part = section_bytes(name);
    names[n++] = part ? arena_strndup(r->mem, name, part - 1) : name;
  }
  names[n] = NULL;
  const char *near = nearest(key, names);
  if (near) wrong(r, line, full, "unknown key; did you mean %s?", near);
  else wrong(r, line, full, "unknown key; writ.yaml(5) lists those there are");
}

/* section: "" or "border." */
static void read_mapping(struct reader *r, const struct yaml *mapping, const char *section) {
  for (size_t i = 0; i < mapping->json.len; i++) {
    const char *key = mapping->json.keys[i];
    const struct yaml *value = &mapping->nodes[i];
    char *full = arena_printf(r->mem, "%s%s", section, key);
    const struct row *row = strchr(key, '.') ? NULL : find_row(full);

    if (row && row->type == DATASOURCES) {
      read_datasources(r, value);
    } else if (row) {
      const char *mistake = set_value(r, row, value->json.kind, value->json.text);
      if (mistake) wrong(r, mapping->key_lines[i], full, "%s", mistake);
    } else if (section[0] == '\0' && is_section(key)) {
      if (value->json.kind == JSON_OBJECT) read_mapping(r, value, arena_printf(r->mem, "%s.", key));
      else wrong(r, mapping->key_lines[i], full, "a mapping is needed: %s: { key: value, ... }", key);
    } else {
      unknown_key(r, mapping->key_lines[i], section, key, full);
    }
  }
}

/* ---- the whole ---- */

/* Line of a dotted key, for what is found after reading; 0 when it is not in the file. */
static int line_of(const struct yaml *root, const char *key) {
  size_t part = section_bytes(key);
  if (part) {
    char section[16];
    snprintf(section, sizeof section, "%.*s", (int)part - 1, key);
    const struct yaml *mapping = yaml_get(root, section);
    return mapping ? line_of(mapping, key + part) : 0;
  }
  const struct yaml *value = yaml_get(root, key);
  return value ? value->line : 0;
}

static void check_path(struct reader *r, const struct yaml *root, const char *name, const struct listener *listener) {
  /* sun_path has room for 108 bytes on Linux, the NUL among them: unix(7). */
  const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
  char *socket = arena_printf(r->mem, "%s.socket", name);

  if (strlen(listener->socket) >= room)
    wrong(r, line_of(root, socket), socket, "%s is longer than the %zu bytes that a socket's path can have",
          listener->socket, room - 1);
}

static void check_listener(struct reader *r, const struct yaml *root, const char *name, const struct listener *listener) {
  char *mode = arena_printf(r->mem, "%s.mode", name);

  check_path(r, root, name, listener);
  if (listener->mode & 0002)
    problems_warn(r->problems, r->config->file, line_of(root, mode),
                  "%s: with %04o everybody on this machine can connect and say who they are", mode,
                  (unsigned)listener->mode);
}

/* Whoever may connect there is believed to be nginx, as on the border: so it is a border with another path. */
static void take_streams(struct reader *r, const struct yaml *root) {
  struct config *c = r->config;
  const char *slash = strrchr(c->border.socket, '/'), *path = c->stream.socket;

  c->stream = c->border;
  c->stream.socket = path;
  if (!path) c->stream.socket = arena_printf(r->mem, "%.*s/streams.sock", (int)(slash - c->border.socket), c->border.socket);
  if (c->streams == 0) return;
  check_path(r, root, "streams", &c->stream);
  if (strcmp(c->stream.socket, c->border.socket) == 0)
    wrong(r, line_of(root, "streams.socket"), "streams.socket", "is the same as border.socket; each listener has its own");
}

static void check_whole(struct reader *r, const struct yaml *root) {
  struct config *c = r->config;

  if (!yaml_get(root, "datasources"))
    wrong(r, 0, "datasources", "is missing; write datasources: { default: \"host=/run/postgresql dbname=app\" }");
  if ((long long)c->max_commands * c->max_result_bytes > MAX_ANSWER_BYTES)
    wrong(r, line_of(root, "limits.result_bytes"), "limits.result_bytes",
          "times limits.commands (%d) is more than an answer may hold (%d MB); lower one of them", c->max_commands,
          MAX_ANSWER_BYTES / MEGABYTE);
  check_listener(r, root, "border", &c->border);
  take_streams(r, root);
  if (c->inside_workers == 0) return;
  check_listener(r, root, "inside", &c->inside);
  if (strcmp(c->border.socket, c->inside.socket) == 0)
    wrong(r, line_of(root, "inside.socket"), "inside.socket", "is the same as border.socket; each listener has its own");
  if (c->streams && strcmp(c->stream.socket, c->inside.socket) == 0)
    wrong(r, line_of(root, "streams.socket"), "streams.socket", "is the same as inside.socket; each listener has its own");
}

/* The folder of file, absolute, without a slash at its end. Links in it stay: people know it by that name. */
static const char *folder_of(const void *mem, const char *file, struct problems *p) {
  const char *slash = strrchr(file, '/');
  if (file[0] == '/') return arena_strndup(mem, file, (size_t)(slash - file));

  char *here = getcwd(NULL, 0);
  if (!here) problems_add(p, file, 0, "the working directory cannot be found; give the file with its whole path");
  const char *base = here && strcmp(here, "/") != 0 ? here : "";
  while (strncmp(file, "./", 2) == 0) file += 2;
  slash = strrchr(file, '/');
  char *folder = slash ? arena_printf(mem, "%s/%.*s", base, (int)(slash - file), file) : arena_strdup(mem, base);
  free(here);
  return folder;
}

struct config *config_load(const void *mem, const char *file, struct problems *p) {
  struct config *c = arena_new(mem, struct config);
  struct reader r = {.mem = mem, .config = c, .problems = p};
  size_t errors = p->errors;

  c->file = arena_strdup(mem, file);
  const struct yaml *root = yaml_load(mem, c->file, p);
  if (!root) return NULL;
  r.folder = folder_of(mem, c->file, p);
  set_fallbacks(&r);
  if (root->json.kind == JSON_OBJECT) {
    read_mapping(&r, root, "");
    check_whole(&r, root);
  } else {
    problems_add(p, c->file, root->line, "a mapping is needed: lines of key: value");
  }
  return p->errors == errors ? c : NULL;
}

/* ---- printing ---- */

/* One character of UTF-8 (valid: YAML was); gives its bytes. */
static size_t character(const char *s, uint32_t *c) {
  const unsigned char *u = (const unsigned char *)s;
  size_t n = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
  *c = n == 1 ? u[0] : u[0] & (0x7fU >> n);
  for (size_t i = 1; i < n; i++) *c = (*c << 6) | (u[i] & 0x3fU);
  return n;
}

/* Not a printable character of YAML (section 5.1), or one that it folds as a line break. */
static bool must_escape(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || (c & 0xfffe) == 0xfffe;
}

static void print_quoted(FILE *out, const char *text) {
  fputc('"', out);
  while (*text) {
    uint32_t c;
    size_t n = character(text, &c);
    if (c == '"' || c == '\\') fprintf(out, "\\%c", (int)c);
    else if (must_escape(c)) fprintf(out, "\\U%08X", (unsigned)c);
    else fwrite(text, 1, n, out);
    text += n;
  }
  fputc('"', out);
}

static const char *level_name(enum log_level level) {
  for (size_t i = 0; i < NLEVELS; i++)
    if (levels[i].level == level) return levels[i].name;
  return "info";
}

static void print_help(FILE *out, const struct row *row, const char *indent) {
  fprintf(out, "%s# %s", indent, row->help);
  if (row->type == NUMBER) fprintf(out, " %s, %d to %d.", row->unit, row->min, row->max);
  if (row->fallback) fprintf(out, " Default %s.", row->fallback);
  fprintf(out, "%s\n", row->restart ? " Changed by a restart only." : "");
}

static void print_value(FILE *out, const struct row *row, const struct config *c) {
  const void *field = (const char *)c + row->offset;

  switch (row->type) {
  case PATH:
  case NAME:
    if (*(const char *const *)field) print_quoted(out, *(const char *const *)field);
    else fputs("null", out);
    break;
  case NUMBER: fprintf(out, "%d", *(const int *)field); break;
  case MODE: fprintf(out, "\"%04o\"", (unsigned)*(const int *)field); break;
  case LEVEL: fputs(level_name(*(const enum log_level *)field), out); break;
  case DOCUMENTS: fputs(*(const bool *)field ? "known" : "any", out); break;
  case DATASOURCES:
  case OF_DATASOURCE: break;
  }
  fputc('\n', out);
}

/* The rows behind the one of datasources tell of the keys of each. */
static void print_datasources(FILE *out, const struct row *row, const struct config *c) {
  print_help(out, row, "");
  fputs("datasources:\n", out);
  for (size_t i = 0; i < c->ndatasources; i++) {
    const struct datasource *d = &c->datasources[i];
    fprintf(out, "  %s:\n", d->name);
    print_help(out, &row[1], "    ");
    fputs("    conninfo: ", out);
    print_quoted(out, d->conninfo);
    fputc('\n', out);
    print_help(out, &row[2], "    ");
    fprintf(out, "    prepared: %s\n", d->prepared ? "true" : "false");
  }
}

void config_print(FILE *out, const struct config *c) {
  const char *section = "";
  size_t section_len = 0;

  for (size_t i = 0; i < NROWS; i++) {
    const struct row *row = &rows[i];
    if (row->type == OF_DATASOURCE) continue;
    size_t part = section_bytes(row->key);
    if (part && (part != section_len || strncmp(row->key, section, part) != 0))
      fprintf(out, "%.*s:\n", (int)part - 1, row->key);
    section = row->key;
    section_len = part;
    if (row->type == DATASOURCES) {
      print_datasources(out, row, c);
      continue;
    }
    print_help(out, row, part ? "  " : "");
    fprintf(out, "%s%s: ", part ? "  " : "", row->key + part);
    print_value(out, row, c);
  }
}

const char *const *config_keys(void) {
  static const char *keys[NROWS + 1];
  for (size_t i = 0; i < NROWS; i++) keys[i] = rows[i].key;
  return keys;
}
