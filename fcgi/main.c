/* writd: the FastCGI server. Reads its options and files, then becomes the supervisor. */
#include "base/arena.h"
#include "base/log.h"
#include "base/problems.h"
#include "fcgi/setup.h"
#include "fcgi/supervise.h"
#include "manifest/config.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
  const char *config_file;
  bool check_only;
};

static const char usage[] = "usage: writd [-c FILE] [-t]\n"
                            "\n"
                            "Serves the commands of a manifest over FastCGI. Stays in the foreground and logs to stderr.\n"
                            "\n"
                            "  -c, --config FILE  configuration [" WRIT_CONFIG_FILE "]\n"
                            "  -t, --test         check configuration and manifest, then exit: 0 fine, 1 not\n"
                            "  -V, --version      print the version\n"
                            "  -h, --help         print this\n"
                            "\n"
                            "SIGHUP reloads, SIGTERM finishes the requests in work and ends, SIGQUIT ends at once.\n";

/* -1: go on; otherwise the exit status. */
static int read_options(int argc, char **argv, struct options *o) {
  static const struct option names[] = {
      {"config", required_argument, NULL, 'c'},
      {"test", no_argument, NULL, 't'},
      {"version", no_argument, NULL, 'V'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  int option;

  *o = (struct options){.config_file = WRIT_CONFIG_FILE};
  while ((option = getopt_long(argc, argv, "c:tVh", names, NULL)) != -1) {
    switch (option) {
    case 'c': o->config_file = optarg; break;
    case 't': o->check_only = true; break;
    case 'V': puts("writd " PACKAGE_VERSION); return 0;
    case 'h': fputs(usage, stdout); return 0;
    default: fputs(usage, stderr); return 2;
    }
  }
  if (optind == argc) return -1;
  fprintf(stderr, "writd: unexpected argument: %s\n%s", argv[optind], usage);
  return 2;
}

/* Descriptors 0 to 2 must be open before anything else is: a socket in the place of stderr would get the log. */
static void open_standard(void) {
  int fd;

  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) close(fd);
}

int main(int argc, char **argv) {
  struct options options;
  struct problems problems;
  struct setup *setup;
  void *mem;
  int status = read_options(argc, argv, &options);

  if (status >= 0) return status;
  open_standard();
  arena_init();
  mem = arena_request(NULL);
  problems_init(&problems, mem);
  setup = setup_load(NULL, options.config_file, &problems);
  if (setup && !setup_try_modules(setup, &problems)) {
    talloc_free(setup);
    setup = NULL;
  }
  problems_print(&problems);
  talloc_free(mem);
  if (setup && options.check_only) {
    printf("writd: %s and %s are fine\n", setup->config->file, setup->config->manifest);
    talloc_free(setup);
    return 0;
  }
  return setup ? supervise(options.config_file, setup) : 1;
}
