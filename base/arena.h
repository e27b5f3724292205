/* Memory: talloc contexts, one tree of lifetimes: process > request > transaction.
 *
 * Out of memory ends the process. A worker holds at most one request, its transaction is rolled back by PostgreSQL when
 * the connection goes, and the supervisor starts another: that is a smaller and better tested path than an error value
 * threaded through every allocation. What a request may allocate is bounded by the limits in writ.yaml. */
#ifndef WRIT_BASE_ARENA_H
#define WRIT_BASE_ARENA_H

#include <talloc.h>

/* Makes talloc tell in the log why it aborts (a bad pointer); out of memory is told always. Call once in main. */
void arena_init(void);

/* A context for one request, with its first kilobytes in one block. Freed with talloc_free. */
void *arena_request(const void *parent);

/* Like talloc, but never NULL: T or an array of T, set to zero; copies of a string (NULL stays NULL) and of n bytes
 * (NUL added); a format. */
#define arena_new(mem, T) ((T *)arena_zero((mem), sizeof(T), #T))
#define arena_array(mem, T, n) ((T *)arena_zeros((mem), sizeof(T), (n), #T))
void *arena_zero(const void *mem, size_t size, const char *name) __attribute__((returns_nonnull, warn_unused_result));
void *arena_zeros(const void *mem, size_t size, size_t n, const char *name)
    __attribute__((returns_nonnull, warn_unused_result));
char *arena_strdup(const void *mem, const char *s);
char *arena_strndup(const void *mem, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(const void *mem, const char *format, ...) __attribute__((format(printf, 2, 3), returns_nonnull));

/* p with room for size bytes, as realloc: what is new is not set to zero. */
void *arena_resize(const void *mem, void *p, size_t size) __attribute__((returns_nonnull, warn_unused_result));

/* Room for one more: grows the talloc array pp (NULL at first), which holds n elements, by doubling; what is new is
 * zero. */
#define arena_grow(mem, pp, n) ((pp) = arena_grown((mem), (pp), (n), sizeof *(pp)))
void *arena_grown(const void *mem, void *p, size_t n, size_t size) __attribute__((returns_nonnull));

#endif
