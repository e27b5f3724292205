#include "base/nearest.h"

#include <string.h>

enum { NEAREST_BYTES_MAX = 63 }; /* names are no longer than that */

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Optimal string alignment: insertions, deletions, replacements and swapped neighbours each count one. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb) {
  unsigned rows[3][NEAREST_BYTES_MAX + 1];
  unsigned *before = rows[0], *last = rows[1], *now = rows[2];

  for (size_t j = 0; j <= nb; j++) last[j] = (unsigned)j;
  for (size_t i = 1; i <= na; i++) {
    now[0] = (unsigned)i;
    for (size_t j = 1; j <= nb; j++) {
      unsigned best = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) best = least(best, before[j - 2] + 1);
      now[j] = best;
    }
    unsigned *spare = before;
    before = last;
    last = now;
    now = spare;
  }
  return last[nb];
}

const char *nearest(const char *word, const char *const *names) {
  size_t len = strlen(word);
  const char *found = NULL;
  unsigned best = len < 3 ? 1 : (unsigned)len / 3;

  if (len == 0 || len > NEAREST_BYTES_MAX) return NULL;
  if (best > 3) best = 3;
  for (best++; *names; names++) {
    size_t n = strlen(*names);
    unsigned d = n > NEAREST_BYTES_MAX ? best : distance(word, len, *names, n);
    if (d >= best || d >= n) continue; /* a name of which nothing is left is no likeness */
    best = d;
    found = *names;
  }
  return found;
}
