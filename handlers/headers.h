/* What stands in the header fields that count: small grammars of HTTP, without any state. */
#ifndef WRIT_HANDLERS_HEADERS_H
#define WRIT_HANDLERS_HEADERS_H

#include <stdbool.h>

/* RFC 9110 section 12.5.1: may the answer be application/json? NULL or empty: yes. What cannot be parsed is passed
 * over. */
bool headers_accept_json(const char *accept);
/* The same of text/event-stream. */
bool headers_accept_events(const char *accept);

/* Which of the two media types of GraphQL over HTTP the answer is to be: by the weights, then by what comes first; application/json
 * where that is left open. MEDIA_NONE: neither may be. */
enum media { MEDIA_NONE, MEDIA_JSON, MEDIA_GRAPHQL };
enum media headers_accept_graphql(const char *accept);

/* RFC 9110 section 8.3: application/json, with no charset or utf-8. */
bool headers_is_json(const char *content_type);

/* RFC 7240: does the first preference called name have that value? Both in lower case; compared without case. */
bool headers_prefer(const char *prefer, const char *name, const char *value);

/* A client's X-Request-Id that may go into log lines and answers as it is: 1 to 128 printable ASCII characters without
 * blanks, quotes and backslashes. */
bool headers_request_id(const char *id);

/* W3C Trace Context: the 32 hex digits of the trace id, or false. */
bool headers_trace_id(const char *traceparent, char id[33]);

bool headers_is_utf8(const char *text);
/* RFC 9110 section 13.1.2: does If-None-Match name the tag ("7", in quotes), or any? Weak comparison. NULL: no. */
bool headers_tag_matches(const char *if_none_match, const char *tag);

/* Text of nginx that goes into claims, logs and answers: valid UTF-8 without control characters. */
bool headers_is_text(const char *text);

#endif
