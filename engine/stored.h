/* GraphQL documents in the database, which all workers share: table writ.document of the first datasource. */
#ifndef WRIT_ENGINE_STORED_H
#define WRIT_ENGINE_STORED_H

#include "base/digest.h"
#include "engine/engine.h"

/* *text NULL: there is none of that hash, or (known_only) none that `writ schema persist` has stored. In mem. */
bool stored_find(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], bool known_only,
                 const struct invocation *call, struct report *report, const char **text, size_t *len, struct err *e)
    __attribute__((warn_unused_result));
/* Stores one for a client. Others that were not used for graphql.stored_days give way, and, above graphql.stored_documents, those
 * whose last use is longest ago. */
bool stored_keep(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], const char *text,
                 const struct invocation *call, struct report *report, struct err *e) __attribute__((warn_unused_result));
/* The same for `writ schema persist`: for good, and known. */
bool stored_persist(struct engine *engine, void *mem, const unsigned char hash[DIGEST_BYTES], const char *text,
                    const struct invocation *call, struct err *e) __attribute__((warn_unused_result));

#endif
