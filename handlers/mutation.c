/* DELETE /mutation/UUID. */
#include "handlers/mutation.h"

#include "base/arena.h"
#include "base/uuid.h"
#include "handlers/background.h"
#include "handlers/command.h"
#include "mutations/mutation.h"

bool mutation_find(struct call *call, struct err *e) {
  unsigned char bytes[UUID_BYTES];
  char *text = arena_array(call->request->mem, char, 37);

  if (!uuid_read(call->name, bytes)) return err_set(e, NOT_FOUND, "There is nothing at this path.");
  uuid_write(bytes, text);
  call->name = text;
  return true;
}

bool mutation_stop(struct call *call, struct err *e) {
  call->label = "cancel";
  if (!command_identify(call, e)) return false;
  if (!mutation_cancel(call->site->engine, call->request->mem, call->name, &call->caller, e)) return false;
  background_answer(call, call->name);
  return true;
}
