/* Fuzz target: what a request of the streamer asks for. Whatever its parameters are: what is wanted is within its bounds, or there
 * is one error, of those that docs/streams.md names.
 *
 * The input is lines "NAME=value" with FastCGI parameter names. */
#include "base/arena.h"
#include "base/str.h"
#include "demand.h"
#include "handlers/headers.h"
#include "handlers/params.h"
#include "manifest/config.h"
#include "stream/wanted.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct datasource sources[] = {{.name = "main"}, {.name = "other"}};
static const struct config config = {.datasources = sources, .ndatasources = 2};

static void read_lines(struct request *request, const char *p, size_t left) {
  while (left > 0) {
    const char *end = memchr(p, '\n', left);
    size_t len = end ? (size_t)(end - p) : left;
    const char *line = arena_strndup(request->mem, p, len), *equals = strchr(line, '=');

    if (equals) params_put(request, line, (size_t)(equals - line), equals + 1);
    p += len + (end != NULL);
    left -= len + (end != NULL);
  }
}

/* The path says which mutation; read backwards. */
static void demand_mutation(const struct request *r, const struct wanted *w) {
  char uuid[37];
  size_t len = strlen(r->uri);

  uuid_write(w->mutation, uuid);
  demand(len >= strlen("/mutation//events") + 36 && strcmp(r->uri + len - 7, "/events") == 0);
  demand(strncasecmp(r->uri + len - 43, uuid, 36) == 0);
  demand(w->after >= -1 && !w->name && !w->key);
  demand(!w->end_known || w->after >= 0);
}

static void demand_text(const char *text) { demand(!text || !*text || headers_is_text(text)); }

static void demand_log(const struct wanted *w) {
  demand(w->after >= 0 && !w->end_known && w->datasource < config.ndatasources);
  demand_text(w->name);
  demand_text(w->key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  struct request request = {.mem = mem, .caller_fd = -1};
  const char *allow = NULL;
  struct wanted wanted;
  struct err e;

  err_init(&e, mem);
  read_lines(&request, (const char *)data, size);
  if (!request.method) request.method = "";
  if (!request.prefix) request.prefix = "";
  if (!request.query) request.query = "";
  if (wanted_where(&request, &wanted, &allow, &e) && wanted_what(&config, &request, &wanted, &e)) {
    demand(strcmp(request.method, wanted.head ? "HEAD" : "GET") == 0 && !allow);
    if (wanted.log) demand_log(&wanted);
    else demand_mutation(&request, &wanted);
  } else {
    demand(e.code == ERR_NOT_FOUND || e.code == ERR_METHOD_NOT_ALLOWED || e.code == ERR_NOT_ACCEPTABLE ||
           e.code == ERR_BAD_REQUEST);
    demand((allow != NULL) == (e.code == ERR_METHOD_NOT_ALLOWED));
  }
  talloc_free(mem);
  return 0;
}
