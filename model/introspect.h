/* The data model of an existing database, as SDL. */
#ifndef WRIT_MODEL_INTROSPECT_H
#define WRIT_MODEL_INTROSPECT_H

struct db_tables;
struct problems;

/* schema: of types that need not name theirs, the first that was asked for. What cannot be expressed is left out, with a
 * comment that says so. *p gets an error where the text, read again, is no data model: a mistake of ours, told rather than
 * hidden. */
const char *model_introspect(const void *mem, const struct db_tables *tables, const char *schema, struct problems *p)
    __attribute__((returns_nonnull));

#endif
