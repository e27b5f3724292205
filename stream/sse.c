/* Lines. */
#include "stream/sse.h"

#include "base/str.h"

#include <string.h>

/* A line of data each: JSON of PostgreSQL's has no line breaks unless it is of type json, and then it may. */
static void put_data(struct str *out, const char *data) {
  for (;;) {
    size_t len = strcspn(data, "\r\n");

    str_add(out, "data: ");
    str_bytes(out, data, len);
    str_char(out, '\n');
    data += len;
    if (!*data) return;
    data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
  }
}

void sse_event(struct str *out, const char *id, const char *event, const char *data) {
  if (id) str_printf(out, "id: %s\n", id);
  if (event) str_printf(out, "event: %s\n", event);
  put_data(out, data);
  str_char(out, '\n');
}

void sse_retry(struct str *out, unsigned ms) { str_printf(out, "retry: %u\n\n", ms); }

/* An id without data is no event, but counts as the last one. */
void sse_heartbeat(struct str *out, const char *id) {
  if (id) str_printf(out, "id: %s\n", id);
  str_add(out, ":\n\n");
}
