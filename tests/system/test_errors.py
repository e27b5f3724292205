"""Every error that a client can get: status, code, members, that nothing was changed, and that nothing is told which is no
business of its."""

import json
import socket
import struct
import threading

import pytest

import harness

SCHEMA = """
create table thing (
  id integer primary key,
  name text constraint thing_name_key unique,
  size integer not null constraint thing_size_positive check (size > 0),
  parent integer constraint thing_parent references thing on delete restrict,
  during int4range, short varchar(3), amount numeric(4,2),
  constraint thing_during exclude using gist (during with &&));
insert into thing (id, name, size, during) values (1, 'taken', 1, '[1,10)');
insert into thing (id, name, size, parent) values (2, 'child', 1, 1);
create view small_thing as select * from thing where size < 10 with check option;
create table log (text text);
create table secret_table (text text);
create table counter (id integer primary key, n integer not null);
insert into counter values (1, 0), (2, 0);
grant select, insert, update, delete on thing, small_thing, log, counter to writ;

create function raise_state(state text, message text) returns text language plpgsql as $$
begin
  raise exception using errcode = state, message = message, detail = 'the detail', hint = 'the hint';
end $$;
create function broken() returns integer language plpgsql as $$ begin return (select count(*) from no_such_table); end
    $$;
alter database test_errors set deadlock_timeout = '200ms';
"""

MANIFEST = """
specVersion: 1
constraints:
  thing_name_key: { code: NAME_TAKEN, status: 409, message: That name is taken. }
commands:
  log: { sql: "insert into log (text) values (:text)", allow: [anonymous, customer] }
  one: { sql: "select 1 as one", returns: one, allow: [anonymous, customer] }
  add:
    allow: [anonymous, customer]
    sql: >
      insert into thing (id, name, size, parent, during, short, amount)
      values (:id, :name, :size, :parent, :during, :short, :amount)
    args: { id: integer, name: { type: text, default: null }, size: { type: integer, default: 1 },
        parent: { type: integer, default: null },
            during: { type: int4range, default: null }, short: { type: text, default: null }, amount: { type: numeric,
                default: null } }
  add_small: { sql: "insert into small_thing (id, size) values (:id, :size)" }
  remove: { sql: "delete from thing where id = :id" }
  get: { sql: "select name from thing where id = :id", returns: one }
  list_as_one: { sql: "select name from thing", returns: one }
  sub_query: { sql: "select (select name from thing) as name", returns: one }
  divide: { sql: "select 1 / :by::int as result", returns: one }
  chars: { sql: "select chr(:n::int) as c", returns: one }
  closed: { sql: "select text from secret_table" }
  raises: { sql: "select raise_state(:state, :message) as x", returns: one }
  broken: { sql: "select broken() as x", returns: one }
  never: { check: "false", error: { code: NEVER, status: 403, message: Never. } }
  own: { sql: "select writ.fail(:code, :message, :status) as x", returns: one }
  sleep: { sql: "select pg_sleep(:s)::text as x", args: { s: float8 }, returns: one }
  read_counter: { sql: "select n from counter where id = :id", args: { id: integer }, returns: one }
  count: { sql: "update counter set n = n + 1 where id = :id returning n", args: { id: integer }, returns: one }
  for_admins: { sql: "select 1 as one", allow: [admin], returns: one }
  for_inside: { sql: "select 1 as one", returns: one }
"""

MEMBERS = {"type", "title", "status", "code", "detail", "command", "index", "path", "argument", "sqlstate",
           "constraint", "column", "details",
           "hint", "committed", "retryable", "request_id"}


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, limits={"body_bytes": 5000, "commands": 5}, lock_timeout_ms=200,
                      datasources={"default": database.conninfo, "other": database.conninfo}) as site:
        yield site


def state(database):
    return database.execute("select * from thing order by id"), database.execute("select * from log")


# ---------------------------------------------------------------------------------------------------- what SQL gives

FAILURES = {
    "unique, mapped": ("add", {"id": 9, "name": "taken"}, 409, "NAME_TAKEN",
                       {"detail": "That name is taken.", "constraint": "thing_name_key", "sqlstate": "23505"}),
    "unique": ("add", {"id": 1}, 409, "UNIQUE_VIOLATION", {"constraint": "thing_pkey", "sqlstate": "23505"}),
    "foreign key": ("add", {"id": 9, "parent": 77}, 409, "FOREIGN_KEY_VIOLATION",
                    {"constraint": "thing_parent", "sqlstate": "23503"}),
    "restrict": ("remove", {"id": 1}, 409, "FOREIGN_KEY_VIOLATION", {"constraint": "thing_parent"}),
    "exclusion": ("add", {"id": 9, "during": "[5,6)"}, 409, "EXCLUSION_VIOLATION",
                  {"constraint": "thing_during", "sqlstate": "23P01"}),
    "not null": ("add", {"id": 9, "size": None}, 422, "NOT_NULL_VIOLATION", {"column": "size", "sqlstate": "23502"}),
    "check": ("add", {"id": 9, "size": 0}, 422, "CHECK_VIOLATION",
              {"constraint": "thing_size_positive", "sqlstate": "23514"}),
    "with check option": ("add_small", {"id": 9, "size": 10}, 422, "DATA_ERROR", {"sqlstate": "44000"}),
    "too long": ("add", {"id": 9, "short": "abcd"}, 422, "DATA_ERROR", {"sqlstate": "22001"}),
    "out of range": ("add", {"id": 9, "amount": 1000}, 422, "DATA_ERROR", {"sqlstate": "22003"}),
    "division": ("divide", {"by": 0}, 422, "DATA_ERROR", {"sqlstate": "22012"}),
    "program limit": ("chars", {"n": -5}, None, None, {}),
    "no row": ("get", {"id": 99}, 404, "NOT_FOUND", {}),
    "rows": ("list_as_one", {}, 422, "TOO_MANY_ROWS", {}),
    "rows of a subselect": ("sub_query", {}, 422, "TOO_MANY_ROWS", {}),
    "no grant": ("closed", {}, 403, "FORBIDDEN", {"sqlstate": "42501"}),
    "check's own": ("never", {}, 403, "NEVER", {"detail": "Never."}),
    "raise": ("raises", {"state": "P0001", "message": "sorry"}, 400, "RAISED",
              {"detail": "sorry", "details": "the detail", "hint": "the hint", "sqlstate": "P0001"}),
    "PT409": ("raises", {"state": "PT409", "message": "sorry"}, 409, None,
              {"detail": "sorry", "details": "the detail", "hint": "the hint"}),
    "PT404": ("raises", {"state": "PT404", "message": "gone"}, 404, None, {"detail": "gone"}),
    "PT503": ("raises", {"state": "PT503", "message": "later"}, 503, None, {"detail": "later"}),
    "PT402": ("raises", {"state": "PT402", "message": "pay"}, 402, None, {"detail": "pay"}),
    "PT200": ("raises", {"state": "PT200", "message": "fine?"}, None, None, {"detail": "fine?"}),
    "PT999": ("raises", {"state": "PT999", "message": "odd"}, None, None, {"detail": "odd"}),
    "fail": ("own", {"code": "MY_CODE", "message": "my message", "status": 418}, 418, "MY_CODE",
             {"detail": "my message"}),
    "fail, default": ("own", {"code": None, "message": None, "status": None}, 422, "CHECK_FAILED", {}),
    "fail, a known code": ("own", {"code": "NOT_FOUND", "message": "gone", "status": 404}, 404, "NOT_FOUND",
                           {"detail": "gone"}),
    "fail, quotes": ("own", {"code": "Q", "message": 'a "b" \\ \n é', "status": 422}, 422, "Q",
                     {"detail": 'a "b" \\ \n é'}),
    "serialization": ("raises", {"state": "40001", "message": "x"}, 409, "SERIALIZATION_FAILURE",
                      {"retryable": True, "sqlstate": "40001"}),
    "deadlock": ("raises", {"state": "40P01", "message": "x"}, 409, "DEADLOCK",
                 {"retryable": True, "sqlstate": "40P01"}),
    "lock": ("raises", {"state": "55P03", "message": "x"}, 409, "LOCK_TIMEOUT",
             {"retryable": True, "sqlstate": "55P03"}),
    "read only": ("raises", {"state": "25006", "message": "secret words"}, 503, "DATABASE_UNAVAILABLE",
                  {"retryable": True}),
    "connection": ("raises", {"state": "08006", "message": "secret words"}, 503, "DATABASE_UNAVAILABLE",
                   {"retryable": True}),
    "memory": ("raises", {"state": "53200", "message": "secret words"}, 503, "DATABASE_UNAVAILABLE",
               {"retryable": True}),
    "shutdown": ("raises", {"state": "57P01", "message": "secret words"}, 503, "DATABASE_UNAVAILABLE",
                 {"retryable": True}),
    "internal": ("raises", {"state": "XX000", "message": "secret words"}, 500, "INTERNAL", {}),
    "unknown": ("raises", {"state": "ZZ123", "message": "secret words"}, 500, "INTERNAL", {}),
    "assert": ("raises", {"state": "P0004", "message": "secret words"}, 500, "INTERNAL", {}),
    "no table in a function": ("broken", {}, 500, "INTERNAL", {}),
}
SECRETS = ["secret", "no_such_table", "writ@", "/tmp/", "insert into", "select", ".c:", "PL/pgSQL", "Failing row",
           "already exists", "(name)=", "plpgsql"]


@pytest.mark.parametrize("name", FAILURES)
def test_failure(site, database, name):
    command, args, status, code, members = FAILURES[name]
    before = state(database)
    single = site.inside.command(command, args)
    in_set = site.inside.set(("log", {"text": "before"}), (command, args), ("log", {"text": "after"}))
    executed = site.inside.post("/command/execute_command_set", {"commands": [
        {"command": command, "args": args}, {"command": "log", "args": {"text": "after"}}]})
    assert state(database) == before
    for answer in (single, in_set, executed):
        problem = answer.json
        assert 400 <= answer.status < 600 and answer.status == (status or answer.status), answer
        assert answer.code == (code or answer.code), answer
        assert not set(problem) - MEMBERS
        assert problem["type"] == "about:blank" and problem["title"]
        assert problem["detail"]
        for key, expected in members.items():
            assert problem[key] == expected, key
        assert problem["retryable"] is (code in ("SERIALIZATION_FAILURE", "DEADLOCK", "LOCK_TIMEOUT",
                                                 "DATABASE_UNAVAILABLE"))
        assert problem["command"] == command
        assert problem["request_id"] == answer.header("x-request-id")
        assert None not in problem.values()
        for secret in SECRETS:
            assert secret.lower() not in answer.text.lower(), answer
        if code == "DATABASE_UNAVAILABLE":
            assert int(answer.header("retry-after")) > 0
    assert "index" not in single.json and "committed" not in single.json
    assert (in_set.json["index"], in_set.json["path"]) == (1, "/commands/1")
    assert "committed" not in in_set.json
    assert (executed.json["index"], executed.json["path"], executed.json["committed"]) == (0, "/commands/0", 0)
    assert site.inside.command("one").result == {"one": 1}  # and the worker goes on


def test_what_the_client_must_not_see_is_in_the_log(site):
    mark = site.writ.log_mark()
    answer = site.inside.command("raises", {"state": "XX000", "message": "secret words"},
                                 headers={"X-Request-Id": "look-me-up"})
    assert answer.json["request_id"] == "look-me-up"
    line, = [line for line in site.writ.log_since(mark).splitlines() if "look-me-up" in line and "status=500" in line]
    assert "secret words" in line and "XX000" in line and "command=raises" in line


def test_no_argument_is_in_the_log(site):
    mark = site.writ.log_mark()
    for args in ({"id": 9, "name": "taken", "short": "confidential"}, {"id": 9, "short": "confidential"},
                 {"id": "confidential"}, {"id": 9, "during": "confidential"},
                 {"id": 9, "confidential": 1}):
        assert site.inside.command("add", args).status >= 400
        assert site.inside.set(("add", args)).status >= 400
    log = site.writ.log_since(mark)
    assert "command=add" in log
    assert "confidential" not in log


def test_lock_timeout(site, database):
    with database.connect(autocommit=False) as other:
        other.execute("select from counter where id = 1 for update")
        answer = site.inside.set(("log", {"text": "x"}), ("count", {"id": 1}))
        assert (answer.code, answer.status, answer.json["index"]) == ("LOCK_TIMEOUT", 409, 1)
        assert answer.json["retryable"] is True
    assert site.inside.command("count", {"id": 1}).status == 200
    assert database.one("select count(*) from log") == 0


# ---------------------------------------------------------------------------------------------------- races


@pytest.fixture(scope="module")
def impatient(database):
    """No retries."""
    with harness.Site(database, MANIFEST, retries=0, timeout_ms=1000 * harness.PATIENCE) as site:
        yield site


def waiting(database):
    """How many backends of writ wait for a lock."""
    return database.one("select count(*) from pg_stat_activity where usename = 'writ' and wait_event_type = 'Lock'")


def in_background(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()

    def join():
        thread.join(60)
        return answers[0]

    return join


def serialization_race(site, database):
    """A repeatable read that has looked before another changes the row."""
    before = database.one("select n from counter where id = 2")
    with database.connect(autocommit=False) as other:
        other.execute("update counter set n = n + 1 where id = 2")
        join = in_background(lambda: site.inside.set(("read_counter", {"id": 2}), ("count", {"id": 2}),
                                                     isolation="repeatable_read"))
        harness.wait_until(lambda: waiting(database), "writ to wait for the row", 10 * harness.PATIENCE)
        other.commit()
    return join(), before


def test_serialization_failure(impatient, database):
    answer, before = serialization_race(impatient, database)
    assert (answer.code, answer.status) == ("SERIALIZATION_FAILURE", 409)
    assert answer.json["retryable"] is True and answer.json["index"] == 1
    assert database.one("select n from counter where id = 2") == before + 1


def test_serialization_failure_is_tried_again(database):
    with harness.Site(database, MANIFEST) as site:
        answer, before = serialization_race(site, database)
        assert answer.results == [{"n": before + 1}, {"n": before + 2}]


def deadlock(site, database):
    with database.connect(autocommit=False) as other:
        other.execute("set deadlock_timeout = '60s'")  # the other side is the one that finds out
        other.execute("update counter set n = n + 1 where id = 1")
        join = in_background(lambda: site.inside.set(("count", {"id": 2}), ("count", {"id": 1})))
        harness.wait_until(lambda: waiting(database), "writ to wait for the row", 10 * harness.PATIENCE)
        other.execute("update counter set n = n + 1 where id = 2")
        other.commit()
    return join()


def test_deadlock(impatient, database):
    answer = deadlock(impatient, database)
    assert (answer.code, answer.status) == ("DEADLOCK", 409)
    assert answer.json["retryable"] is True and answer.json["index"] == 1


def test_deadlock_is_tried_again(database):
    with harness.Site(database, MANIFEST) as site:
        before = database.execute("select n from counter order by id")
        assert deadlock(site, database).status == 200
        assert database.execute("select n from counter order by id") == [(n + 2,) for n, in before]


def test_timeout(impatient, database):
    answer = impatient.inside.set(("log", {"text": "x"}), ("sleep", {"s": 3600}))
    assert (answer.code, answer.status) == ("TIMEOUT", 504)
    assert database.one("select count(*) from log") == 0
    harness.wait_until(lambda: not database.one(
        "select count(*) from pg_stat_activity where usename = 'writ' and query like '%pg_sleep%' "
        "and state = 'active'"),
        "the statement to be cancelled")
    assert impatient.inside.command("one").result == {"one": 1}


# --------------------------------------------------------------------------------------------------- the request itself


def test_order_of_judgement(site):
    """Each request has this fault and all later ones."""
    large, small = b"{" * 6000, b"{broken"
    rotten = [("Content-Type", "text/plain")]

    def ask(method, path, body, headers=(), role=None):
        return site.client.request(method, path, body, [*headers, *([("Test-Role", role)] if role else [])])

    path = ask("PUT", "/command/no_such", large, rotten)
    assert (path.code, path.status) == ("UNKNOWN_COMMAND", 404)
    method = ask("PUT", "/command/for_admins", large, rotten)
    assert (method.code, method.status, method.header("allow")) == ("METHOD_NOT_ALLOWED", 405, "POST")
    border = ask("POST", "/command/for_admins", large, rotten)
    assert (border.code, border.status) == ("UNAUTHENTICATED", 401)
    border = ask("POST", "/command/for_admins", large, rotten, role="customer")
    assert (border.code, border.status) == ("FORBIDDEN", 403)
    media = ask("POST", "/command/add", large, rotten, role="customer")
    assert (media.code, media.status) == ("UNSUPPORTED_MEDIA_TYPE", 415)
    size = ask("POST", "/command/add", large, role="customer")
    assert (size.code, size.status) == ("TOO_LARGE", 413)
    syntax = ask("POST", "/command/add", small, role="customer")
    assert (syntax.code, syntax.status) == ("BAD_JSON", 400)
    names = ask("POST", "/command/add", b'{"id": "x", "no_such": 1}', role="customer")
    assert (names.code, names.json["argument"]) == ("BAD_ARGUMENT", "no_such")
    types = ask("POST", "/command/add", b'{"id": "x", "size": 0}', role="customer")
    assert (types.code, types.json["argument"]) == ("BAD_ARGUMENT", "id")
    values = ask("POST", "/command/add", b'{"id": 1, "size": 0}', role="customer")
    assert values.code == "CHECK_VIOLATION"


def test_order_of_judgement_within_a_set(site, database):
    """The border first, for every command that is named; names and references before types; nothing runs before all of
    it."""
    def ask(*commands):
        return site.client.post("/command/transactional_command_set",
                                {"commands": [harness.as_command(command) for command in commands]},
                                role="customer")

    good, bad_type, bad_name = ("log", {"text": "x"}), ("log", {"text": 1}), ("log", {"texts": "x"})
    for expected, index, commands in (
        ("FORBIDDEN", 2, (bad_type, bad_name, ("for_admins",))),
        ("UNKNOWN_COMMAND", 2, (bad_type, bad_name, ("for_inside",))),
        ("UNKNOWN_COMMAND", 2, (bad_type, bad_name, ("no_such",))),
        ("BAD_ARGUMENT", 2, (good, bad_type, bad_name)),
        ("BAD_REFERENCE", 2, (good, bad_type, ("log", {"text": {"$ref": "no.x"}}))),
        ("BAD_ARGUMENT", 1, (good, bad_type)),
    ):
        answer = ask(*commands)
        assert (answer.code, answer.json["index"]) == (expected, index), answer
        assert answer.json["path"].startswith(f"/commands/{index}")
        assert answer.json["command"] == commands[index][0]
    too_many = ask(*[("no_such",)] * 6)
    assert (too_many.code, too_many.status) == ("TOO_MANY_COMMANDS", 413)
    assert database.one("select count(*) from log") == 0


@pytest.mark.parametrize("path", ["/", "/command", "/command/", "/command/add/", "/command/add/x", "/command/Add",
                                  "/command/add%20", "/command/%61dds",
                                  "/command/%ff", "/command/" + "a" * 64, "/command/" + "a" * 5000, "/commands/add",
                                  "/healthz", "/readyz", "/metrics", "/graphql", "/mutation/x",
                                  "/event", "/command/dispatch_event", "/command/for_inside", "/command/add;x=1",
                                  "/command/'", "/command/$ref"])
def test_unknown_paths(site, path):
    answer = site.client.post(path, {})
    assert (answer.status, answer.code) in ((404, "NOT_FOUND"), (404, "UNKNOWN_COMMAND"), (414, "URI_TOO_LONG"),
                                            (400, "BAD_REQUEST")), answer
    if path.startswith("/command/") and path not in ("/command/",) and answer.status == 404 and path.count("/") == 2:
        assert answer.code == "UNKNOWN_COMMAND"


def test_path_is_the_decoded_one(site):
    assert site.client.post("/command/%6fne", {}).result == {"one": 1}
    assert site.client.post("/command/one?x=1", {}).result == {"one": 1}
    assert site.client.post("/x/../command/one", {}).result == {"one": 1}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "PROPFIND", "X"])
def test_methods(site, method):
    answer = site.client.request(method, "/command/one")
    if method == "post" or method == "X":  # nginx has its own mind about these
        assert answer.status in (400, 405)
        return
    assert answer.status == 405 and answer.header("allow") == "POST", answer
    if method != "HEAD":
        assert answer.code == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("accept, status", [
    ("application/json", 200), ("*/*", 200), ("application/*", 200), ("text/html, */*;q=0.1", 200),
    ("text/html, application/json;q=0.5", 200), ("", 200),
    ("application/json;q=0.9, application/problem+json", 200), ("APPLICATION/JSON", 200),
    ("text/html", 406), ("application/xml", 406), ("application/json;q=0", 406), ("application/json;q=0, */*", 406),
    ("image/*", 406),
])
def test_accept(site, accept, status):
    answer = site.client.command("one", headers={"Accept": accept})
    assert answer.status == status, answer
    if status == 406:
        assert answer.code == "NOT_ACCEPTABLE"


@pytest.mark.parametrize("media, status", [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ('application/json;charset="UTF-8"', 200),
    ("Application/JSON", 200),
    ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415),
    ("application/json; charset=iso-8859-1", 415),
    ("application/jsonx", 415), ("application/problem+json", 415), ("text/json", 415), ("json", 415), (",", 415),
])
def test_media_types(site, media, status):
    answer = site.client.command("one", headers={"Content-Type": media})
    assert answer.status == status, answer
    if status == 415:
        assert answer.code == "UNSUPPORTED_MEDIA_TYPE"


def test_a_body_without_a_type(site):
    head = b"POST /command/one HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = site.client.raw(head + b"Content-Length: 2\r\n\r\n{}")
    assert (answer.code, answer.status) == ("UNSUPPORTED_MEDIA_TYPE", 415)
    answer = site.client.raw(head + b"Content-Length: 0\r\n\r\n")
    assert answer.result == {"one": 1}


def test_repeated_idempotency_key(site):
    answer = site.client.command("one", headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert (answer.code, answer.status) == ("BAD_REQUEST", 400)


def test_too_large_for_nginx(site):
    """nginx's own refusal has the same form."""
    answer = site.client.command("log", '{"text":"' + "x" * 1_100_000 + '"}')
    assert (answer.code, answer.status) == ("TOO_LARGE", 413)


# ----------------------------------------------------------------------------------------------- straight to the worker


def fastcgi(path, params, chunks):
    """One FastCGI request as a web server other than nginx might send it; status, body."""
    def record(kind, content):
        return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content

    def pair(name, value):
        return struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + name.encode() + value.encode()

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20 * harness.PATIENCE)
        connection.connect(str(path))
        connection.sendall(record(1, struct.pack(">HB5x", 1, 0)))
        connection.sendall(record(4, b"".join(pair(*item) for item in params.items())) + record(4, b""))
        connection.sendall(b"".join(record(5, chunk) for chunk in chunks) + record(5, b""))
        data = b""
        while part := connection.recv(65536):
            data += part
    out = b""
    while len(data) >= 8:
        _, kind, _, length, padding = struct.unpack(">BBHHBx", data[:8])
        out += data[8:8 + length] if kind == 6 else b""
        data = data[8 + length + padding:]
    head, _, body = out.partition(b"\r\n\r\n")
    status = [line for line in head.decode().split("\r\n") if line.lower().startswith("status:")]
    return int(status[0].split()[1]) if status else 200, json.loads(body)


PARAMS = {"REQUEST_METHOD": "POST", "DOCUMENT_URI": "/command/log", "CONTENT_TYPE": "application/json"}


@pytest.mark.parametrize("more, chunks, status, code", [
    ({"CONTENT_LENGTH": "12"}, [b'{"text"', b':"x"}'], 200, None),
    ({}, [b'{"text":"x"}'], 411, "LENGTH_REQUIRED"),
    ({"CONTENT_LENGTH": ""}, [b'{"text":"x"}'], 411, "LENGTH_REQUIRED"),
    ({"CONTENT_LENGTH": "x"}, [b'{"text":"x"}'], 400, "BAD_REQUEST"),
    ({"CONTENT_LENGTH": "-1"}, [b'{"text":"x"}'], 400, "BAD_REQUEST"),
    ({"CONTENT_LENGTH": "13"}, [b'{"text":"x"}'], 400, "BAD_REQUEST"),
    ({"CONTENT_LENGTH": "11"}, [b'{"text":"x"}'], 400, "BAD_REQUEST"),
    ({"CONTENT_LENGTH": "99999999999999999999"}, [b"{}"], None, None),
    ({"CONTENT_LENGTH": "5001"}, [b"{}"], 413, "TOO_LARGE"),
    ({"DOCUMENT_URI": ""}, [], 404, "NOT_FOUND"),
    ({"REQUEST_METHOD": ""}, [], 405, "METHOD_NOT_ALLOWED"),
])
def test_without_nginx(site, database, more, chunks, status, code):
    before = database.one("select count(*) from log")
    answer = fastcgi(site.writ.border_socket, {**PARAMS, **more}, chunks)
    if status is None:
        assert answer[0] in (400, 413)
    elif status == 200:
        assert answer == (200, {"result": 1})
        database.execute("delete from log")
        return
    else:
        assert (answer[0], answer[1]["code"]) == (status, code), answer
    assert database.one("select count(*) from log") == before


def test_database_unavailable(database):
    """A cluster that is not there: 503 with Retry-After, and /readyz says so; nothing else is needed for a start."""
    away = {"default": "host=/nonexistent dbname=none user=writ"}
    with harness.Writ(database, MANIFEST, datasources=away) as writ, \
         harness.Nginx(harness.SITE, writ.border_socket, writ.inside_socket) as nginx:
        client, inside = harness.Client(nginx.socket), harness.Client(nginx.inside_http, prefix="Writ")
        answer = client.command("one")
        assert (answer.code, answer.status) == ("DATABASE_UNAVAILABLE", 503)
        assert int(answer.header("retry-after")) > 0 and answer.json["retryable"] is True
        assert "nonexistent" not in answer.text
        assert client.command("one", {"x": 1}).code == "BAD_ARGUMENT"  # what can be judged is
        assert inside.get("/readyz").status == 503
        assert inside.get("/healthz").status == 200


def test_schema_writ_is_missing(postgres):
    database = harness.Database(postgres, "test_errors_empty", install=False)
    try:
        with harness.Writ(database,
                          "specVersion: 1\ncommands:\n  one: { sql: select 1 as one, allow: [anonymous] }\n") as writ, \
             harness.Nginx(harness.SITE, writ.border_socket, writ.inside_socket) as nginx:
            client = harness.Client(nginx.socket)
            answer = client.command("one")
            assert answer.status == 503 and "install" not in answer.text
            assert "writ install" in writ.log()  # what to do is the operator's business
            database.install()
            harness.wait_until(lambda: client.command("one").status == 200, "the command to work after writ install",
                               15)
    finally:
        database.drop()


