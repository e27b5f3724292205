"""Deadlines, callers that leave, locks, and transactions that PostgreSQL wants to have repeated."""

import json
import time

import pytest

import fastcgi
import harness
from crowd import Crowd, Later, at_once

SCHEMA = """
create table note (id bigint generated always as identity primary key, text text not null);
create table counter (name text primary key, value integer not null);
create table duty (doctor text primary key, on_call boolean not null);
insert into counter values ('a', 0), ('b', 0), ('locked', 0);
create sequence tries;
grant select, insert, update on note, counter, duty to writ;
grant usage on sequence tries to writ;

-- What runs again counts here: a sequence does not go back with its transaction.
create function raise_state(state text) returns text language plpgsql as $$
begin
  perform nextval('tries');
  raise exception using errcode = state, message = 'raised by a function';
end $$;
create function stubborn() returns trigger language plpgsql as $$
begin perform pg_sleep(30); return null; end $$;
create table late (id integer);
create constraint trigger slow_commit after insert on late deferrable initially deferred
  for each row execute function stubborn();
grant insert on late to writ;

-- Deadlocks are found quickly, so that the tests are quick.
do $$ begin execute format('alter database %I set deadlock_timeout = ''50ms''', current_database()); end $$;
"""

MANIFEST = """
specVersion: 1
commands:
  add_note: { allow: [anonymous], sql: insert into note (text) values (:text) returning id, returns: one }
  pause: { allow: [anonymous], sql: "select pg_sleep(:seconds)::text as slept", args: { seconds: float8 }, returns: one }
  spin:
    allow: [anonymous]
    sql: "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000000) select count(*) as n from n"
    returns: one
  late: { allow: [anonymous], sql: insert into late values (1) }
  bump: { allow: [anonymous], sql: update counter set value = value + 1 where name = :name }
  attempt: { allow: [anonymous], sql: "select nextval('tries') as n", returns: one }
  raise_state: { allow: [anonymous], sql: select raise_state(:state) as x, returns: one }
  # Two doctors are on call; one may leave as long as the other stays: write skew, which only `serializable` sees.
  two_on_call:
    check: select count(*) >= 2 from duty where on_call
    error: { code: NEEDED, status: 409, message: Nobody else is on call. }
  leave: { sql: update duty set on_call = false where doctor = :doctor }
  go_home:
    allow: [anonymous]
    isolation: serializable
    args: { doctor: text, seconds: float8 }
    commands:
      - attempt: {}
      - two_on_call: {}
      - pause: { seconds: $args.seconds }
      - leave: { doctor: $args.doctor }
"""


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=4, timeout_ms=1000, slow_ms=0) as site:
        yield site


@pytest.fixture(autouse=True)
def fresh(database):
    database.execute("""truncate note, duty; alter sequence tries restart;
        insert into duty values ('ann', true), ('bob', true)""")


PATIENT = {"timeout_ms": 20000, "slow_ms": 0}
STATEMENTS = pytest.mark.parametrize("last", [("pause", {"seconds": 60}), ("spin", {}), ("late", {})],
                                     ids=["sleeping", "computing", "at commit"])


def set_in_bytes(*commands):
    """A request as it is on the wire, for callers that do not wait for the answer."""
    body = json.dumps({"commands": [harness.as_command(command) for command in commands]}).encode()
    return (b"POST /command/transactional_command_set HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def line_with(site, words):
    """The first line of the log with these words."""
    return harness.wait_until(lambda: [line for line in site.writ.log().splitlines() if words in line], words)[0]


def running(database):
    """What writd has running in PostgreSQL."""
    return database.one("""select count(*) from pg_stat_activity
        where usename = 'writ' and datname = current_database() and state <> 'idle'""")


def nothing_runs(database):
    harness.wait_until(lambda: running(database) == 0, "nothing to run in PostgreSQL", 5 * harness.PATIENCE)


def connections(database):
    return database.one("select count(*) from pg_stat_activity where usename = 'writ' and datname = current_database()")


def notes(database):
    return database.one("select count(*) from note")


def tries(database):
    return database.one("select case when is_called then last_value else 0 end from tries")


def counter(site, name):
    for line in site.inside.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise KeyError(name)


# ---- timeout_ms


@STATEMENTS
def test_the_deadline(database, site, last):
    """The statement that still runs is cancelled in PostgreSQL, and what went before is rolled back."""
    before = counter(site, "writ_cancels_total")
    begun = time.monotonic()
    answer = site.client.set(("add_note", {"text": "x"}), last)
    assert time.monotonic() - begun >= 0.95
    assert (answer.status, answer.code) == (504, "TIMEOUT"), answer
    assert answer.json["retryable"] is False
    nothing_runs(database)
    assert notes(database) == 0
    assert site.client.command("add_note", {"text": "next"}).status == 200
    assert notes(database) == 1
    assert counter(site, "writ_cancels_total") - before in (0, 1)  # statement_timeout may have been quicker


def test_the_deadline_counts_from_the_start(database, site):
    """Not each statement has it anew."""
    begun = time.monotonic()
    answer = site.client.set(*[("pause", {"seconds": 0.4})] * 50)
    assert (answer.status, answer.code) == (504, "TIMEOUT"), answer
    assert time.monotonic() - begun < 15 * harness.PATIENCE
    nothing_runs(database)


def test_the_deadline_waiting_for_a_lock(database, site):
    with database.connect(autocommit=False) as other:
        other.execute("select from counter where name = 'locked' for update")
        answer = site.client.set(("add_note", {"text": "x"}), ("bump", {"name": "locked"}))
        assert (answer.status, answer.code) == (504, "TIMEOUT"), answer
        nothing_runs(database)
        other.rollback()
    assert database.one("select value from counter where name = 'locked'") == 0
    assert notes(database) == 0


def test_the_deadline_of_an_execute_set(database, site):
    """One deadline for all of it; what was committed before stays, and the error says how much that is."""
    answer = site.client.post("/command/execute_command_set", {"commands": [
        {"command": "add_note", "args": {"text": "kept"}}, {"command": "pause", "args": {"seconds": 60}},
        {"command": "add_note", "args": {"text": "never"}}]})
    assert (answer.status, answer.code) == (504, "TIMEOUT"), answer
    assert answer.json["committed"] == 1 and answer.json["index"] == 1
    nothing_runs(database)
    assert database.execute("select text from note") == [("kept",)]


def test_all_workers_are_free_again(database, site):
    """Many at their deadline at once, and after them as many that are served."""
    answers = at_once([lambda: site.client.command("pause", {"seconds": 60})] * 8)
    assert {answer.code for answer in answers} == {"TIMEOUT"}
    nothing_runs(database)
    answers = at_once([lambda: site.client.command("add_note", {"text": "x"})] * 8)
    assert [answer.status for answer in answers] == [200] * 8
    assert len(site.writ.workers()) == 5


def test_a_body_that_does_not_come(database, site):
    """A web server that does not buffer: the worker is held until the deadline, and no longer."""
    body = b'{"text": "slow"}'
    with fastcgi.connect(site.writ.border_socket) as connection:
        connection.sendall(fastcgi.head(fastcgi.post("/command/add_note", body)))
        connection.sendall(fastcgi.stream(fastcgi.STDIN, body[:5], end=False))
        answer = fastcgi.read_answer(connection)
    assert (answer.status, answer.code) == (504, "TIMEOUT"), answer
    assert notes(database) == 0


# ---- the caller hangs up


@STATEMENTS
def test_a_caller_that_hangs_up(database, last):
    with harness.Site(database, MANIFEST, workers=1, **PATIENT) as site:
        with site.client.connect() as connection:
            connection.sendall(set_in_bytes(("add_note", {"text": "x"}), last))
            harness.wait_until(lambda: running(database) == 1, "the statement to run")
        nothing_runs(database)  # long before the deadline
        assert notes(database) == 0
        assert site.client.command("add_note", {"text": "next"}).status == 200  # the one worker is free again
        assert counter(site, "writ_cancels_total") == 1
        line = line_with(site, "CALLER_GONE")
        assert " info request " in line and "status=499 code=CALLER_GONE" in line, line
        assert len(site.writ.workers()) == 2


def serves_again(site):
    """PostgreSQL may have had no room for more connections: each cancel request is one."""
    def ask():
        answer = site.client.command("add_note", {"text": "next"})
        assert answer.status == 200 or answer.code == "DATABASE_UNAVAILABLE", answer
        return answer.status == 200

    harness.wait_until(ask, "an answer of PostgreSQL's")


def test_callers_that_hang_up_at_any_moment(database):
    """What they asked for is done whole or not at all, and nothing is left running."""
    others = connections(database)
    with harness.Site(database, MANIFEST, workers=2, **PATIENT) as site:
        def send(number):
            with site.client.connect() as connection:
                connection.sendall(set_in_bytes(*[("add_note", {"text": f"{number}"})] * 2))
                time.sleep(number % 13 / 4000)

        with Crowd(4, send) as crowd:
            crowd.wait_for(300)
        serves_again(site)
        nothing_runs(database)
        assert set(database.execute("select count(*) from note where text <> 'next' group by text")) <= {(2,)}
        assert len(site.writ.workers()) == 3
        harness.wait_until(lambda: connections(database) - others <= 3, "one connection for each worker")


def test_a_caller_that_left_before_a_worker_was_free(database):
    """Nothing is begun, so nothing has to be cancelled."""
    with harness.Site(database, MANIFEST, workers=1, **PATIENT) as site:
        busy = Later(site.client.command, "pause", {"seconds": 1.5})
        harness.wait_until(lambda: running(database) == 1, "the one worker to be busy")
        with site.client.connect() as connection:
            connection.sendall(set_in_bytes(("add_note", {"text": "x"})))
            time.sleep(0.3)  # nginx has passed it on: it waits in the socket's queue
        assert busy.get().status == 200
        assert "flights=0" in line_with(site, "CALLER_GONE")
        assert site.client.command("add_note", {"text": "next"}).status == 200
        assert notes(database) == 1
        assert counter(site, "writ_cancels_total") == 0


def test_hanging_up_holds_no_worker(database):
    """A cancel request that comes before PostgreSQL has begun with the flight does nothing: it is sent again."""
    with harness.Site(database, MANIFEST, workers=2, **PATIENT) as site:
        def send(number):
            with site.client.connect() as connection:
                connection.sendall(set_in_bytes(("pause", {"seconds": 60})))
                time.sleep(number % 13 / 1000)

        with Crowd(4, send) as crowd:
            crowd.wait_for(max(20, 200 // harness.PATIENCE))
        serves_again(site)
        nothing_runs(database)
        assert counter(site, "writ_cancels_total") > 0
        assert counter(site, "writ_unknown_outcomes_total") == 0
        harness.wait_until(lambda: len(site.writ.children()) == 3, "what was forked to cancel to be gone")


# ---- locks


def test_lock_timeout(database):
    with harness.Site(database, MANIFEST, workers=1, lock_timeout_ms=200, **PATIENT) as site:
        with database.connect(autocommit=False) as other:
            other.execute("select from counter where name = 'locked' for update")
            answer = site.client.set(("add_note", {"text": "x"}), ("bump", {"name": "locked"}))
            assert (answer.status, answer.code) == (409, "LOCK_TIMEOUT"), answer
            assert answer.json["retryable"] is True and answer.json["index"] == 1
            assert notes(database) == 0
            other.rollback()
        assert site.client.command("bump", {"name": "locked"}).result == 1
        # It is the wait for a lock that is bounded, not the statement.
        assert site.client.command("pause", {"seconds": 0.5}).status == 200
    database.execute("update counter set value = 0")


# ---- transactions that PostgreSQL wants to have repeated


def race(*calls):
    """Both are in their transaction before either goes on: each sleeps after it has read or locked."""
    return at_once(calls)


def test_a_serialization_failure_is_tried_again(database):
    """Two doctors leave at once: one of them is told, by the second try, that nobody else is left."""
    with harness.Site(database, MANIFEST, workers=2, **PATIENT) as site:
        answers = race(lambda: site.client.command("go_home", {"doctor": "ann", "seconds": 0.4}),
                       lambda: site.client.command("go_home", {"doctor": "bob", "seconds": 0.4}))
        assert sorted(answer.status for answer in answers) == [200, 409], answers
        assert next(answer.code for answer in answers if answer.status == 409) == "NEEDED"
        assert database.one("select count(*) from duty where on_call") == 1
        assert tries(database) == 3  # two, and one again
        assert counter(site, "writ_retries_total") == 1
        line = line_with(site, "code=NEEDED")
        assert " retries=1 " in line and " flights=2 " in line, line


def test_a_serialization_failure_without_retries(database):
    with harness.Site(database, MANIFEST, workers=2, retries=0, **PATIENT) as site:
        answers = race(lambda: site.client.command("go_home", {"doctor": "ann", "seconds": 0.4}),
                       lambda: site.client.command("go_home", {"doctor": "bob", "seconds": 0.4}))
        assert sorted(answer.status for answer in answers) == [200, 409], answers
        failed = next(answer for answer in answers if answer.status == 409)
        assert failed.code == "SERIALIZATION_FAILURE" and failed.json["retryable"] is True, failed
        assert failed.json["sqlstate"] == "40001"
        assert database.one("select count(*) from duty where on_call") == 1
        assert tries(database) == 2


def crosswise(site, first, second):
    return site.client.set(("attempt", {}), ("bump", {"name": first}), ("pause", {"seconds": 0.4}),
                           ("bump", {"name": second}))


def test_a_deadlock_is_tried_again(database):
    with harness.Site(database, MANIFEST, workers=2, **PATIENT) as site:
        before = dict(database.execute("select name, value from counter"))
        answers = race(lambda: crosswise(site, "a", "b"), lambda: crosswise(site, "b", "a"))
        assert [answer.status for answer in answers] == [200, 200], answers
        after = dict(database.execute("select name, value from counter"))
        assert (after["a"] - before["a"], after["b"] - before["b"]) == (2, 2)  # each of them once
        assert tries(database) == 3
        assert counter(site, "writ_retries_total") == 1


def test_a_deadlock_without_retries(database):
    with harness.Site(database, MANIFEST, workers=2, retries=0, **PATIENT) as site:
        before = dict(database.execute("select name, value from counter"))
        answers = race(lambda: crosswise(site, "a", "b"), lambda: crosswise(site, "b", "a"))
        assert sorted(answer.status for answer in answers) == [200, 409], answers
        failed = next(answer for answer in answers if answer.status == 409)
        assert failed.code == "DEADLOCK" and failed.json["retryable"] is True, failed
        after = dict(database.execute("select name, value from counter"))
        assert (after["a"] - before["a"], after["b"] - before["b"]) == (1, 1)


@pytest.mark.parametrize("state, code", [("40001", "SERIALIZATION_FAILURE"), ("40P01", "DEADLOCK")])
def test_what_a_function_raises_itself_is_not_tried_again(database, site, state, code):
    """It is the function's word, and would be the same again."""
    answer = site.client.command("raise_state", {"state": state})
    assert (answer.status, answer.code) == (409, code), answer
    assert tries(database) == 1


def test_retries_end_at_the_deadline(database, site):
    """Races without end: the deadline of 1 s holds."""
    with Crowd(4, lambda number: crosswise(site, *("ab" if number % 2 else "ba"))) as crowd:
        crowd.wait_for(4)
    for _, answer in crowd.outcomes:
        assert answer.status == 200 or answer.code in ("DEADLOCK", "TIMEOUT"), answer
    nothing_runs(database)
