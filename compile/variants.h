/* The statements that a worker knows, bounded: a command has a variant for each way its arguments are given (as values, or
 * out of earlier results) and for whether its own result is kept. Callers choose those, so a hostile one could make many: the
 * table is 4-way set-associative, the least used of four gives way, and the server's copy is deallocated with it. */
#ifndef WRIT_COMPILE_VARIANTS_H
#define WRIT_COMPILE_VARIANTS_H

#include "db/statement.h"

#include <stdbool.h>
#include <stddef.h>

struct variants;

struct variants *variants_new(const void *mem);
/* Forgets all: what PostgreSQL said of the commands has changed. Statements of a plan in hand must not be used after it. */
void variants_clear(struct variants *v);
bool variants_find(struct variants *v, const void *key, size_t len, struct statement *out);
/* Copies sql; a text that has to give way lives on in request_mem, as the plan in hand may hold it. */
struct statement variants_add(struct variants *v, void *request_mem, const void *key, size_t len, const char *sql);

/* The statement of a text of writ's own, which is its own key. */
struct statement variants_text(struct variants *v, void *request_mem, const char *sql);

#endif
