/* The command line of `writ`: which subcommand, with what options. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  OPT_CONNINFO = 256,
  OPT_DATASOURCE,
  OPT_ROLE,
  OPT_USER,
  OPT_CLAIMS,
  OPT_DRY_RUN,
  OPT_OFFLINE,
  OPT_PRINT,
  OPT_KEYS,
  OPT_GRANT,
  OPT_KEY,
  OPT_DEAD,
  OPT_ALL_DEAD,
  OPT_JSON,
  OPT_SCHEMA,
  OPT_AFTER,
  OPT_NAME,
  OPT_EVENT_KEY,
  OPT_FOLLOW,
  OPT_SNAPSHOT
};
#define BIT(option) (1u << ((option)-OPT_CONNINFO))
enum { OF_CALLER = BIT(OPT_ROLE) | BIT(OPT_USER) | BIT(OPT_CLAIMS) | BIT(OPT_DRY_RUN) | BIT(OPT_KEY) };

struct subcommand {
  const char *name;
  int (*run)(void *mem, const struct options *o);
  int least, most;  /* operands */
  unsigned options; /* BITs of those that mean something to it */
  const char *usage, *help;
};

static const struct subcommand subcommands[] = {
    {"check", cli_check, 0, 0, BIT(OPT_OFFLINE) | BIT(OPT_PRINT) | BIT(OPT_KEYS), "check [--offline] [--print | --keys]",
     "look for mistakes in configuration, manifest, database and grants"},
    {"install", cli_install, 0, 0, BIT(OPT_CONNINFO) | BIT(OPT_DATASOURCE) | BIT(OPT_GRANT),
     "install [--datasource NAME] [--conninfo CONNINFO] [--grant ROLE]", "install or upgrade schema writ in the database"},
    {"run", cli_run, 1, 2, OF_CALLER,
     "run [--role R] [--user U] [--claims JSON] [--idempotency-key KEY] [--dry-run] NAME [JSON]",
     "run one command as a caller of the inside, and print the answer"},
    {"explain", cli_explain, 1, 2, OF_CALLER,
     "explain [--role R] [--user U] [--claims JSON] [--idempotency-key KEY] [--dry-run] NAME [JSON]",
     "print the statements that a command would run"},
    {"jobs", cli_jobs, 1, 1001, BIT(OPT_DATASOURCE) | BIT(OPT_DEAD) | BIT(OPT_ALL_DEAD) | BIT(OPT_JSON),
     "jobs [--datasource NAME] [--json] list [--dead] | show ID | retry ID... | drop ID...",
     "look at after-hooks that wait or failed for good, try them again or drop them"},
    {"state", cli_state, 1, 1, BIT(OPT_FOLLOW) | BIT(OPT_JSON), "state [--follow] [--json] UUID",
     "show how a mutation is going"},
    {"events", cli_events, 1, 1,
     BIT(OPT_DATASOURCE) | BIT(OPT_JSON) | BIT(OPT_AFTER) | BIT(OPT_NAME) | BIT(OPT_EVENT_KEY) | BIT(OPT_FOLLOW),
     "events [--datasource NAME] [--after POSITION] [--name NAME] [--key KEY] [--follow] [--json] tail",
     "print the event log, an event a line"},
    {"projection", cli_projection, 1, 2, BIT(OPT_DATASOURCE) | BIT(OPT_JSON) | BIT(OPT_SNAPSHOT),
     "projection [--datasource NAME] [--json] list | rebuild NAME [--from-snapshot POSITION] | drop NAME",
     "see how far projections and readers of the event log are, build one anew, forget one"},
    {"openapi", cli_openapi, 0, 0, BIT(OPT_ROLE), "openapi [--role R]",
     "print what a role may call, or with none the inside, as an OpenAPI document"},
    {"schema", cli_schema, 1, 10001,
     BIT(OPT_CONNINFO) | BIT(OPT_DATASOURCE) | BIT(OPT_SCHEMA) | BIT(OPT_ROLE) | BIT(OPT_JSON),
     "schema ddl|apply|introspect|check|print [--schema NAME]... [--datasource NAME] [--conninfo CONNINFO] [--role R] [--json] [FILE]\n"
     "  schema persist FILE...",
     "print or create the tables of a data model, write one from tables, hold one against them, print what GraphQL has of it;\n"
     "      store GraphQL documents"},
};

static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
                                             {"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, 'V'},
                                             {"conninfo", required_argument, NULL, OPT_CONNINFO},
                                             {"datasource", required_argument, NULL, OPT_DATASOURCE},
                                             {"role", required_argument, NULL, OPT_ROLE},
                                             {"user", required_argument, NULL, OPT_USER},
                                             {"claims", required_argument, NULL, OPT_CLAIMS},
                                             {"dry-run", no_argument, NULL, OPT_DRY_RUN},
                                             {"offline", no_argument, NULL, OPT_OFFLINE},
                                             {"print", no_argument, NULL, OPT_PRINT},
                                             {"keys", no_argument, NULL, OPT_KEYS},
                                             {"grant", required_argument, NULL, OPT_GRANT},
                                             {"dead", no_argument, NULL, OPT_DEAD},
                                             {"all-dead", required_argument, NULL, OPT_ALL_DEAD},
                                             {"json", no_argument, NULL, OPT_JSON},
                                             {"idempotency-key", required_argument, NULL, OPT_KEY},
                                             {"schema", required_argument, NULL, OPT_SCHEMA},
                                             {"after", required_argument, NULL, OPT_AFTER},
                                             {"name", required_argument, NULL, OPT_NAME},
                                             {"key", required_argument, NULL, OPT_EVENT_KEY},
                                             {"follow", no_argument, NULL, OPT_FOLLOW},
                                             {"from-snapshot", required_argument, NULL, OPT_SNAPSHOT},
                                             {0}};

static void print_help(FILE *out) {
  fprintf(out, "usage: writ [-c FILE] COMMAND ...\n\ncommands:\n");
  for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
    fprintf(out, "  %s\n      %s\n", subcommands[i].usage, subcommands[i].help);
  fprintf(
      out,
      "\noptions:\n"
      "  -c, --config FILE        configuration (" WRIT_CONFIG_FILE ")\n"
      "      --offline            check: do not ask the database\n"
      "      --print              check: print all settings that are in effect, with their meaning\n"
      "      --keys               check: print the names of all settings\n"
      "      --conninfo CONNINFO  install, schema: connect as the owner of the database\n"
      "      --datasource NAME    install: only this one (the first, with --conninfo); jobs, schema: this one (the first)\n"
      "      --grant ROLE         install: who writd logs in as (what the datasource says)\n"
      "      --dead               jobs list: only what failed for good\n"
      "      --all-dead HOOK      jobs retry, jobs drop: all of this hook that failed for good\n"
      "      --json               jobs list, jobs show, state, events, projection list, schema print: as JSON\n"
      "      --after POSITION     events: behind this one (0: from the beginning)\n"
      "      --name NAME          events: only of this name\n"
      "      --key KEY            events: only of this key\n"
      "      --follow             events: go on with those to come; state: until it has ended\n"
      "      --from-snapshot POSITION  projection rebuild: its tables are those of this position\n"
      "      --schema NAME        schema: of the database, as often as there are any (public, or what the file says)\n"
      "      --role ROLE          run, explain: the caller's role (anonymous); schema print, openapi: what it sees (all)\n"
      "      --user USER          run, explain: the caller's user\n"
      "      --claims JSON        run, explain: the caller's claims\n"
      "      --idempotency-key KEY  run, explain: a repeat gets the same answer\n"
      "      --dry-run            run, explain: roll back in the end\n"
      "  -h, --help               this text\n"
      "  -V, --version            the version\n\n"
      "JSON is an object of arguments ({} when left out); - reads it from standard input.\n");
}

static int usage_error(void) {
  fprintf(stderr, "writ: see writ --help\n");
  return 2;
}

static bool add_schema(struct options *o, const char *name) {
  if (o->nschemas == SCHEMAS_MAX) return false;
  o->schemas[o->nschemas++] = name;
  return true;
}

static bool set_position(int64_t *position, const char *value) {
  size_t n = strlen(value);

  *position = strtoll(value, NULL, 10);
  if (n && n < 19 && strspn(value, "0123456789") == n) return true;
  fprintf(stderr, "writ: %s is no position of the event log\n", value);
  return false;
}

static bool set_option(struct options *o, int option, const char *value) {
  if (option >= OPT_CONNINFO) o->given |= BIT(option);
  switch (option) {
  case 'c': o->config_file = value; return true;
  case OPT_CONNINFO: o->conninfo = value; return true;
  case OPT_DATASOURCE: o->datasource = value; return true;
  case OPT_GRANT: o->grant = value; return true;
  case OPT_DEAD: o->dead = true; return true;
  case OPT_ALL_DEAD: o->all_dead = value; return true;
  case OPT_JSON: o->json = true; return true;
  case OPT_ROLE: o->role = value; return true;
  case OPT_USER: o->user = value; return true;
  case OPT_KEY: o->key = value; return true;
  case OPT_CLAIMS: o->claims = value; return true;
  case OPT_DRY_RUN: o->dry_run = true; return true;
  case OPT_OFFLINE: o->offline = true; return true;
  case OPT_PRINT: o->print = true; return true;
  case OPT_KEYS: o->keys = true; return true;
  case OPT_SCHEMA: return add_schema(o, value);
  case OPT_AFTER: return set_position(&o->after, value);
  case OPT_FOLLOW: o->follow = true; return true;
  case OPT_SNAPSHOT: return set_position(&o->snapshot, value);
  case OPT_NAME: o->event_name = value; return true;
  case OPT_EVENT_KEY: o->event_key = value; return true;
  default: return false;
  }
}

/* An option that is not heeded would be a surprise: install --dry-run, say. */
static bool check_options(const struct subcommand *s, unsigned given) {
  for (const struct option *option = long_options; option->name; option++) {
    if (option->val < OPT_CONNINFO || !(given & ~s->options & BIT(option->val))) continue;
    fprintf(stderr, "writ: %s takes no --%s\nusage: writ [-c FILE] %s\n", s->name, option->name, s->usage);
    return false;
  }
  return true;
}

static int run_subcommand(struct options *o, int argc, char **argv) {
  for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++) {
    const struct subcommand *s = &subcommands[i];
    void *mem;
    int code;

    if (strcmp(argv[0], s->name) != 0) continue;
    if (argc - 1 < s->least || argc - 1 > s->most) {
      fprintf(stderr, "usage: writ [-c FILE] %s\n", s->usage);
      return 2;
    }
    if (!check_options(s, o->given)) return 2;
    o->operands = (const char *const *)argv + 1;
    o->noperands = argc - 1;
    o->name = argc > 1 ? argv[1] : NULL;
    o->arguments = argc > 2 ? argv[2] : NULL;
    mem = talloc_new(NULL);
    code = s->run(mem, o);
    talloc_free(mem);
    return code;
  }
  fprintf(stderr, "writ: there is no command %s\n", argv[0]);
  return usage_error();
}

int main(int argc, char **argv) {
  struct options o = {.config_file = WRIT_CONFIG_FILE, .snapshot = -1};
  int option;

  arena_init();
  log_init("writ");
  while ((option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1) {
    if (option == 'h') {
      print_help(stdout);
      return 0;
    }
    if (option == 'V') {
      printf("writ %s\n", PACKAGE_VERSION);
      return 0;
    }
    if (!set_option(&o, option, optarg)) return usage_error();
  }
  if (optind == argc) {
    print_help(stderr);
    return 2;
  }
  return run_subcommand(&o, argc - optind, argv + optind);
}
