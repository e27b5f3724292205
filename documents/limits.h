/* How much a document may ask for. Counted with fragments in their places, for each operation, whatever @skip and
 * @include say. */
#ifndef WRIT_DOCUMENTS_LIMITS_H
#define WRIT_DOCUMENTS_LIMITS_H

/* 0: no limit. */
struct document_limits {
  unsigned depth;      /* fields within each other: 1 for { a }, 2 for { a { b } } */
  unsigned nodes;      /* fields */
  unsigned aliases;    /* fields with another name in the answer than their own */
  unsigned complexity; /* each field counts 1; what is within a list ten times, within a list in a list a hundred times */
};

#endif
