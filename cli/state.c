/* writ state: how a mutation is going. On a terminal a bar and its steps, drawn anew with each change; elsewhere a line for each event. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/uuid.h"
#include "base/wait.h"
#include "commands/caller.h"
#include "engine/engine.h"
#include "mutations/state_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
  READ_MS = 10000,
  POLL_MS = 250,
  AWAY_MAX = 120, /* looks at a database that is away, before that is told */
  BAR_WIDTH = 30,
  AROUND = 6, /* lines of a terminal that are not for steps */
  STATE_DEPTH = 600,
};
enum exit_status { EXIT_COMPLETE, EXIT_UNREAD, EXIT_USAGE, EXIT_ERROR, EXIT_CANCELLED, EXIT_NOT_ENDED };

struct view {
  void *mem; /* of one look */
  const struct options *o;
  struct engine *engine;
  const char *mutation;
  struct state_row row;
  const struct json *state;
  char *seen;   /* the version that was shown; NULL: none */
  size_t drawn; /* lines that stand on the terminal */
  unsigned width, height;
};

/* ---- text ---- */

static const char *text_of(const struct json *object, const char *key) {
  const struct json *value = object && object->kind == JSON_OBJECT ? json_get(object, key) : NULL;
  return value && (value->kind == JSON_STRING || value->kind == JSON_NUMBER) ? value->text : NULL;
}

static double number_of(const char *text) { return text ? strtod(text, NULL) : 0; }
static int percent(const char *text) { return (int)(number_of(text) * 100 + 0.5); }

static void put_end(struct str *out, const struct json *state) {
  const struct json *result = json_get(state, "result"), *error = json_get(state, "error");
  const char *detail = text_of(error, "detail"), *omitted = text_of(json_get(state, "result_omitted"), "bytes");

  if (error) {
    cli_put_plain(out, text_of(error, "code") ? text_of(error, "code") : "?");
    if (detail) str_add(out, ": "), cli_put_plain(out, detail);
  } else if (result) {
    cli_put_json(out, result);
  } else if (omitted) {
    str_add(out, "a result too long for the state: bytes ");
    cli_put_plain(out, omitted);
  }
}

/* ---- the whole, for people ---- */

static const char *mark_of(const char *status) {
  static const struct {
    const char *status, *mark;
  } marks[] = {{"finished", "[x]"}, {"processing", "[>]"}, {"error", "[!]"}};

  for (size_t i = 0; status && i < sizeof marks / sizeof *marks; i++)
    if (strcmp(marks[i].status, status) == 0) return marks[i].mark;
  return "[ ]";
}

static void put_step(struct str *out, const struct json *step) {
  const char *title = text_of(step, "title"), *current = text_of(step, "current");
  const struct json *error = json_get(step, "error");

  str_printf(out, "%s ", mark_of(text_of(step, "status")));
  cli_put_plain(out, title ? title : text_of(step, "id") ? text_of(step, "id") : "?");
  if (current) str_printf(out, " (%d %%)", percent(current));
  if (error && text_of(error, "code")) str_add(out, ": "), cli_put_plain(out, text_of(error, "code"));
}

static void put_bar(struct str *out, const struct json *state) {
  int done = (int)(number_of(text_of(state, "progress")) * BAR_WIDTH + 0.5);

  str_char(out, '[');
  for (int i = 0; i < BAR_WIDTH; i++) str_char(out, i < done ? '#' : '-');
  str_printf(out, "] %3d %% %s", percent(text_of(state, "progress")), text_of(state, "status"));
}

static size_t step_at_work(const struct json *steps) {
  size_t i = 0;

  while (i < steps->len && text_of(&steps->items[i], "status") &&
         strcmp(text_of(&steps->items[i], "status"), "finished") == 0)
    i++;
  return i;
}

/* Lines, as many as fit around the step that is at work. most 0: all. */
static const char **lines_of(const struct view *v, size_t most, size_t *n) {
  const struct json *steps = json_get(v->state, "steps"), *events = json_get(v->state, "events");
  size_t count = steps->len, first = 0, at = step_at_work(steps);
  const char **lines = arena_array(v->mem, const char *, steps->len + 4);
  struct str *line = str_new(v->mem, 256);

  *n = 0;
  put_bar(line, v->state);
  lines[(*n)++] = line->p;
  if (most && count > most) {
    first = at > most / 2 ? at - most / 2 : 0;
    if (first + most > count) first = count - most;
    count = most;
  }
  for (size_t i = first; i < first + count; i++) {
    put_step(line = str_new(v->mem, 128), &steps->items[i]);
    lines[(*n)++] = line->p;
  }
  if (most && !v->row.ended && events->len) {
    line = str_new(v->mem, 256);
    str_add(line, "    ");
    cli_put_plain(line, text_of(&events->items[events->len - 1], "name"));
    str_char(line, ' ');
    cli_put_json(line, json_get(&events->items[events->len - 1], "payload"));
    lines[(*n)++] = line->p;
  }
  if (v->row.ended) {
    put_end(line = str_new(v->mem, 256), v->state);
    if (line->len) lines[(*n)++] = line->p;
  }
  return lines;
}

/* Bytes of the text that take at most width columns, if each character takes one. */
static int clip(const char *text, unsigned width) {
  size_t i = 0;

  for (unsigned column = 0; text[i]; i++) {
    column += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (column > width) break;
  }
  return (int)i;
}

static void measure(struct view *v) {
  struct winsize size;

  v->width = v->height = 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    v->width = size.ws_col;
    v->height = size.ws_row;
  }
  if (!v->width) v->width = 80;
  if (v->height <= AROUND) v->height = AROUND + 10;
}

/* In place of what was drawn before (ECMA-48: cursor up, erase to the end). */
static void draw(struct view *v) {
  const char **lines;
  size_t n;

  measure(v);
  lines = lines_of(v, v->height - AROUND, &n);
  if (v->drawn) printf("\033[%zuA\033[J", v->drawn);
  for (size_t i = 0; i < n; i++) printf("%.*s\n", clip(lines[i], v->width - 1), lines[i]);
  v->drawn = n;
  fflush(stdout);
}

static void print_once(const struct view *v) {
  size_t n;
  const char **lines = lines_of(v, 0, &n);

  if (v->o->json) puts(v->row.text);
  else
    for (size_t i = 0; i < n; i++) puts(lines[i]);
}

/* ---- a line for each event ---- */

static void print_event(const struct view *v, const struct json *event) {
  struct str *line = str_new(v->mem, 256);
  const struct json *payload = event ? json_get(event, "payload") : NULL;

  if (!event || event->kind != JSON_OBJECT) return;
  cli_put_plain(line, text_of(event, "at") ? text_of(event, "at") : "-");
  str_char(line, ' ');
  cli_put_plain(line, text_of(event, "name") ? text_of(event, "name") : "-");
  if (text_of(event, "attempt")) str_printf(line, " attempt=%d", atoi(text_of(event, "attempt")));
  if (payload && payload->kind != JSON_NULL) str_char(line, ' '), cli_put_json(line, payload);
  puts(line->p);
}

/* Each version is an event, and the newest changes are kept (limits.state_changes). */
static void print_missing(long long n) {
  if (n > 0) printf("- %lld event%s between %s not kept any more\n", n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
}

/* What has come since the last look; what was there at the first is the state's own list. */
static bool print_news(struct view *v, const struct wait *w, struct err *e) {
  const struct json *changes, *events = json_get(v->state, "events");

  if (!v->seen) {
    for (size_t i = 0; i < events->len; i++) print_event(v, &events->items[i]);
  } else {
    if (!state_changes(v->engine, v->mem, v->mutation, &v->row, v->seen, w, &changes, e)) return false;
    print_missing(strtoll(v->row.version, NULL, 10) - strtoll(v->seen, NULL, 10) - (long long)changes->len);
    for (size_t i = 0; i < changes->len; i++) print_event(v, json_get(&changes->items[i], "event"));
  }
  if (v->row.ended) {
    struct str *line = str_new(v->mem, 256);

    cli_put_plain(line, text_of(v->state, "status"));
    str_char(line, ' ');
    put_end(line, v->state);
    puts(line->p);
  }
  fflush(stdout);
  return true;
}

/* ---- looking ---- */

static const struct caller inside = {.role = "anonymous", .inside = true};

static bool look(struct view *v, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + READ_MS, .caller_fd = -1};
  bool follows = v->o->follow && !v->o->json;

  if (!state_read(v->engine, v->mem, &inside, v->mutation, &w, &v->row, e)) return false;
  if (v->seen && strcmp(v->seen, v->row.version) == 0) return true;
  if (!json_read(v->mem, v->row.text, strlen(v->row.text), STATE_DEPTH, &v->state, e)) return false;
  if (!follows && (!v->o->follow || v->row.ended)) print_once(v);
  else if (follows && isatty(STDOUT_FILENO)) draw(v);
  else if (follows && !print_news(v, &w, e)) return false;
  free(v->seen);
  v->seen = strdup(v->row.version);
  return true;
}

static int exit_of(const struct view *v) {
  const char *status = text_of(v->state, "status");

  if (!v->row.ended || !status) return EXIT_NOT_ENDED;
  return strcmp(status, "complete") == 0 ? EXIT_COMPLETE : strcmp(status, "cancelled") == 0 ? EXIT_CANCELLED : EXIT_ERROR;
}

/* *code of the last look. False: not yet. */
static bool is_over(struct view *v, unsigned *away, int *code) {
  struct err e;
  bool ok, over;

  v->mem = talloc_new(v->engine);
  err_init(&e, v->mem);
  ok = look(v, &e);
  if (ok) *away = 0;
  over = ok ? !v->o->follow || v->row.ended : e.code != ERR_DATABASE_UNAVAILABLE || !v->seen || ++*away > AWAY_MAX;
  if (over) *code = ok ? exit_of(v) : cli_fail(&e);
  talloc_free(v->mem);
  return over;
}

static int follow(struct view *v) {
  static const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
  unsigned away = 0;
  int code = EXIT_UNREAD;

  while (!is_over(v, &away, &code)) nanosleep(&pause, NULL);
  free(v->seen);
  return code;
}

int cli_state(void *mem, const struct options *o) {
  struct view v = {.o = o};
  unsigned char uuid[UUID_BYTES];
  char text[37];
  struct config *config;
  struct manifest *manifest;

  if (!uuid_read(o->operands[0], uuid)) {
    fprintf(stderr, "writ: %s is no UUID\n", o->operands[0]);
    return EXIT_USAGE;
  }
  if (!cli_load(mem, o, &config, &manifest)) return EXIT_UNREAD;
  log_set_level((enum log_level)0);
  uuid_write(uuid, text);
  v.mutation = text;
  v.engine = engine_new(mem, config, manifest, NULL);
  return follow(&v);
}
