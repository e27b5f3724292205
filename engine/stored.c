/* Finds and stores documents, each in a small transaction of its own, as the login role. */
#include "engine/stored.h"

#include "base/arena.h"
#include "engine/engine_inside.h"

#include <string.h>

/* Of the first datasource. */
enum { HOME = 0 };

static const char find_sql[] =
    "with used as (update writ.document set used = now() where hash = $1::bytea and used < now() - interval '1 hour') "
    "select (select d.text from writ.document as d where d.hash = $1::bytea and (d.known or not $2::boolean))";

static const char keep_sql[] =
    "with gone as (delete from writ.document where hash in "
    "(select d.hash from writ.document as d where not d.known and d.used < now() - $3::integer * interval '1 day' "
    "union all (select d.hash from writ.document as d where not d.known order by d.used limit "
    "greatest((select count(*) from writ.document as c where not c.known and c.hash <> $1::bytea) - $4::integer + 1, 0))) "
    "and hash <> $1::bytea) "
    "insert into writ.document (hash, text) values ($1::bytea, $2) on conflict (hash) do update set used = now()";

static const char persist_sql[] =
    "insert into writ.document (hash, text, known) values ($1::bytea, $2, true) on conflict (hash) do update set known = true";

static bool run_step(struct engine *engine, void *mem, const char *sql, const char *const *params, unsigned n, bool gives,
                     const struct invocation *call, struct report *report, struct step_result *out, struct err *e) {
  const struct command_set set = {0};
  struct run r = {.engine = engine,
                  .mem = mem,
                  .set = (struct command_set *)&set,
                  .call = call,
                  .report = report,
                  .e = e,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = call->caller_fd}};
  struct step step = {.statement = variants_text(engine->variants, mem, sql),
                      .params = params,
                      .nparams = n,
                      .as_login = true,
                      .gives = gives ? GIVES_TEXT : GIVES_NOTHING,
                      .member = MEMBER_NONE,
                      .purpose = "documents"};
  struct flight f;

  if (!aside_run(&r, HOME, &step, 1, true, &f)) return false;
  if (out) *out = f.results[0];
  return true;
}

static const char *bytes_of(void *mem, const unsigned char hash[DIGEST_BYTES]) {
  char hex[DIGEST_HEX];

  digest_hex(hash, hex);
  return arena_printf(mem, "\\x%s", hex);
}

bool stored_find(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], bool known_only,
                 const struct invocation *call, struct report *report, const char **text, size_t *len, struct err *e) {
  const char *params[] = {bytes_of(mem, hash), known_only ? "true" : "false"};
  struct step_result result;

  if (!run_step(engine, mem, find_sql, params, 2, true, call, report, &result, e)) return false;
  *text = result.text;
  *len = result.len;
  return true;
}

bool stored_keep(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], const char *text,
                 const struct invocation *call, struct report *report, struct err *e) {
  const struct config *c = engine->config;
  const char *params[] = {bytes_of(mem, hash), text, arena_printf(mem, "%d", c->graphql_stored_days),
                          arena_printf(mem, "%d", c->graphql_stored_documents)};

  return run_step(engine, mem, keep_sql, params, 4, false, call, report, NULL, e);
}

bool stored_persist(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], const char *text,
                    const struct invocation *call, struct err *e) {
  const char *params[] = {bytes_of(mem, hash), text};
  struct report report = {0};

  return run_step(engine, mem, persist_sql, params, 2, false, call, &report, NULL, e);
}
