/* UUIDs (RFC 9562) as text and as bytes; clock_uuid7 (base/clock.h) makes them. */
#ifndef WRIT_BASE_UUID_H
#define WRIT_BASE_UUID_H

#include <stdbool.h>

enum { UUID_BYTES = 16 };

/* A UUID as text, of any version, in upper or lower case. False: it is none. */
bool uuid_read(const char *text, unsigned char out[UUID_BYTES]);
/* 36 characters and NUL, lower case. */
void uuid_write(const unsigned char uuid[UUID_BYTES], char text[37]);

#endif
