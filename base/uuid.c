/* UUIDs as text and as bytes. */
#include "base/uuid.h"

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool uuid_read(const char *text, unsigned char out[UUID_BYTES]) {
  for (int i = 0; i < UUID_BYTES; i++) {
    int high, low;

    if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') return false;
    if ((high = hex_digit(text[0])) < 0 || (low = hex_digit(text[1])) < 0) return false;
    out[i] = (unsigned char)(high << 4 | low);
    text += 2;
  }
  return *text == '\0';
}

void uuid_write(const unsigned char uuid[UUID_BYTES], char text[37]) {
  static const char hex[] = "0123456789abcdef";

  for (int i = 0; i < UUID_BYTES; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
    *text++ = hex[uuid[i] >> 4];
    *text++ = hex[uuid[i] & 15];
  }
  *text = '\0';
}
