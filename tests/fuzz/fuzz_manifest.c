/* Fuzz target: a manifest. What is accepted must hold together, so that nobody behind it has to look again. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct datasource sources[] = {{.name = "main", .conninfo = "x"}, {.name = "other", .conninfo = "y"}};
static const struct config config = {.manifest = "m.yaml", .datasources = sources, .ndatasources = 2};

enum { STATEMENTS_MAX = 1000 };

static size_t find_argument(const struct command *c, const char *name) {
  size_t i = 0;
  while (i < c->nargs && strcmp(c->args[i].name, name) != 0) i++;
  return i;
}

/* before: how many members a reference may reach. */
static void demand_template(const struct command *c, const struct template *t, size_t before) {
  switch (t->kind) {
  case TEMPLATE_LITERAL: demand(t->literal != NULL); break;
  case TEMPLATE_ARGS: demand(t->argument < c->nargs); break;
  case TEMPLATE_RESULT: demand(t->member < before && c->members[t->member].as); break;
  case TEMPLATE_ARRAY:
  case TEMPLATE_OBJECT:
    for (size_t i = 0; i < t->n; i++) {
      demand(t->kind == TEMPLATE_ARRAY || t->keys[i]);
      demand_template(c, &t->items[i], before);
    }
  }
  for (size_t i = 0; i < t->npath; i++) demand(t->path[i][0] != '\0');
}

static void demand_member(const struct command *c, size_t at) {
  const struct member *m = &c->members[at];

  demand(m->command && m->command->datasource == c->datasource);
  demand(m->command->kind == COMMAND_SQL || m->command->kind == COMMAND_CHECK || m->command->kind == COMMAND_COMPOSITE);
  demand(m->args && m->args->kind == TEMPLATE_OBJECT);
  demand_template(c, m->args, at);
  for (size_t i = 0; i < m->args->n; i++) demand(find_argument(m->command, m->args->keys[i]) < m->command->nargs);
  for (size_t i = 0; i < m->command->nargs; i++) {
    bool given = m->command->args[i].fallback != NULL;
    for (size_t k = 0; k < m->args->n; k++) given |= strcmp(m->args->keys[k], m->command->args[i].name) == 0;
    demand(given);
  }
  for (size_t i = 0; m->as && i < at; i++) demand(!c->members[i].as || strcmp(c->members[i].as, m->as) != 0);
}

/* Ends, as there are no circles, and soon. */
static unsigned count_statements(const struct command *c) {
  unsigned n = c->kind != COMMAND_COMPOSITE;
  for (size_t i = 0; i < c->nmembers; i++) n += count_statements(c->members[i].command);
  demand(n <= STATEMENTS_MAX);
  return n;
}

static void demand_command(const struct manifest *m, const struct command *c) {
  demand(sql_is_name(c->name) && manifest_command(m, c->name) == c && m->commands[c->id] == c);
  demand(c->datasource < config.ndatasources);
  for (size_t i = 0; i < c->nallow; i++) {
    const char *role;
    demand(c->allow[i][0] != '\0' && manifest_role(m, c->allow[i], &role));
  }
  for (size_t i = 0; i < c->nargs; i++) demand(sql_is_name(c->args[i].name) && find_argument(c, c->args[i].name) == i);
  if (c->kind == COMMAND_SQL || c->kind == COMMAND_CHECK) {
    demand(c->sql.verb != SQL_OTHER && (c->sql.verb != SQL_EXPRESSION || c->kind == COMMAND_CHECK));
    demand(c->nargs == c->sql.nnames);
    for (size_t i = 0; i < c->nargs; i++) demand(strcmp(c->args[i].name, c->sql.names[i]) == 0);
  } else if (c->kind == COMMAND_COMPOSITE) {
    demand(c->nmembers > 0);
    for (size_t i = 0; i < c->nmembers; i++) demand_member(c, i);
    if (c->result) demand_template(c, c->result, c->nmembers);
    count_statements(c);
  }
  if (c->kind == COMMAND_CHECK) demand(c->error.status >= 400 && c->error.status <= 499);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  struct problems p;

  problems_init(&p, mem);
  const struct manifest *m = manifest_read(mem, &config, (const char *)data, size, &p);
  demand((m == NULL) == (p.errors > 0));
  for (size_t i = 0; i < p.n; i++) demand(p.items[i].text[0] != '\0' && p.items[i].line >= 0);
  for (size_t i = 0; m && i < m->ncommands; i++) demand_command(m, m->commands[i]);
  for (size_t i = 0; m && i < m->nconstraints; i++)
    demand(m->constraints[i].error.code && m->constraints[i].error.message && m->constraints[i].error.status);
  talloc_free(mem);
  return 0;
}
