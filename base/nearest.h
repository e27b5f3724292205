/* "Did you mean": the likeliest name in place of a slip. */
#ifndef WRIT_BASE_NEAREST_H
#define WRIT_BASE_NEAREST_H

/* The one of names (NULL at the end) that word is likely to be a slip of, or NULL. */
const char *nearest(const char *word, const char *const *names);

#endif
