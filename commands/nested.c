/* Nested mutations. */
#include "commands/nested.h"

bool nested_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e) {
  (void)k;
  (void)plan;
  return err_set(e, NOT_IMPLEMENTED, "\"%s\" is not supported by this version.", set->nodes[owner]->command->name);
}
