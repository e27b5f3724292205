"""The log: a line for each request, with what an operator needs, and never a body, an argument or a secret."""

import json
import re

import pytest

import fastcgi
import harness
from crowd import Later

SCHEMA = """
create table account (
  id bigint generated always as identity primary key,
  name text not null constraint account_name unique,
  age integer constraint account_age check (age < 200),
  boss bigint constraint account_boss references account deferrable initially deferred,
  extra jsonb,
  born date);
grant select, insert on account to writ;

create function shout(words text) returns text language plpgsql as $$
begin raise exception 'no: %', words using detail = words, hint = words; end $$;
create function shout_409(words text) returns text language plpgsql as $$
begin raise exception 'no: %', words using errcode = 'PT409', detail = words, hint = words; end $$;
create function notice(words text) returns text language plpgsql as $$
begin raise notice '%', words; raise warning '%', words; return words; end $$;
create function divide(words text, by integer) returns integer language plpgsql as $$
begin return length(words) / by; end $$;
create function stumble(words text) returns integer language plpgsql as $$
begin raise internal_error using message = 'the disk is on fire'; end $$;
"""

MANIFEST = """
specVersion: 1
constraints:
  account_age: { code: TOO_OLD, status: 422, message: Nobody is that old. }
commands:
  add_account:
    allow: [anonymous, customer]
    sql: >
      insert into account (name, age, boss, extra, born) values (:name, :age, :boss, :extra, :born) returning id, name, extra
    args: { name: text, age: { type: integer, default: null }, boss: { type: bigint, default: null },
            extra: { type: jsonb, default: null }, born: { type: date, default: null } }
    returns: one
  find: { allow: [anonymous], sql: select id from account where name = :name, returns: one }
  shout: { allow: [anonymous], sql: select shout(:words) as x, returns: one }
  shout_409: { allow: [anonymous], sql: select shout_409(:words) as x, returns: one }
  notice: { allow: [anonymous], sql: select notice(:words) as x, returns: one }
  divide: { allow: [anonymous], sql: "select divide(:words, :by) as x", returns: one }
  stumble: { allow: [anonymous], sql: select stumble(:words) as x, returns: one }
  cast: { allow: [anonymous], sql: "select (:words::text)::integer as x", returns: one }
  no_secret: { allow: [anonymous], check: ":words not like '%SECRET%'", args: { words: text } }
  admin_only: { allow: [admin], sql: select :words::text as x, returns: one }
  slow:
    allow: [anonymous]
    sql: "select pg_sleep(:seconds)::text as x, :words::text as words"
    args: { seconds: float8, words: text }
    returns: one
  two: { allow: [anonymous], sql: "select i from generate_series(1, :n::int) i", returns: many }
"""

REQUEST = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>error|warn|info|debug) request who=(?P<who>border|inside) "
    r"pid=(?P<pid>\d+) id=(?P<id>\S+) command=(?P<command>\S+) role=\"(?P<role>(?:[^\"\\]|\\.)*)\" status=(?P<status>\d{3}) "
    r"code=(?P<code>\S+) total_ms=(?P<total_ms>\d+\.\d{3}) db_ms=(?P<db_ms>\d+\.\d{3}) rows=(?P<rows>\d+) "
    r"flights=(?P<flights>\d+) retries=(?P<retries>\d+) bytes=(?P<bytes>\d+)(?P<more>( [a-z]+=.*)?)$")


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=1, slow_ms=200, timeout_ms=2000) as site:
        yield site


def requests(log):
    """The lines of requests; each must have the form that the manual promises."""
    found = []
    for line in log.splitlines():
        if " request " in line[:40]:
            match = REQUEST.match(line)
            assert match, line
            found.append(match.groupdict())
    return found


class Watch:
    """What is logged of the requests that are sent in a block: exactly one line for each."""

    def __init__(self, site):
        self.site = site

    def __enter__(self):
        self.mark = self.site.writ.log_mark()
        return self

    def __exit__(self, kind, *_):
        pass

    @property
    def text(self):
        return self.site.writ.log_since(self.mark)

    def lines(self, count):
        """Waits for so many: a line is written before the answer, but by another process."""
        return harness.wait_until(lambda: len(found := requests(self.text)) >= count and found, f"{count} lines")


def one_line(site, send):
    with Watch(site) as watch:
        answer = send()
        (line,) = watch.lines(1)
    return answer, line


# ---- one line, with these fields


def test_fields_of_a_request(site):
    answer, line = one_line(site, lambda: site.client.command(
        "add_account", {"name": "ann"}, role="customer", headers={"X-Request-Id": "request-77"}))
    assert answer.status == 200
    assert line["id"] == "request-77" == answer.header("x-request-id")
    assert (line["who"], line["command"], line["role"]) == ("border", "add_account", "customer")
    assert (line["status"], line["code"], line["level"]) == ("200", "-", "info")
    assert (line["rows"], line["flights"], line["retries"]) == ("1", "1", "0")
    assert int(line["bytes"]) == len(answer.body)
    assert 0 < float(line["db_ms"]) <= float(line["total_ms"]) < 2000
    assert int(line["pid"]) in site.writ.workers()


def test_fields_of_a_set(site):
    _, line = one_line(site, lambda: site.client.set(("two", {"n": 4}), ("two", {"n": 3})))
    assert (line["rows"], line["flights"], line["status"]) == ("7", "1", "200")
    _, line = one_line(site, lambda: site.inside.command("two", {"n": 2}))
    assert (line["who"], line["rows"]) == ("inside", "2")
    _, line = one_line(site, lambda: site.client.post("/command/execute_command_set", {"commands": [
        {"command": "two", "args": {"n": 1}}, {"command": "two", "args": {"n": 2}}]}))
    assert (line["rows"], line["flights"]) == ("3", "2")


def test_fields_of_errors(site):
    for send, status, code, level in (
            (lambda: site.client.command("no_such"), "404", "UNKNOWN_COMMAND", "info"),
            (lambda: site.client.get("/nowhere"), "404", "NOT_FOUND", "info"),
            (lambda: site.client.get("/command/two"), "405", "METHOD_NOT_ALLOWED", "info"),
            (lambda: site.client.command("admin_only", {"words": ""}), "401", "UNAUTHENTICATED", "info"),
            (lambda: site.client.command("admin_only", {"words": ""}, role="customer"), "403", "FORBIDDEN", "info"),
            (lambda: site.client.post("/command/two", "{"), "400", "BAD_JSON", "info"),
            (lambda: site.client.command("find", {"name": "nobody"}), "404", "NOT_FOUND", "info"),
            (lambda: site.client.command("shout_409", {"words": "x"}), "409", "PT409", "info"),
            (lambda: site.client.command("stumble", {"words": "x"}), "500", "INTERNAL", "error"),
            (lambda: site.client.command("two", {"n": 1}, headers={"Mutation-Id": "k"}), "400", "BAD_REQUEST", "info")):
        answer, line = one_line(site, send)
        assert (line["status"], line["code"], line["level"]) == (status, code, level), line
        assert answer.code == code
        assert answer.json["request_id"] == line["id"] == answer.header("x-request-id")


def test_an_unexpected_error_is_explained_in_the_log_alone(site):
    answer, line = one_line(site, lambda: site.client.command("stumble", {"words": "x"}))
    assert "fire" not in answer.text
    assert "the disk is on fire" in line["more"] and "sqlstate=XX000" in line["more"]


def test_every_request_has_one_line(site):
    with Watch(site) as watch:
        for number in range(30):
            site.client.command("two", {"n": number % 3})
            site.inside.get("/healthz")
        watch.lines(60)
        site.client.command("find", {"name": "the last"})
        watch.lines(61)
        assert len(requests(watch.text)) == 61


def test_probes_are_no_news(database, site):
    """/healthz every few seconds is for log_level: debug."""
    _, line = one_line(site, lambda: site.inside.get("/healthz"))
    assert line["level"] == "debug"


def test_traces(site):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    _, line = one_line(site, lambda: site.client.command("two", {"n": 1}, headers={
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}))
    assert f" trace={trace}" in line["more"]


def test_slow_requests_are_warned_of(database, site):
    _, line = one_line(site, lambda: site.client.command("slow", {"seconds": 0.3, "words": ""}))
    assert line["level"] == "warn" and float(line["db_ms"]) >= 300
    _, line = one_line(site, lambda: site.client.command("slow", {"seconds": 0.01, "words": ""}))
    assert line["level"] == "info"
    with harness.Site(database, MANIFEST, workers=1, slow_ms=0) as other:
        _, line = one_line(other, lambda: other.client.command("slow", {"seconds": 1.1, "words": ""}))
        assert line["level"] == "info"


def test_log_level(database):
    with harness.Site(database, MANIFEST, workers=1, log_level="warn", slow_ms=100) as other:
        with Watch(other) as watch:
            other.client.command("two", {"n": 1})
            other.client.command("no_such")
            other.client.command("slow", {"seconds": 0.2, "words": ""})
            other.client.command("stumble", {"words": ""})
            assert [line["level"] for line in watch.lines(2)] == ["warn", "error"]
            assert len(requests(watch.text)) == 2


def test_a_line_is_one_line(site):
    """Whatever stands in parameters: nobody writes lines of his own into the log."""
    socket = site.writ.border_socket
    for value in ("a\nb", "a\r\nb", "quote\" code=- x=\"", "back\\slash", "\x1b[31mred", "\u2028", "ü" * 3000, "x" * 9000):
        for name in ("WRIT_ROLE", "WRIT_USER", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT", "REQUEST_METHOD", "DOCUMENT_URI"):
            with Watch(site) as watch:
                answer = fastcgi.ask(socket, {**fastcgi.post("/command/two", b"{}"), name: value}, b"{}")
                assert answer is not None
                marker = fastcgi.ask(socket, fastcgi.post("/command/no_such", b""))
                assert marker.status == 404
                log = harness.wait_until(lambda: "UNKNOWN_COMMAND" in watch.text and watch.text, "the second line")
            assert len(log.encode()) < 2 * 4096 + 200
            for line in log.rstrip("\n").split("\n"):
                assert re.match(r"^\d{4}-\d\d-\d\dT\S+Z (error|warn|info|debug) (request|identity) who=border ", line), line
                assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line), line


# ---- never a body, an argument or a secret


SECRETS = {
    "args": "ARG-SECRET", "jsonb": "JSONB-SECRET", "user": "USER-SECRET", "claims": "CLAIM-SECRET",
    "body": "BODY-SECRET", "query": "QUERY-SECRET", "header": "HEADER-SECRET", "path": "PATH-SECRET",
    "name": "NAME-SECRET", "result": "RESULT-SECRET",
}


def assert_silent(site, *more):
    log = site.writ.log()
    for secret in [*SECRETS.values(), "SECRET", *more]:
        found = [line for line in log.splitlines() if secret in line]
        assert not found, f"{secret} in the log:\n" + "\n".join(found[:5])


def everywhere(site):
    """Requests of every kind of outcome, with values that can be found again."""
    client = site.client
    arg, user, claims = SECRETS["args"], SECRETS["user"], json.dumps({"token": SECRETS["claims"], "role": "customer"})
    who = {"user": user, "claims": claims, "headers": {
        "Authorization": "Bearer " + SECRETS["header"], "Cookie": SECRETS["header"], "X-Api-Key": SECRETS["header"],
        "X-Request-Id": "fine-id"}}
    extra = {"key": [SECRETS["jsonb"], {"deep": SECRETS["jsonb"], SECRETS["name"]: 1}]}
    yield 200, client.command("add_account", {"name": arg, "extra": extra}, **who)
    yield 409, client.command("add_account", {"name": arg}, **who)  # DETAIL: Key (name)=(...) already exists.
    yield 422, client.command("add_account", {"name": arg + "2", "age": 4711}, **who)  # DETAIL: Failing row contains ...
    yield 409, client.command("add_account", {"name": arg + "3", "boss": 4711}, **who)
    yield 422, client.command("add_account", {"name": None, "extra": extra}, **who)
    yield 400, client.command("add_account", {"name": arg, "age": arg}, **who)
    yield 400, client.command("add_account", {"name": arg, "born": arg}, **who)
    yield 400, client.command("add_account", {"name": arg, "extra": "{" + SECRETS["jsonb"]}, **who)
    yield 400, client.command("add_account", {"name": arg, SECRETS["name"]: 1}, **who)
    yield 400, client.command("add_account", {"name": {"x": arg}}, **who)
    yield 404, client.command("find", {"name": arg + "nobody"}, **who)
    yield 422, client.command("no_secret", {"words": arg}, **who)
    yield 400, client.command("shout", {"words": arg}, **who)
    yield 409, client.command("shout_409", {"words": arg}, **who)
    yield 200, client.command("notice", {"words": arg}, **who)
    yield 422, client.command("divide", {"words": arg, "by": 0}, **who)
    yield 422, client.command("cast", {"words": arg}, **who)  # invalid input syntax for type integer: "..."
    yield 500, client.command("stumble", {"words": arg}, **who)
    yield 401, client.command("admin_only", {"words": arg}, **who)
    yield 200, client.command("slow", {"seconds": 0.25, "words": arg}, **who)
    yield 504, client.command("slow", {"seconds": 20, "words": arg}, **who)
    yield 400, client.post("/command/find", '{"name": "%s' % SECRETS["body"], **who)
    yield 400, client.post("/command/find", '"%s"' % SECRETS["body"], **who)
    yield 400, client.post("/command/find", '{"%s": 1, "%s": 1}' % (SECRETS["body"], SECRETS["body"]), **who)
    yield 415, client.post("/command/find", SECRETS["body"], headers={"Content-Type": f"text/{SECRETS['header']}"})
    yield 406, client.post("/command/find", SECRETS["body"], headers={"Accept": f"text/{SECRETS['header']}"})
    yield 200, client.command("find", {"name": arg}, headers={"Idempotency-Key": SECRETS["header"]})
    yield 200, client.command("find", {"name": arg}, headers={"Prefer": f"tx=rollback, {SECRETS['header']}"})
    yield 404, client.post(f"/command/{SECRETS['path']}", {"x": arg}, **who)
    yield 404, client.post(f"/{SECRETS['path']}?x={SECRETS['query']}", {"x": arg}, **who)
    yield 404, client.post(f"/command/find?token={SECRETS['query']}", {"name": "x" + arg}, **who)
    yield 400, client.command("find", {"name": arg}, claims='{"token": "%s' % SECRETS["claims"])
    yield 400, client.command("find", {"name": arg}, claims='"%s"' % SECRETS["claims"])
    yield 400, client.set(("find", {SECRETS["name"]: arg}), **who)
    yield 404, client.set((SECRETS["path"], {"x": arg}), **who)
    yield 400, client.set(("find", {"name": {"$ref": SECRETS["name"] + ".x"}}), **who)
    yield 200, client.set(("notice", {"words": SECRETS["result"]}, SECRETS["name"]),
                          ("notice", {"words": {"$ref": SECRETS["name"] + ".x"}}), **who)
    yield 413, client.post("/command/transactional_command_set", {"commands": [
        {"command": "notice", "args": {"words": arg}}] * 101}, **who)


def test_never_a_body_an_argument_or_a_secret(site):
    for number, (status, answer) in enumerate(everywhere(site)):
        assert answer.status == status, (number, answer)
    assert_silent(site)


def test_nor_when_postgresql_tells_all(database):
    """With log_parameter_max_length_on_error PostgreSQL puts parameters into the context of its errors."""
    database.execute("""do $$ begin
        execute format('alter database %I set log_parameter_max_length_on_error = -1', current_database()); end $$""")
    try:
        with harness.Site(database, MANIFEST, workers=1, timeout_ms=500) as site:
            claims = json.dumps({"token": SECRETS["claims"]})
            secret = SECRETS["args"]
            for command, args in (("stumble", {"words": secret}), ("slow", {"seconds": 20, "words": secret}),
                                  ("cast", {"words": secret}), ("add_account", {"name": secret, "age": "x"})):
                answer = site.client.command(command, args, user=SECRETS["user"], claims=claims)
                assert answer.status >= 400
                assert SECRETS["claims"] not in answer.text and SECRETS["user"] not in answer.text
            assert_silent(site)
    finally:
        database.execute("""do $$ begin
            execute format('alter database %I reset log_parameter_max_length_on_error', current_database()); end $$""")


def test_nor_when_the_connection_breaks(database, postgres):
    with harness.Proxy(postgres) as proxy, harness.Site(
            database, MANIFEST, workers=1, datasources={
                "default": proxy.conninfo(database.name) + " password=PASSWORD-SECRET"}) as site:
        args = {"seconds": 5, "words": SECRETS["args"]}
        later = Later(site.client.command, "slow", args, user=SECRETS["user"])
        harness.wait_until(lambda: database.one("select count(*) from pg_stat_activity where wait_event = 'PgSleep' "
                                                "and datname = current_database()"), "the statement to run")
        proxy.ask("cut")
        assert later.get().status in (500, 503)
        proxy.ask("refuse", on=True)
        assert site.client.command("find", {"name": SECRETS["args"]}, user=SECRETS["user"]).status == 503
        assert_silent(site)


@pytest.mark.parametrize("conninfo", [
    "host=/nowhere password=PASSWORD-SECRET user=writ",
    "postgresql://writ:PASSWORD-SECRET@nowhere.invalid/db",
    "host=/nowhere 'PASSWORD-SECRET",
    "postgresql://writ:PASSWORD-SECRET%zz@localhost/db",
    "host=/nowhere password PASSWORD-SECRET",
])
def test_nor_the_password_of_a_conninfo(database, conninfo):
    """Wrong ones too: libpq quotes what it cannot read."""
    writ = harness.Writ(database, MANIFEST, datasources={"default": conninfo}, workers=1)
    text = harness.run([harness.workspace().bin / "writd", "-t", "-c", writ.file], check=False).stdout
    text += harness.run([harness.workspace().bin / "writ", "-c", writ.file, "check"], check=False).stdout
    try:
        writ.start()
    except RuntimeError:
        pass
    else:
        fastcgi.ask(writ.border_socket, fastcgi.post("/command/two", b'{"n": 1}'), b'{"n": 1}')
        writ.stop()
    assert "PASSWORD-SECRET" not in text + writ.log(), text + writ.log()
