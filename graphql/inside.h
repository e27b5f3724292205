/* The inside of the parser, for parse.c (runs it), scan.l (tokens), strings.c (what they mean) and grammar.y (the tree).
 *
 * The text is copied once, and the tree's names, numbers and strings are places in that copy: a NUL is put behind each as
 * soon as the scanner has gone past. Escapes are decoded in place, as they never get longer. */
#ifndef WRIT_GRAPHQL_INSIDE_H
#define WRIT_GRAPHQL_INSIDE_H

#include "base/err.h"
#include "graphql/ast.h"
#include "graphql/parse.h"

struct parser {
  const void *mem;
  struct err *e;
  const struct graphql_limits *limits;
  void *scanner;          /* flex's */
  char *room, *room_end;  /* of the block that nodes are cut from */
  size_t block_bytes;     /* of the next block */
  bool wide;              /* the text has characters of several bytes */
  const char *line_start; /* first byte of the present line */
  unsigned line;
  unsigned beyond;   /* bytes of this line, so far, that begin no character */
  char *word_end;    /* where the NUL of the last name or number belongs, when the next token has begun; or NULL */
  const char *token; /* the last token, if a name or number, for messages */
  unsigned tokens, depth;
  int start;    /* a token that says what is to be read, given ahead of the text; 0: it has been given */
  bool refused; /* *e is filled */
  const struct graphql_definition *definitions; /* what came of it */
  const struct graphql_selection *selections;
};

/* Fills *p->e, the first time, and gives false. */
bool graphql_refuse(struct parser *p, struct graphql_pos pos, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool graphql_refuse_size(struct parser *p, struct graphql_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* size bytes for a node, not set to anything. */
void *graphql_room(struct parser *p, size_t size) __attribute__((returns_nonnull, warn_unused_result));

/* A node of type T with these members, the others zero. */
#define GRAPHQL_NODE(p, T, ...)                                                                                             \
  ({                                                                                                                        \
    T *node_ = graphql_room((p), sizeof(T));                                                                                \
    *node_ = (T){__VA_ARGS__};                                                                                              \
    node_;                                                                                                                  \
  })

/* Bytes among these n that begin no character: what a column does not count. */
unsigned graphql_beyond(const char *text, size_t n);

/* The scanner on text, which has len bytes and two NULs behind them, and which it changes; at the end. */
void graphql_scan_open(struct parser *p, char *text, size_t len);
void graphql_scan_close(struct parser *p);

/* Is it UTF-8 (RFC 3629) without a NUL? True sets *wide; false gives the offset of the first bad byte. */
bool graphql_text_valid(const char *text, size_t len, bool *wide, size_t *bad);

/* The value of a string with escapes; text: between its quotes, decoded in place, len bytes that become *len. */
bool graphql_decode(struct parser *p, struct graphql_pos pos, char *text, size_t *len) __attribute__((warn_unused_result));

/* BlockStringValue() of the specification, section 2.9.4; text: between the triple quotes, in place as above. */
void graphql_decode_block(char *text, size_t *len);

bool graphql_is_word(char c); /* may it stand within a name? */

#endif
