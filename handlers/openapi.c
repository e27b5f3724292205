/* GET /openapi.json */
#include "handlers/openapi.h"

#include "base/arena.h"
#include "base/digest.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/headers.h"
#include "handlers/identity.h"
#include "manifest/config.h"
#include "schema/openapi.h"

#include <string.h>

static bool ask(void *engine, const struct command *c, const struct description **d, enum returns *returns) {
  return engine_described(engine, c, d, returns);
}

static void write_document(struct call *call) {
  const struct openapi of = {
      .manifest = engine_manifest(call->site->engine),
      .schema = call->site->schema,
      .role = call->caller.role,
      .inside = call->caller.inside,
      .prefix = call->request->prefix,
      .streams = engine_config(call->site->engine)->streams > 0,
      .ask = ask,
      .data = call->site->engine,
  };

  openapi_write(call->answer->body, call->request->mem, &of);
}

/* Two callers of one URL may see different documents, and a reload may change them: a cache has to ask each time. */
static const char *tag_of(const struct answer *answer, const void *mem) {
  const struct digest_piece piece = {answer->body->p, answer->body->len};
  unsigned char digest[DIGEST_BYTES];
  char *tag = arena_array(mem, char, DIGEST_HEX + 2);

  digest_sha256(&piece, 1, digest);
  digest_hex(digest, tag + 1);
  tag[0] = tag[DIGEST_HEX] = '"';
  return tag;
}

static void put_headers(struct answer *answer, const char *tag) {
  for (size_t i = 0; i < answer->nheaders; i++)
    if (strcmp(answer->headers[i].name, "Cache-Control") == 0) answer->headers[i].value = "private, no-cache";
  answer_header(answer, "ETag", tag);
}

/* Order: what PostgreSQL says of the statements is asked for ahead of writing; it is asked once in a worker's life. */
bool openapi_show(struct call *call, struct err *e) {
  const struct request *r = call->request;
  struct engine *engine = call->site->engine;
  const char *tag;

  call->label = "openapi";
  if (!identity_read(r, call->request_id, (unsigned)engine_config(engine)->max_depth, &call->caller, e)) return false;
  if (!headers_accept_json(r->accept)) return err_set(e, NOT_ACCEPTABLE, "Answers are application/json.");
  if (!engine_ready(engine, e)) return false;
  write_document(call);
  tag = tag_of(call->answer, r->mem);
  put_headers(call->answer, tag);
  if (!headers_tag_matches(r->if_none_match, tag)) return true;
  call->answer->status = 304;
  str_clear(call->answer->body);
  return true;
}
