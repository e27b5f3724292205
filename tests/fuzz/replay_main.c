/* Runs a fuzz target on the files named as arguments: seeds, and inputs that once crashed it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly size bytes, so that the sanitizers see one byte too many. */
static int replay(const char *path) {
  FILE *file = fopen(path, "rb");
  uint8_t *data = NULL;
  long size = -1;
  int status = 1;

  if (file && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  if (size >= 0) data = malloc(size ? (size_t)size : 1);
  if (data && fseek(file, 0, SEEK_SET) == 0 && fread(data, 1, (size_t)size, file) == (size_t)size) {
    status = LLVMFuzzerTestOneInput(data, (size_t)size);
  } else {
    perror(path);
  }
  free(data);
  if (file) fclose(file);
  return status;
}

int main(int argc, char **argv) {
  int i, status = 0;

  if (argc < 2) {
    fprintf(stderr, "usage: %s FILE...\n", argv[0]);
    return 2;
  }
  for (i = 1; i < argc; i++) {
    if (getenv("VERBOSE")) fprintf(stderr, "%s\n", argv[i]);
    status |= replay(argv[i]);
  }
  return status ? 1 : 0;
}
