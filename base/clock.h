/* Time: monotonic for waits and measurements. */
#ifndef WRIT_BASE_CLOCK_H
#define WRIT_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_us(void); /* microseconds, CLOCK_MONOTONIC */
static inline int64_t clock_ms(void) { return clock_us() / 1000; }
/* A UUID version 7 (RFC 9562 section 5.7) as text: 36 characters and NUL. */
void clock_uuid7(char text[37]);
/* A key for a row, as long as cuids are: c, the microseconds since 1970 in 13 hexadecimal digits (until 2112), 11 random ones; 25
 * characters and NUL. Those of one process sort in the order they were made, whatever the clock does. model/ddl.c has the same in
 * SQL. */
void clock_cuid(char text[26]);

#endif
