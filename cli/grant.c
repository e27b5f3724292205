/* Rights on writ's own tables, for the role that writd logs in as. */
#include "cli/cli.h"

#include "base/str.h"
#include "db/catalog.h"

/* The GRANT that is missing; NULL: the role has it all. */
static bool missing_grant(void *mem, const char *conninfo, const char *role, char **grant, struct err *e) {
  struct str *sql = str_new(mem, 1024);

  /* Not on sequences: identity columns need no right on theirs. */
  str_add(sql, "select format('grant select, insert, update, delete on all tables in schema writ to %1$I;"
               " grant execute on all functions in schema writ to %1$I', r.rolname)"
               " from pg_catalog.pg_roles r where r.rolname = ");
  str_sql_literal(sql, role);
  str_add(sql, " and (exists (select from pg_catalog.pg_proc p where p.pronamespace = 'writ'::regnamespace"
               " and not has_function_privilege(r.oid, p.oid, 'execute'))"
               " or exists (select from pg_catalog.pg_class c where c.relnamespace = 'writ'::regnamespace"
               " and c.relkind in ('r', 'p') and not c.relispartition and not (has_table_privilege(r.oid, c.oid, 'select')"
               " and has_table_privilege(r.oid, c.oid, 'insert') and has_table_privilege(r.oid, c.oid, 'update')"
               " and has_table_privilege(r.oid, c.oid, 'delete'))))");
  return catalog_ask(conninfo, mem, sql->p, grant, e);
}

static bool is_role(void *mem, const char *conninfo, const char *name, bool *is, struct err *e) {
  struct str *sql = str_new(mem, 256);
  char *text;

  str_add(sql, "select 1 from pg_catalog.pg_roles where rolname = ");
  str_sql_literal(sql, name);
  if (!catalog_ask(conninfo, mem, sql->p, &text, e)) return false;
  *is = text != NULL;
  return true;
}

bool cli_grant(void *mem, const char *conninfo, const char *role, bool must, const char **granted, struct err *e) {
  char *grant;
  bool is;

  *granted = NULL;
  if (!is_role(mem, conninfo, role, &is, e)) return false;
  if (!is) return !must || err_set(e, NOT_FOUND, "There is no role \"%s\" in the database.", role);
  if (!missing_grant(mem, conninfo, role, &grant, e)) return false;
  if (grant && !catalog_run_script(conninfo, (const char *const[]){CLI_INSTALL_LOCK, grant}, 2, e)) return false;
  *granted = role;
  return true;
}
