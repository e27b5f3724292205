"""The tool writ: check, install, run, explain; its exit codes, what it says and where it says it is."""

import json
import os
import re
import subprocess

import pytest

import harness

SCHEMA = """
create table person (id bigint generated always as identity primary key, name text not null unique, age integer);
create table closed (text text);
grant select, insert, update on person to writ;
create role cli_reader;
create role cli_writer;
grant cli_reader, cli_writer to writ;
grant select on person to cli_reader, cli_writer;
grant insert on person to cli_writer;
"""

MANIFEST = """
specVersion: 1
commands:
  add_person:
    sql: insert into person (name, age) values (:name, :age) returning id, name
    args: { name: text, age: { type: integer, default: null } }
    returns: one
  find_person: { sql: "select id, name from person where name = :name", returns: optional }
  count_people: { sql: "select count(*) as n from person", returns: one }
  is_adult: { check: ":age >= 18", args: { age: integer }, error: { code: TOO_YOUNG, message: Come back later. } }
  echo: { sql: "select :v as v", args: { v: jsonb }, returns: one }
  who: { sql: "select current_setting('request.role') as role, current_setting('request.user') as user,
               current_setting('request.jwt.claims')::json as claims", returns: one, allow: [nobody_at_all] }
  sign_up:
    args: { name: text, age: integer }
    commands:
      - is_adult: { age: $args.age }
      - add_person: { name: $args.name, age: $args.age }
        as: person
      - find_person: { name: $person.name }
    result: $person
"""


class Folder:
    """A folder with writ.yaml and manifest.yaml, and the tool run on it."""

    def __init__(self, database, manifest=MANIFEST, **settings):
        self.path = harness.workspace().folder("cli")
        self.file = self.path / "writ.yaml"
        self.manifest = self.path / "manifest.yaml"
        self.manifest.write_text(manifest)
        self.file.write_text(harness.settings_text(harness.settings_for(database, self.path, **settings)))

    def __call__(self, *arguments, standard_input=b"", **environment):
        """(exit status, standard output, standard error)"""
        done = subprocess.run([str(harness.workspace().bin / "writ"), "-c", str(self.file), *map(str, arguments)],
                              input=standard_input,
                              capture_output=True, timeout=60 * harness.PATIENCE,
                              env=harness.environment(**environment), cwd=self.path,
                              **harness.identity())
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def writ(database):
    return Folder(database)


def line_of(text, part):
    """The number of the line in which part stands."""
    return text[:text.index(part)].count("\n") + 1


# ---------------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize("arguments, status", [
    (["-h"], 0), (["--help"], 0), (["-V"], 0), (["--version"], 0), ([], 2), (["no_such"], 2),
    (["check", "too", "many"], 2), (["run"], 2), (["explain"], 2),
    (["run", "a", "b", "c"], 2), (["--no-such-option", "check"], 2), (["install", "--datasource"], 2),
    (["install", "extra"], 2), (["install", "--dry-run"], 2), (["check", "--role", "x"], 2), (["run", "--offline", "echo"], 2),
    (["explain", "--conninfo", "x", "echo"], 2), (["--print", "run", "echo"], 2),
])
def test_command_line(writ, arguments, status):
    code, out, err = writ(*arguments)
    assert code == status
    assert (out if status == 0 else err).strip()
    assert status == 0 or not out
    if arguments and arguments[0] in ("-h", "--help"):
        for word in ("check", "install", "run", "explain", "--conninfo", "--dry-run", "--claims"):
            assert word in out


def test_options_may_stand_behind_the_command(writ):
    code, out, _ = writ("run", "count_people", "{}", "--dry-run")
    assert code == 0 and "n" in json.loads(out)["result"]
    code, out, _ = writ("--dry-run", "run", "count_people")
    assert code == 0


def test_no_configuration(database):
    folder = Folder(database)
    folder.file.unlink()
    for command in (["check"], ["install"], ["run", "echo"], ["explain", "echo"]):
        code, out, err = folder(*command)
        assert code == 1 and "writ.yaml" in err and "No such file" in err and not out


# ---------------------------------------------------------------------------------------------------- check


def test_check(writ, database):
    code, out, err = writ("check")
    assert (code, err) == (0, "") and "no errors" in out
    code, out, err = writ("check", "--offline")
    assert (code, err) == (0, "")


def test_check_without_a_database(database):
    folder = Folder(database, datasources={"default": "host=/nonexistent dbname=x"})
    assert folder("check", "--offline")[0] == 0
    code, out, err = folder("check")
    assert code == 1 and "/nonexistent" in err
    assert out == ""


BROKEN = """specVersion: 1
colour: red
roles: { anonymous: cli_reader }
constraints:
  person_name_key: { status: 409, message: Taken. }
commands:
  1st: { sql: select 1 as one }
  execute_command_set: { sql: select 1 as one }
  nothing: {}
  both: { sql: select 1 as one, check: "true" }
  unknown_key: { sql: select 1 as one, return: one }
  bad_returns: { sql: select 1 as one, returns: several }
  bad_role: { sql: select 1 as one, allow: [stranger] }
  commits: { sql: commit }
  creates: { sql: "create table x (y int)" }
  two: { sql: "select 1 as one; select 2 as two" }
  open_quote: { sql: "select 'x" }
  undeclared: { sql: "select :x::int as x", args: { y: int } }
  bad_type: { sql: "select :x as x", args: { x: "int; drop table person" } }
  writes: { check: "delete from person" }
  bad_status: { check: "true", error: { status: 200 } }
  bad_source: { sql: select 1 as one, datasource: elsewhere }
  handler: { module: ./none.so }
  empty: { commands: [] }
  of_nothing:
    commands:
      - no_such_command: {}
  of_bad_args:
    args: { unused: text }
    commands:
      - good: { a: $args.none, z: 1 }
      - good: { a: $later.x }
      - good: {}
        as: later
    result: $never
  circle:
    commands:
      - circle_too: {}
  circle_too:
    commands:
      - circle: {}
  good: { sql: "select :a::int as a", returns: one }
"""

# What must be complained of, by (part of) the line that is wrong, and words of the message.
COMPLAINTS = [
    ("colour: red", "colour"), ("person_name_key:", "code"), ("1st:", "1st"), ("execute_command_set:", "own"),
    ("nothing:", "needed"), ("both:", "only one"),
    ("return: one", "returns"), ("bad_returns:", "several"), ("bad_role:", "stranger"), ("commits:", "COMMIT"),
    ("creates:", "CREATE"), ("two:", "two"),
    ("open_quote:", "open_quote"), ("undeclared:", "x"), ("bad_type:", "type"), ("writes:", "DELETE"),
    ("bad_status:", "status"), ("bad_source:", "elsewhere"),
    ("handler: { module", "handler: module: file:"), ("empty:", "list"),
    ("- no_such_command", "no_such_command"), ("unused: text", "unused"),
    ("a: $args.none", "$args.none"), ("a: $args.none", "z"),
    ("a: $later.x", "$later.x"), ("- good: {}", "a"), ("result: $never", "$never"), ("circle: {}", "circle"),
]


def test_check_tells_all_that_is_wrong_at_once(database):
    folder = Folder(database, BROKEN)
    code, out, err = folder("check", "--offline")
    assert code == 1 and not out
    told = [(int(match[1]), match[2]) for match in re.finditer(rf"^.*?{re.escape(str(folder.manifest))}:(\d+): (.*)$",
                                                               err, re.MULTILINE)]
    for part, word in COMPLAINTS:
        line = line_of(BROKEN, part)
        assert any(number == line and word in message for number,
                   message in told), f"line {line}, {part}: {word}\n{err}"
    assert not [message for number, message in told if number == line_of(BROKEN, "  good: {")]
    for command in (["check"], ["run", "good", '{"a": 1}'], ["explain", "good"], ["install"]):
        assert folder(*command)[0] == 1


@pytest.mark.parametrize("text, word", [
    ("", "empty|specVersion"), ("specVersion: 2\ncommands: {}\n", "specVersion"), ("specVersion: 1\n", "commands"),
    ("- 1\n", "mapping"), ("specVersion: 1\ncommands: [\n", ":"),
    ("specVersion: 1\ncommands:\n  a: { sql: select 1 as x }\n  a: { sql: select 2 as x }\n", "a"),
    ("specVersion: 1\n\tcommands: {}\n", ":"), ("specVersion: 1\ncommands: \xff\n", ":"),
    ("specVersion: 1\ncommands:\n  a: &x { sql: select 1 as x }\n  b: *x\n", ""),
])
def test_manifests_that_are_none(database, text, word):
    folder = Folder(database)
    folder.manifest.write_bytes(text.encode("latin-1"))
    code, _, err = folder("check", "--offline")
    if word:
        assert code == 1 and re.search(word, err) and "manifest.yaml" in err, err
    else:
        assert code in (0, 1)


SETTINGS_BROKEN = """workers: many
workres: 4
timeout_ms: -1
log_level: loud
border: { socket: 5, mode: "9999", colour: red }
limits: { depth: 100000 }
datasources: { default: { prepared: true } }
manifest: manifest.yaml
"""


def test_check_tells_all_that_is_wrong_in_the_settings(database):
    folder = Folder(database)
    folder.file.write_text(SETTINGS_BROKEN)
    code, _, err = folder("check", "--offline")
    assert code == 1
    for line, word in ((1, "workers"), (2, "workers"), (3, "timeout_ms"), (4, "log_level"), (5, "border"), (6, "depth"),
                       (7, "conninfo")):
        assert re.search(rf"writ\.yaml:{line}: .*{word}", err), f"{line}: {word}\n{err}"


@pytest.mark.parametrize("conninfo", ["host=x password='sesame", "postgresql://u:sesame%zz@h/db", "sesame"])
def test_a_conninfo_that_libpq_cannot_read(database, conninfo):
    """Found without asking anybody, and not repeated: it may hold a password."""
    folder = Folder(database, datasources={"default": conninfo})
    code, out, err = folder("check", "--offline")
    assert code == 1 and not out
    assert re.search(r"writ\.yaml:\d+: .*conninfo", err) and "sesame" not in err


NOT_FOR_THIS_DATABASE = """specVersion: 1
roles: { anonymous: cli_reader, writer: cli_writer, ghost: cli_no_such_role }
commands:
  fine: { sql: "select id from person", allow: [anonymous, writer] }
  no_table: { sql: "select x from no_such_table" }
  no_column: { sql: "insert into person (nam) values (:name)" }
  syntax: { sql: "select from from" }
  no_type: { sql: "select :x as x", args: { x: no_such_type }, returns: one }
  two_types: { sql: "insert into person (name, age) values (:x, :x)" }
  no_idea: { sql: "select :what is null as x", returns: one }
  no_name: { sql: "select 1, 2", returns: one }
  same_name: { sql: "select 1 as a, 2 as a", returns: one }
  no_rows: { sql: "insert into person (name) values (:name)", returns: one }
  not_boolean: { check: "select 5" }
  of_no_type: { args: { x: no_type_at_all }, commands: [ fine: {}, add: { x: $args.x } ] }
  add: { sql: "select :x::text as x", returns: one }
  not_granted: { sql: "insert into person (name) values (:name)", allow: [anonymous, writer] }
  closed: { sql: "select text from closed", allow: [writer] }
  by_a_ghost: { sql: "select 1 as one", allow: [ghost], returns: one }
"""


def test_check_asks_the_database(database):
    folder = Folder(database, NOT_FOR_THIS_DATABASE)
    assert folder("check", "--offline")[0] == 0
    code, _, err = folder("check")
    assert code == 1
    for name, word in (("no_table", "no_such_table"), ("no_column", "nam"), ("syntax", "syntax"),
                       ("no_type", "no_such_type"), ("two_types", ":x"), ("no_idea", ":what"), ("no_name", "name"),
                       ("same_name", '"a"'), ("no_rows", "returning"), ("not_boolean", "boolean"),
                       ("of_no_type", "no_type_at_all"), ("not_granted", "cli_reader"), ("closed", "cli_writer"),
                       ("by_a_ghost", "cli_no_such_role")):
        line = line_of(NOT_FOR_THIS_DATABASE, f"  {name}:")
        assert re.search(rf"manifest\.yaml:{line}: error: {name}\b.*{word}", err), f"line {line}, {name}: {word}\n{err}"
    assert not re.search(r": fine", err)
    assert not re.search(r"not_granted.*cli_writer", err)  # the role that has the grant is not complained of
    assert database.one("select count(*) from person where name is null") == 0  # nothing was run


def test_check_tells_that_schema_writ_is_missing(postgres):
    empty = harness.Database(postgres, "test_cli_missing", install=False)
    try:
        code, _, err = Folder(empty, "specVersion: 1\ncommands: { one: { sql: select 1 as one } }\n")("check")
        assert code == 1 and "writ install" in err
    finally:
        empty.drop()


def test_print_reads_back(database):
    folder = Folder(database, workers=3, timeout_ms=1234, limits={"depth": 7}, lock_timeout_ms=5,
                    datasources={"default": database.conninfo,
                                 "second": {"conninfo": "host=/x password='it\\'s \"q\" #1'", "prepared": False}})
    code, out, err = folder("check", "--print")
    assert (code, err) == (0, "")
    assert re.search(r"^workers: 3\b", out, re.MULTILINE) and re.search(r"^timeout_ms: 1234\b", out, re.MULTILINE)
    for key in folder("check", "--keys")[1].split():
        last = key.split(".")[-1]
        assert "NAME" in key or re.search(rf"^[\s#]*{last}:", out, re.MULTILINE), key
    folder.file.write_text(out)
    assert folder("check", "--offline")[0] == 0
    assert folder("check", "--print")[1] == out


def test_keys(writ):
    code, out, _ = writ("check", "--keys")
    assert code == 0 and {"manifest", "workers", "border.socket", "limits.rows", "log_level"} <= set(out.split())


# ---------------------------------------------------------------------------------------------------- install


@pytest.fixture
def empty(postgres):
    database = harness.Database(postgres, "test_cli_empty",
                                "create table person (id int); grant select on person to writ", install=False)
    yield database
    database.drop()


NEWEST = max(int(file.stem) for file in (harness.SOURCE / "sql" / "install").glob("*.sql"))
ONE = "specVersion: 1\ncommands: { one: { sql: select 1 as one, returns: one }, fails: { check: 'false' } }\n"


def test_install(empty):
    folder = Folder(empty, ONE)
    code, _, err = folder("run", "one")
    assert code == 1 and "writ install" in err
    code, _, err = folder("install")  # the login role may not
    assert code == 1 and "permission denied" in err
    assert empty.one("select to_regnamespace('writ')") is None
    code, out, err = folder("install", "--conninfo", empty.admin_conninfo)
    assert (code, err) == (0, "") and f"version {NEWEST} " in out
    functions = "select oid, proname, xmin::text from pg_proc where pronamespace = 'writ'::regnamespace order by oid"
    before = empty.execute(functions)
    for _ in range(2):
        code, out, err = folder("install", "--conninfo", empty.admin_conninfo)
        assert (code, err) == (0, "") and "nothing to do" in out
    code, out, err = folder("install")  # nothing to do needs no right
    assert (code, err) == (0, "")
    assert empty.execute(functions) == before
    assert folder("run", "one")[:2] == (0, '{"result":{"one":1}}\n')


def test_install_grants_no_more_than_it_says(empty):
    empty.install()
    assert empty.execute("select proname::text from pg_proc, aclexplode(proacl) "
                         "where pronamespace = 'writ'::regnamespace and grantee = 0 and "
                         "privilege_type = 'EXECUTE' order by 1") == [("assert",), ("dispatch",), ("fail",),
                                                                                  ("version",)]
    assert empty.execute("select privilege_type from pg_namespace, aclexplode(nspacl) "
                         "where nspname = 'writ' and grantee = 0") == [("USAGE",)]
    assert not empty.one("select has_schema_privilege('writ', 'writ', 'create')")
    assert empty.execute("select distinct grantee::regrole::text, privilege_type from pg_class, aclexplode(relacl) "
                         "where relnamespace = 'writ'::regnamespace and grantee <> relowner order by 1, 2") == [
                             ("writ", right) for right in ("DELETE", "INSERT", "SELECT", "UPDATE")]
    # Two have rights of their own, those to make and drop partitions of the event log, and only the role that logs in may call them.
    assert empty.execute("select proname::text, array(select grantee::regrole::text from aclexplode(proacl) where grantee <> proowner) "
                         "from pg_proc where pronamespace = 'writ'::regnamespace and prosecdef order by 1") == [
                             ("event_extend", ["writ"]), ("event_shrink", ["writ"])]


def rights_on_tables(database, role):
    return database.one("select coalesce(bool_and(has_table_privilege(%s, oid, 'insert')), false) from pg_class "
                        "where relnamespace = 'writ'::regnamespace and relkind in ('r', 'p')", [role])


def test_install_grants_tables_to_the_role_that_logs_in(postgres, empty):
    postgres.execute("create role \"cli other's\"")
    try:
        owner = ("install", "--conninfo", empty.admin_conninfo)
        nobody = Folder(empty, ONE, datasources={"default": f"host={postgres.folder} dbname=test_cli_empty"})
        code, out, err = nobody(*owner)
        assert (code, err) == (0, "") and "--grant" in out  # who will log in is not known
        assert not rights_on_tables(empty, "writ")
        code, out, err = Folder(empty, ONE)(*owner)  # the user of the datasource
        assert (code, err) == (0, "") and "--grant" not in out
        assert rights_on_tables(empty, "writ") and not rights_on_tables(empty, "cli other's")
        assert nobody(*owner, "--grant", "cli other's")[0] == 0
        assert rights_on_tables(empty, "writ") and rights_on_tables(empty, "cli other's")
        code, _, err = nobody(*owner, "--grant", "cli_nobody")
        assert code == 1 and "cli_nobody" in err
    finally:
        empty.execute("drop owned by \"cli other's\"")
        postgres.execute("drop role \"cli other's\"")


def test_upgrade_from_version_1(empty):
    """A database of the version before: its functions stay, and what is new comes with its grants."""
    empty.execute((harness.SOURCE / "sql" / "install" / "001.sql").read_text())
    folder = Folder(empty, ONE)
    code, _, err = folder("run", "one")
    assert code == 1 and "older version" in err and "writ install" in err
    before = empty.execute("select oid, proname from pg_proc where pronamespace = 'writ'::regnamespace order by oid")
    code, out, err = folder("install", "--conninfo", empty.admin_conninfo)
    assert (code, err) == (0, "") and f"version {NEWEST} " in out
    after = empty.execute("select oid, proname from pg_proc where pronamespace = 'writ'::regnamespace order by oid")
    assert after[:len(before)] == before
    assert rights_on_tables(empty, "writ")
    assert folder("run", "one")[:2] == (0, '{"result":{"one":1}}\n')


def test_install_by_a_plain_owner(postgres):
    """No superuser is needed: the owner of the database will do; at run time the login role, which owns nothing."""
    postgres.execute("create role cli_owner login")
    database = harness.Database(postgres, "test_cli_owned", install=False)
    try:
        postgres.execute("alter database test_cli_owned owner to cli_owner")
        folder = Folder(database, ONE)
        code, _, err = folder("install", "--conninfo", postgres.conninfo("test_cli_owned", "cli_owner"))
        assert (code, err) == (0, "")
        assert folder("check")[0] == 0
        assert folder("run", "one")[0] == 0
        assert "CHECK_FAILED" in folder("run", "fails")[2]
        rights = database.execute("select rolsuper, rolcreatedb, rolcreaterole, rolbypassrls from pg_roles "
                                  "where rolname = 'writ'")
        assert rights == [(False,) * 4]
        assert database.one("select count(*) from pg_class where pg_get_userbyid(relowner) = 'writ'") == 0
    finally:
        database.drop()
        postgres.execute("drop role cli_owner")


def test_install_does_not_trust_a_schema_that_somebody_else_made(postgres, empty):
    """Its functions would run with the rights of the administrator who installs, and of every request."""
    postgres.execute("create role cli_stranger")
    try:
        empty.execute("create schema writ authorization cli_stranger; create table caught (who text); "
                      "grant insert on caught to public; "
                      "create function writ.version() returns int language sql as "
                      "'insert into public.caught values (current_user); select 0'; "
                      "alter function writ.version() owner to cli_stranger")
        code, out, err = Folder(empty, ONE)("install", "--conninfo", empty.admin_conninfo)
        assert code == 1 and "cli_stranger" in err, out + err
        assert empty.one("select count(*) from caught") == 0
        empty.execute("drop schema writ cascade; create schema writ")
        assert Folder(empty, ONE)("install", "--conninfo", empty.admin_conninfo)[0] == 0
    finally:
        empty.execute("drop owned by cli_stranger")
        postgres.execute("drop role cli_stranger")


def test_two_installs_at_once(empty):
    folder = Folder(empty, ONE)
    command = [str(harness.workspace().bin / "writ"), "-c", str(folder.file), "install", "--conninfo",
               empty.admin_conninfo]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=harness.environment(),
                                **harness.identity()) for _ in range(6)]
    outputs = [process.communicate(timeout=60 * harness.PATIENCE)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0] * 6, outputs
    assert empty.one("select count(*) from pg_proc where pronamespace = 'writ'::regnamespace and proname = 'version'") == 1


def test_install_chooses_datasources(database, empty):
    folder = Folder(database, ONE, datasources={"default": database.conninfo, "second": empty.admin_conninfo})
    assert folder("install", "--datasource", "no_such")[0] == 2
    code, out, _ = folder("install", "--datasource", "second")
    assert code == 0 and "second" in out and "default" not in out
    code, out, _ = folder("install")
    assert code == 0 and "default" in out and "second" in out


# ---------------------------------------------------------------------------------------------------- run


def test_run(writ, database):
    code, out, err = writ("run", "add_person", '{"name": "Ann", "age": 30}')
    assert (code, err) == (0, "") and out.endswith("}\n")
    assert json.loads(out)["result"]["name"] == "Ann"
    assert writ("run", "find_person", "-", standard_input=b'{"name": "Ann"}')[0] == 0
    assert writ("run", "echo",
                '{"v": {"n": [1.10, 1234567890123.123]}}')[1] == '{"result":{"v":{"n": [1.10, 1234567890123.123]}}}\n'
    assert database.one("select count(*) from person where name = 'Ann'") == 1


def test_run_of_a_set(writ, database):
    people = {"commands": [{"command": "add_person", "args": {"name": "Bea"}, "as": "p"},
                           {"command": "find_person", "args": {"name": {"$ref": "p.name"}}}]}
    code, out, _ = writ("run", "transactional_command_set", json.dumps(people))
    results = json.loads(out)["results"]
    assert code == 0 and results[0]["result"] == results[1]["result"]
    code, out, err = writ("run", "execute_command_set", json.dumps(people))
    assert code == 1 and not out and "UNIQUE_VIOLATION" in err
    people["commands"].insert(0, {"command": "add_person", "args": {"name": "Cleo"}})
    code, out, err = writ("run", "execute_command_set", "-", standard_input=json.dumps(people).encode())
    assert code == 1 and "UNIQUE_VIOLATION" in err and "/commands/1" in err and re.search(r"committed.*1", err)
    assert database.one("select count(*) from person where name = 'Cleo'") == 1


def test_run_large_standard_input(writ):
    text = "x" * 300_000
    code, out, _ = writ("run", "echo", "-", standard_input=json.dumps({"v": [text]}).encode())
    assert code == 0 and json.loads(out)["result"]["v"] == [text]


@pytest.mark.parametrize("arguments, words", [
    (["no_such"], ["UNKNOWN_COMMAND"]), (["echo"], ["BAD_ARGUMENT", "v"]), (["echo", "{broken"], ["BAD_JSON"]),
    (["echo", "[]"], ["BAD_"]), (["echo", '{"v": 1, "w": 2}'], ["BAD_ARGUMENT", "w"]),
    (["is_adult", '{"age": 17}'], ["TOO_YOUNG", "Come back later."]),
    (["sign_up", '{"name": "kid", "age": 5}'], ["TOO_YOUNG"]), (["is_adult", '{"age": "x"}'], ["BAD_ARGUMENT", "/age"]),
    (["who", "--claims", "{broken"], ["BAD_"]), (["who", "--claims", "[1]"], ["BAD_"]),
])
def test_run_refused(writ, arguments, words):
    code, out, err = writ("run", *arguments)
    assert code == 1 and not out
    for word in words:
        assert word in err, err


def test_run_as_somebody(writ):
    """It is a caller of the inside: allow: is not applied."""
    code, out, _ = writ("run", "--role", "admin", "--user", "7", "who")
    assert code == 0 and json.loads(out)["result"] == {"role": "admin", "user": "7",
                                                       "claims": {"role": "admin", "sub": "7"}}
    code, out, _ = writ("run", "--claims", '{"x": 1.10}', "who")
    assert code == 0 and '{"x": 1.10}' in out and json.loads(out)["result"]["role"] == "anonymous"


def test_dry_run(writ, database):
    code, out, _ = writ("run", "--dry-run", "sign_up", '{"name": "Dry", "age": 40}')
    assert code == 0 and json.loads(out)["result"]["name"] == "Dry"
    assert database.one("select count(*) from person where name = 'Dry'") == 0


def test_run_without_a_database(database):
    folder = Folder(database, datasources={"default": "host=/nonexistent dbname=x"})
    code, out, err = folder("run", "count_people")
    assert code == 1 and not out and "DATABASE_UNAVAILABLE" in err


# ---------------------------------------------------------------------------------------------------- explain


def test_explain(writ, database):
    before = database.one("select last_value from person_id_seq")
    code, out, err = writ("explain", "sign_up", '{"name": "O\'Hara", "age": 40}', "--role", "admin", "--user", "7")
    assert (code, err) == (0, "")
    text = out.lower()
    order = [text.index(part) for part in ("request.jwt.claims", "is_adult", "insert into person", "from person where", "flush", "sync")]
    assert order == sorted(order) and "begin" not in text
    assert "'O''Hara'" in out and "1 round trip" in out
    assert re.search(r'"role":\s*"admin"', out)
    assert database.one("select count(*) from person where name like 'O%%'") == 0
    assert database.one("select last_value from person_id_seq") == before
    text = writ("explain", "--dry-run", "count_people")[1].lower()
    order = [text.index(part) for part in ("begin", "request.jwt.claims", "from person", "sync", "rollback")]
    assert order == sorted(order) and "flush" not in text


def test_explained_statements_are_sql(writ, database):
    """What is printed is what PostgreSQL would be sent: each statement prepares."""
    people = {"isolation": "serializable", "commands": [{"command": "add_person", "args": {"name": "Eve"}, "as": "p"},
                                                        {"command": "find_person", "args": {"name": {"$ref": "p.name"}},
                                                         "as": "f"},
                                                        {"command": "echo", "args": {"v": [{"$ref": "f.id"}, 1.10]}}]}
    code, out, _ = writ("explain", "transactional_command_set", json.dumps(people))
    assert code == 0 and re.search(r"begin.*serializable", out, re.IGNORECASE)
    statements = re.findall(r"^ *\d+  -- (.*)\n((?:(?! *\d+  -- | *Sync| *Flush| *\$\d+ = | *role = ).*\n)+)", out,
                            re.MULTILINE)
    assert len(statements) >= 6
    with database.connect() as connection:
        for purpose, sql in statements:
            if purpose not in ("begin", "end"):
                connection.execute(f"prepare x as {sql}")
                connection.execute("deallocate x")


def test_explain_of_an_execute_set(writ):
    people = {"commands": [{"command": "count_people"}, {"command": "echo", "args": {"v": 1}}]}
    code, out, _ = writ("explain", "execute_command_set", json.dumps(people))
    assert code == 0 and len(re.findall(r"1 round trip", out)) == 2


@pytest.mark.parametrize("arguments, word", [(["no_such"], "UNKNOWN_COMMAND"), (["echo"], "BAD_ARGUMENT"),
                                             (["echo", "{"], "BAD_JSON")])
def test_explain_refused(writ, arguments, word):
    code, out, err = writ("explain", *arguments)
    assert code == 1 and word in err and not out


# ------------------------------------------------------------------------------------------ writd and a broken manifest


def test_writd_refuses_what_check_refuses(database):
    """Only manifest errors are fatal, and all of them are told, with file and line, as by writ check."""
    folder = Folder(database, BROKEN)
    done = subprocess.run([str(harness.workspace().bin / "writd"), "-c", str(folder.file)], capture_output=True,
                          timeout=30 * harness.PATIENCE,
                          env=harness.environment(), cwd=folder.path, **harness.identity())
    assert done.returncode not in (0, None)
    err = done.stderr.decode()
    for part in ("colour: red", "- no_such_command", "result: $never"):
        assert f"manifest.yaml:{line_of(BROKEN, part)}" in err
    assert not os.path.exists(folder.path / "border.sock")
