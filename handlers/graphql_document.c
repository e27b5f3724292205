/* Documents by text and by hash: Apollo's persisted queries, and lists of known ones. */
#include "handlers/graphql_document.h"

#include "base/log.h"
#include "engine/stored.h"
#include "handlers/command.h"
#include "handlers/graphql_call.h"
#include "manifest/config.h"

#include <string.h>

/* A client may have no longer text stored for it; such a document is sent each time. */
enum { STORED_BYTES = 100 * 1024 };

static bool check_hash(struct graphql_request *r, struct err *e) {
  const struct digest_piece piece = {r->query, r->query_len};
  unsigned char hash[DIGEST_BYTES];

  if (!r->query) return true;
  digest_sha256(&piece, 1, hash);
  if (r->has_hash && memcmp(hash, r->hash, sizeof hash) != 0)
    return err_set(e, BAD_REQUEST, "\"sha256Hash\" is not the SHA-256 of \"query\".");
  memcpy(r->hash, hash, sizeof hash);
  return true;
}

/* The wording is what Apollo's clients look for: they send the text then, with the hash or from now on without. */
static bool not_found(const struct config *config, struct err *e) {
  if (config->graphql_stored_documents || config->graphql_known_only)
    return err_set(e, PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound");
  return err_set(e, PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported");
}

/* Not the caller's own transaction: an Idempotency-Key or a dry run is none of its business. */
static struct invocation plain_invocation(const struct call *call) {
  struct invocation invocation = command_invocation(call);

  invocation.dry_run = false;
  return invocation;
}

/* The text that the hash stands for, where the client sent none, or may not send one of its own. */
static bool fetch(struct call *call, struct graphql_request *r, bool known_only, struct err *e) {
  const struct invocation invocation = plain_invocation(call);
  const char *text;
  size_t len;

  if (!stored_find(call->site->engine, call->request->mem, r->hash, known_only, &invocation, &call->report, &text, &len, e))
    return false;
  if (!text && r->query) return err_set(e, DOCUMENT_NOT_KNOWN, "This document is not among those that may run here.");
  if (!text) return not_found(engine_config(call->site->engine), e);
  r->query = text;
  r->query_len = len;
  return true;
}

/* A client that sends text and hash wants it stored. That it cannot be is no reason to refuse what it asks for. */
static void store(struct call *call, const struct graphql_request *r) {
  const struct config *config = engine_config(call->site->engine);
  const struct invocation invocation = plain_invocation(call);
  void *mem = call->request->mem;
  struct err e;

  if (!config->graphql_stored_documents || r->query_len > STORED_BYTES) return;
  err_init(&e, mem);
  if (!stored_keep(call->site->engine, mem, r->hash, r->query, &invocation, &call->report, &e))
    log_line(LOG_WARN, "document", "id=%s code=%s message=%s", call->request_id, err_name(&e), log_quoted(mem, e.message));
}

bool graphql_document(struct call *call, struct graphql_call *g, const struct document **out, struct err *e) {
  struct documents *documents = call->site->documents;
  const struct config *config = engine_config(call->site->engine);
  struct graphql_request *r = &g->request;
  bool known_only = config->graphql_known_only, wants_store = r->has_hash && r->query && !known_only;

  if (!check_hash(r, e)) return false;
  *out = documents_find(documents, &call->caller, r->hash);
  if (!*out) {
    if ((known_only || !r->query) && !fetch(call, r, known_only, e)) return false;
    *out = documents_add(documents, call->request->mem, &call->caller, r->hash, r->query, r->query_len, &g->errors);
    if (!*out) return err_set(e, BAD_REQUEST, "%s", g->errors.list[0].message);
  }
  if (wants_store) store(call, r);
  return true;
}
