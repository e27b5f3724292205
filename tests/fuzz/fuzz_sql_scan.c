/* Fuzz target: the :name scanner, as a command's statement and as a check. What it accepts must be the text given,
 * must read the same again, and must not break out of a statement that it is put into. */
#include "base/arena.h"
#include "base/str.h"
#include "manifest/sql_scan.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pieces and names are the text up to a ; that was dropped; blanks before a parameter may have been added. */
static void demand_same_text(const struct sql_scan *s, const char *sql) {
  for (size_t i = 0; i <= s->nuses; i++) {
    size_t len = strlen(s->pieces[i]);
    if (i < s->nuses && len > 0 && strncmp(sql, s->pieces[i], len) != 0) {
      len--;
      demand(s->pieces[i][len] == ' ' && sql[len] == ':');
    }
    demand(strncmp(sql, s->pieces[i], len) == 0);
    sql += len;
    if (i == s->nuses) break;
    demand(s->uses[i] < s->nnames);
    const char *name = s->names[s->uses[i]];
    demand(sql_is_name(name) && sql[0] == ':' && strncmp(sql + 1, name, strlen(name)) == 0);
    sql += 1 + strlen(name);
  }
  demand(*sql == ';' || *sql == '\0');
}

/* The statement again between two texts, with its parameters as :name or, with dollar, as $1. */
static const char *rebuild(void *mem, const struct sql_scan *s, const char *before, const char *behind, bool dollar) {
  struct str *out = str_new(mem, 256);
  str_add(out, before);
  for (size_t i = 0; i <= s->nuses; i++) {
    str_add(out, s->pieces[i]);
    if (i == s->nuses) break;
    if (dollar) str_printf(out, "$%u", s->uses[i] + 1);
    else str_printf(out, ":%s", s->names[s->uses[i]]);
  }
  str_add(out, behind);
  return out->p;
}

static void demand_same_shape(const struct sql_scan *a, const struct sql_scan *b) {
  demand(a->verb == b->verb && a->recursive == b->recursive && strcmp(a->first_word, b->first_word) == 0);
  demand(a->main_piece == b->main_piece && a->main_offset == b->main_offset && a->with_list_offset == b->with_list_offset);
}

static void demand_same_names(const struct sql_scan *a, const struct sql_scan *b) {
  demand(a->nuses == b->nuses && a->nnames == b->nnames);
  for (size_t i = 0; i < a->nuses; i++) demand(a->uses[i] == b->uses[i]);
  for (size_t i = 0; i < a->nnames; i++) demand(strcmp(a->names[i], b->names[i]) == 0);
}

static void demand_main(const struct sql_scan *s) {
  demand(s->main_piece <= s->nuses && s->main_offset <= strlen(s->pieces[s->main_piece]));
  demand(s->with_list_offset <= strlen(s->pieces[0]));
  if (s->with_list_offset == 0) {
    demand(s->main_piece == 0 && s->main_offset == 0 && !s->recursive);
    return;
  }
  demand(s->main_piece > 0 || s->main_offset > s->with_list_offset);
  demand(s->main_offset < strlen(s->pieces[s->main_piece]));
  char first = s->pieces[s->main_piece][s->main_offset];
  demand(first == '(' || strchr("_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", first) ||
         (unsigned char)first >= 0x80);
}

static void try_text(void *mem, const char *sql, bool expression) {
  struct sql_scan s, again;
  struct err e;

  err_init(&e, mem);
  if (!sql_scan(mem, sql, expression, &s, &e)) {
    demand(e.code == ERR_BAD_REQUEST && e.message);
    return;
  }
  demand_same_text(&s, sql);
  demand_main(&s);
  demand(sql_scan(mem, rebuild(mem, &s, "", "", false), expression, &again, &e));
  demand_same_shape(&s, &again);
  demand_same_names(&s, &again);
  bool plain = sql_scan(mem, rebuild(mem, &s, "", "", true), expression, &again, &e);
  demand(plain == (s.nuses == 0));

  demand(sql_scan(mem, rebuild(mem, &s, "with q as (", "\n) update t set x = :writ_last", false), false, &again, &e));
  demand(again.verb == SQL_UPDATE && again.nuses == s.nuses + 1 && again.main_piece == s.nuses);
  demand(strncmp(again.pieces[again.main_piece] + again.main_offset, "update t", 8) == 0);
  demand(strcmp(again.names[again.uses[s.nuses]], "writ_last") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  char *sql = arena_strndup(mem, (const char *)data, size);

  for (int expression = 0; expression <= 1; expression++) try_text(mem, sql, expression);
  talloc_free(mem);
  return 0;
}
