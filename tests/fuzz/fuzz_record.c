/* Fuzz target: FastCGI as it arrives at the streamer. Whatever comes, and in whatever pieces (the first byte says how long they
 * are): no byte is read that is not there, and a request that is complete is one. */
#include "base/arena.h"
#include "base/str.h"
#include "stream/record.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  size_t piece = size ? data[0] + 1u : 1, start = 1, used;
  enum record_news news = RECORD_MORE;
  struct record_reader reader;
  struct request request;
  const char *why = NULL;

  record_begin(&reader, mem);
  for (size_t end = piece; news <= RECORD_COMPLETE && start < size; end += piece) {
    if (end > size) end = size;
    if (end <= start) continue;
    do {
      unsigned char *copy = malloc(end - start + 1); /* what is read behind it is seen */

      memcpy(copy, data + start, end - start);
      news = record_take(&reader, copy, end - start, &used, &why);
      free(copy);
      demand(used <= end - start);
      start += used;
      demand(news != RECORD_BAD || why);
      if (news == RECORD_COMPLETE && record_request(&reader, mem, &request))
        demand(request.method && request.query && request.prefix);
    } while (used && news <= RECORD_COMPLETE && start < end);
    if (end == size && !used) break;
  }
  talloc_free(mem);
  return 0;
}
