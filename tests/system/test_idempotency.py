"""Idempotency-Key: applied once, answered again; whoever waits waits a short while; nothing else gets at an answer."""

import os
import signal

import pytest

import harness
from crowd import Later
from faulty import build_with_faults, faulty_site

SCHEMA = """
create table note (id bigint generated always as identity primary key, owner text, text text unique, amount numeric,
                   data jsonb);
create table slow (id int primary key);
create function wait_for_it(seconds float8) returns text language plpgsql volatile as $$
begin perform pg_sleep(seconds); return 'waited'; end $$;
create procedure nothing() language sql as 'select 1';
grant select, insert, update, delete on note, slow to writ;
create role keyed_customer;
grant keyed_customer to writ;
grant select, insert on note to keyed_customer;
alter table note enable row level security;
create policy own on note to keyed_customer using (owner = current_setting('request.user'))
  with check (owner = current_setting('request.user'));
create policy all_of_it on note to writ using (true) with check (true);
"""

MANIFEST = """
specVersion: 1
commands:
  add: { allow: [anonymous, customer, other], sql: "insert into note (owner, text) values ('x', :text) returning id, text", returns: one }
  add_slowly:
    allow: [anonymous]
    sql: "insert into note (text) select :text || wait_for_it(:seconds) returning id, text"
    args: { text: text, seconds: float8 }
    returns: one
  count: { allow: [anonymous], sql: "insert into note (text) select :text || i from generate_series(1, 3) i", args: { text: text } }
  none: { allow: [anonymous], sql: "insert into note (text) values (:text)", returns: none }
  many: { allow: [anonymous], sql: "select i, repeat('x', :size) as x from generate_series(1, :n) i", args: { n: int, size: int } }
  numbers: { allow: [anonymous], sql: "insert into note (amount, data) values (:amount, :data) returning amount, data", returns: one }
  odd:
    allow: [anonymous]
    sql: |
      select E'{"a" :\\n [1,\\t2 ] } '::json as j, null::int as n, 'NaN'::numeric as x, '[]'::jsonb as e
    returns: one
  guarded:
    allow: [anonymous]
    sql: "insert into note (text) values (:text) returning id, text"
    returns: one
    permissions: { before: { none: "not exists (select from note where text = :text)" }, after: { there: "exists (select from note where text = :text)" } }
  find: { allow: [anonymous], sql: "select id from note where text = :text", returns: optional }
  merge: { allow: [anonymous], sql: "merge into slow using (values (:id::int)) v (id) on slow.id = v.id when not matched then insert values (v.id)" }
  merge_none: { allow: [anonymous], sql: "merge into slow using (values (:id::int)) v (id) on slow.id = v.id when not matched then insert values (v.id)", returns: none }
  call: { allow: [anonymous], sql: "call nothing()" }
  free: { check: "not exists (select from note where text = :text)", allow: [anonymous], error: { code: TAKEN, status: 409 } }
  must: { allow: [anonymous], sql: "insert into note (text) values (:text) returning id", returns: one, idempotency: required }
  both:
    allow: [anonymous]
    args: { text: text }
    commands:
      - free: { text: $args.text }
      - add: { text: $args.text }
        as: a
      - find: { text: $a.text }
        as: found
    result: { first: $a, again: $found.id, word: "some \\"text\\" of the manifest" }
"""


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=4, waiting_workers=4, idempotency_wait_ms=20000) as site:
        yield site


@pytest.fixture(autouse=True)
def empty(database):
    yield
    database.execute("truncate note, slow, writ.idempotency")


def keyed(key, **more):
    return {"Idempotency-Key": key, **more}


def is_replay(answer):
    return answer.header("idempotent-replay") == "true"


def twice(client, name, args, key="k", **options):
    """The same request two times: a run, and its repeat, byte for byte."""
    first = client.command(name, args, headers=keyed(key), **options)
    again = client.command(name, args, headers=keyed(key), **options)
    assert first.status == again.status == 200, (first, again)
    assert (is_replay(first), is_replay(again)) == (False, True)
    assert first.body == again.body and first.header("content-type") == again.header("content-type")
    return first


def notes(database):
    return database.one("select count(*) from note")


@pytest.mark.parametrize("name, args, rows", [
    ("add", {"text": "a \"quoted\" \\ text, ü€😀\n"}, 1), ("count", {"text": "c"}, 3), ("none", {"text": "n"}, 1),
    ("call", {}, 0), ("merge_none", {"id": 1}, 0), ("find", {"text": "nobody"}, 0), ("free", {"text": "nobody"}, 0),
    ("both", {"text": "of a composite"}, 1), ("odd", {}, 0), ("guarded", {"text": "g"}, 1), ("many", {"n": 3, "size": 2}, 0), ("many", {"n": 0, "size": 0}, 0)])
def test_a_repeat_gets_the_same_answer(site, database, name, args, rows):
    twice(site.client, name, args)
    assert notes(database) == rows
    assert database.one("select count(*) from writ.idempotency") == 1


def test_digits_and_whitespace(site):
    body = b'{"amount": 12345678901234567890.1234567890, "data": {"b": 1.10, "a": [1e400, -0, 0.000]}}'
    first, again = (site.client.request("POST", "/command/numbers", body, keyed("k")) for _ in range(2))
    assert first.body == again.body and b"12345678901234567890.1234567890" in first.body and b"1.10" in first.body
    assert is_replay(again)


def test_sets(site, database):
    commands = [("free", {"text": "s"}), ("add", {"text": "s"}, "a"), ("find", {"text": {"$ref": "a.text"}}, "f"),
                ("count", {"text": "t"}), ("call", {}), ("none", {"text": "u"}), ("both", {"text": "v"}, "both"),
                ("find", {"text": {"$ref": "both.first.text"}})]
    answers = [site.client.set(*commands, headers=keyed("t")) for _ in range(2)]
    assert [is_replay(answer) for answer in answers] == [False, True]
    assert answers[0].status == 200 and answers[0].body == answers[1].body
    assert notes(database) == 6
    one = {"commands": [{"command": "add", "args": {"text": "alone"}, "as": "x"}]}
    answers = [site.client.post("/command/execute_command_set", one, headers=keyed("e")) for _ in range(2)]
    assert answers[0].status == 200 and answers[0].body == answers[1].body and is_replay(answers[1])
    assert site.client.post("/command/execute_command_set", {"commands": []}, headers=keyed("z")).results == []
    assert notes(database) == 7  # several commands: test_mutations_durable.py


def test_a_set_of_many(site, database):
    commands = [("add", {"text": f"{n}"}, f"c{n}") for n in range(90)] + [("find", {"text": {"$ref": "c3.text"}})] * 10
    answers = [site.client.set(*commands, headers=keyed("k")) for _ in range(2)]
    assert is_replay(answers[1]) and answers[0].body == answers[1].body and notes(database) == 90


def test_a_large_answer(site):
    first = twice(site.client, "many", {"n": 1000, "size": 1000})
    assert len(first.body) > 1_000_000


def test_another_request_with_the_same_key(site, database):
    twice(site.client, "add", {"text": "one"})
    for name, args in (("add", {"text": "two"}), ("none", {"text": "one"})):
        answer = site.client.command(name, args, headers=keyed("k"))
        assert (answer.status, answer.code) == (422, "IDEMPOTENCY_MISMATCH") and not answer.json["retryable"]
    assert notes(database) == 1


def test_the_order_of_members_and_the_form_of_json_are_no_difference(site):
    bodies = (b'{"n": 1, "size": 2}', b'{"size":2,"n":1}', b'{ "si\\u007ae": 2, "n": 1 }')
    answers = [site.client.request("POST", "/command/many", body, keyed("k")) for body in bodies]
    assert [is_replay(answer) for answer in answers] == [False, True, True]
    assert site.client.request("POST", "/command/many", b'{"n": 1.0, "size": 2}', keyed("k")).status == 422


def test_keys_belong_to_the_caller(site, database):
    callers = [{}, {"role": "customer", "user": "1"}, {"role": "customer", "user": "2"}, {"role": "other", "user": "1"},
               {"role": "customer", "claims": '{"sub": "1"}'}, {"role": "customer", "claims": '{"sub": "2"}'}]
    for number, caller in enumerate(callers):
        twice(site.client, "add", {"text": f"{number}"}, **caller)
    assert notes(database) == len(callers)
    # Claims change when a token is renewed: the caller is the same.
    renewed = site.client.command("add", {"text": "4"}, headers=keyed("k"), role="customer", claims='{"sub": "1", "exp": 2}')
    assert is_replay(renewed)


@pytest.mark.parametrize("key, same", [("k", '"k"'), ('"k"', "k"), ('a"b', r'"a\"b"'), (r"a\b", r'"a\\b"'), ("x" * 255, None),
                                       ('"with blanks"', None), ("8e03978e-40d5-43dd-bc93-6894a57f9324", None)])
def test_forms_of_a_key(site, key, same):
    assert site.client.command("many", {"n": 1, "size": 1}, headers=keyed(key)).status == 200
    assert is_replay(site.client.command("many", {"n": 1, "size": 1}, headers=keyed(same or key)))


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", '"', '""', '"a', '"a"b', '"a";x=1', '"\\n"', "\x7f", "ü"])
def test_keys_that_are_none(site, database, key):
    answer = site.client.request("POST", "/command/add", {"text": "t"}, [("Idempotency-Key", key)])
    if key:
        assert answer.status == 400 and answer.code in ("BAD_REQUEST",)
        assert notes(database) == 0


def test_errors_are_not_kept(site, database):
    site.client.command("add", {"text": "taken"})
    for _ in range(2):
        answer = site.client.command("add", {"text": "taken"}, headers=keyed("k"))
        assert (answer.status, answer.code) == (409, "UNIQUE_VIOLATION") and not is_replay(answer)
        answer = site.client.command("both", {"text": "taken"}, headers=keyed("k"))
        assert (answer.status, answer.code) == (409, "TAKEN")
    assert database.one("select count(*) from writ.idempotency") == 0
    database.execute("delete from note")
    twice(site.client, "add", {"text": "taken"})


def test_a_count_of_merge_cannot_be_kept(site, database):
    answer = site.client.command("merge", {"id": 1}, headers=keyed("k"))
    assert (answer.status, answer.code) == (501, "NOT_IMPLEMENTED") and "returns: none" in answer.json["detail"]
    assert database.one("select count(*) from slow") == 0
    assert site.client.command("merge", {"id": 1}).result == 1


def test_required(site, database):
    refused = [site.client.command("must", {"text": "m"}), site.client.set(("add", {"text": "a"}), ("must", {"text": "m"})),
               site.inside.command("must", {"text": "m"})]
    for answer in refused:
        assert (answer.status, answer.code) == (400, "BAD_REQUEST") and "Idempotency-Key" in answer.json["detail"]
    assert refused[1].json["index"] == 1 and notes(database) == 0
    assert site.client.command("must", {"text": "m"}, headers={"Prefer": "tx=rollback"}).status == 200  # nothing to repeat
    twice(site.client, "must", {"text": "m"})


def test_a_dry_run_does_not_look_at_keys(site, database):
    for _ in range(2):
        answer = site.client.command("add", {"text": "d"}, headers=keyed("k", Prefer="tx=rollback"))
        assert answer.status == 200 and not is_replay(answer)
    assert database.one("select count(*) from writ.idempotency") == 0
    twice(site.client, "add", {"text": "d"})


# ---- at the same time


def asleep(database, n=1):
    harness.wait_until(lambda: database.one(
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()") >= n, "it to run")


def waiting(database, n=1):
    harness.wait_until(lambda: database.one(
        "select count(*) from pg_locks where locktype = 'advisory' and not granted") >= n, "somebody to wait")


def test_at_once_one_runs_and_the_others_get_its_answer(site, database):
    slow = {"text": "at once", "seconds": 1}
    laters = [Later(site.client.command, "add_slowly", slow, headers=keyed("k")) for _ in range(3)]
    waiting(database, 2)
    answers = [later.get() for later in laters]
    assert [answer.status for answer in answers] == [200] * 3, answers
    assert sorted(is_replay(answer) for answer in answers) == [False, True, True]
    assert len({answer.body for answer in answers}) == 1 and notes(database) == 1


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
def test_at_once_with_an_old_snapshot(site, database, isolation):
    """The one that waits would not see what it waited for, and be refused for what it has written itself."""
    commands = [("add_slowly", {"text": "snapshot", "seconds": 0.5})]
    for round in range(3):
        laters = [Later(site.client.set, *commands, isolation=isolation, headers=keyed(f"{isolation}{round}"))
                  for _ in range(3)]
        answers = [later.get() for later in laters]
        assert [answer.status for answer in answers] == [200] * 3, answers
        assert sorted(is_replay(answer) for answer in answers) == [False, True, True]
        assert notes(database) == 1
        database.execute("delete from note")


def test_when_the_first_fails_the_second_runs(site, database):
    with database.connect(autocommit=False) as blocker:
        blocker.execute("insert into note (text) values ('blocked')")
        first = Later(site.client.command, "add", {"text": "blocked"}, headers=keyed("k"))
        harness.wait_until(lambda: database.one("select count(*) from pg_locks where not granted") == 1, "the first to wait")
        second = Later(site.client.command, "add", {"text": "blocked"}, headers=keyed("k"))
        waiting(database)
        blocker.commit()
    assert {first.get().code, second.get().code} == {"UNIQUE_VIOLATION"}
    assert notes(database) == 1 and database.one("select count(*) from writ.idempotency") == 0


def test_many_at_once(site, database):
    """Each of the keys is applied once, whatever comes in between."""
    def work(number):
        return [site.client.command("add", {"text": f"key {n}"}, headers=keyed(f"key{n}")) for n in range(10)]

    for later in [Later(work, number) for number in range(6)]:
        answers = later.get()
        assert {answer.status for answer in answers} <= {200}, answers
    assert notes(database) == 10 and database.one("select count(*) from writ.idempotency") == 10


def test_replays_of_one_key_do_not_wait_for_each_other(database):
    with harness.Site(database, MANIFEST, workers=4, idempotency_wait_ms=1, waiting_workers=1) as site:
        first = site.client.command("add", {"text": "again"}, headers=keyed("storm"))

        def work():
            return [site.client.command("add", {"text": "again"}, headers=keyed("storm")) for _ in range(100)]

        for later in [Later(work) for _ in range(6)]:
            assert {(answer.status, answer.body) for answer in later.get()} == {(200, first.body)}
    assert notes(database) == 1


def test_waiting_is_bounded(database):
    with harness.Site(database, MANIFEST, workers=4, idempotency_wait_ms=100, waiting_workers=1) as site:
        first = Later(site.client.command, "add_slowly", {"text": "slow", "seconds": 3}, headers=keyed("k"))
        asleep(database)
        answer = site.client.command("add_slowly", {"text": "slow", "seconds": 3}, headers=keyed("k"))
        assert (answer.status, answer.code) == (409, "IDEMPOTENCY_CONFLICT")
        assert answer.header("retry-after") == "1" and answer.json["retryable"] is True
        assert first.get().status == 200
    with harness.Site(database, MANIFEST, workers=4, idempotency_wait_ms=30000, waiting_workers=1) as site:
        args = {"text": "slower", "seconds": 3}
        first = Later(site.client.command, "add_slowly", args, headers=keyed("l"))
        asleep(database)
        second = Later(site.client.command, "add_slowly", args, headers=keyed("l"))
        waiting(database)
        assert 'writ_workers_waiting{pool="border"} 1' in site.inside.get("/metrics").text
        third = site.client.command("add_slowly", args, headers=keyed("l"))  # no second one may wait
        assert (third.status, third.code) == (409, "IDEMPOTENCY_CONFLICT")
        assert (first.get().status, second.get().status) == (200, 200)
        assert 'writ_workers_waiting{pool="border"} 0' in site.inside.get("/metrics").text
        assert "writ_replays_total 1" in site.inside.get("/metrics").text


needs_faults = pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults: WRIT_BUILD_FAULTS=FOLDER")


@needs_faults
def test_a_dead_worker_leaves_its_place(database):
    with faulty_site(database, MANIFEST, workers=3, idempotency_wait_ms=30000, waiting_workers=1) as site:
        args = {"text": "long", "seconds": 4}
        first = Later(site.client.command, "add_slowly", args, headers=keyed("k"))
        asleep(database)
        site.writ.die_at("waiting")
        assert site.client.command("add_slowly", args, headers=keyed("k")).status == 502
        harness.wait_until(lambda: 'writ_workers_waiting{pool="border"} 0' in site.inside.get("/metrics").text, "its place")
        again = site.client.command("add_slowly", args, headers=keyed("k"))
        assert again.status == 200 and is_replay(again)
        assert first.get().status == 200 and notes(database) == 1


# ---- accidents


@needs_faults
@pytest.mark.parametrize("place, applied", [("before-commit", False), ("after-send", None), ("after-commit", True)])
def test_a_worker_dies_and_the_client_tries_again(database, place, applied):
    with faulty_site(database, MANIFEST, workers=1) as site:
        for round in range(5):
            args, key = {"text": f"{place} {round}"}, f"{place}{round}"
            site.writ.die_at(place)
            assert site.client.command("both", args, headers=keyed(key)).status == 502
            again = site.client.command("both", args, headers=keyed(key))
            assert again.status == 200, again
            assert applied is None or is_replay(again) == applied
            assert notes(database) == round + 1
            assert site.client.command("both", args, headers=keyed(key)).body == again.body


def committing(database):
    return harness.wait_until(lambda: database.one(
        "select max(pid) from pg_stat_activity where wait_event = 'PgSleep' and query not ilike '%%pg_sleep%%' "
        "and datname = current_database()"), "a COMMIT under way")


SLOW_COMMIT = """
create or replace function at_leisure() returns trigger language plpgsql as $$ begin perform pg_sleep(%s); return null; end $$;
create constraint trigger slow_commit after insert on note deferrable initially deferred
  for each row execute function at_leisure();
"""


@pytest.fixture
def slow_commit(database):
    database.execute(SLOW_COMMIT % 1)
    yield
    database.execute("drop trigger slow_commit on note; drop function at_leisure")


@pytest.mark.parametrize("prepared", [True, False])
def test_a_backend_that_dies_while_committing(database, slow_commit, prepared):
    """Without a key it is COMMIT_UNKNOWN. With one the same is sent again: the row is there once."""
    with harness.Site(database, MANIFEST, workers=1, datasources={
            "default": {"conninfo": database.conninfo, "prepared": prepared}}) as site:
        later = Later(site.client.command, "add", {"text": "without"})
        assert database.one("select pg_terminate_backend(%s)", [committing(database)])
        assert later.get().code == "COMMIT_UNKNOWN"
        later = Later(site.client.command, "add", {"text": "with"}, headers=keyed("k"))
        assert database.one("select pg_terminate_backend(%s)", [committing(database)])
        answer = later.get()
        assert answer.status == 200 and not is_replay(answer), answer
        assert database.one("select count(*) from note where text = 'with'") == 1
        assert is_replay(site.client.command("add", {"text": "with"}, headers=keyed("k")))


# BEGIN and the settings of the request below, sent without being prepared, and a little of the lock's statement.
AS_FAR_AS_THE_SETTINGS = 600


@pytest.fixture(scope="module")
def proxy(postgres):
    with harness.Proxy(postgres, delay_ms=20) as proxy:
        yield proxy


def test_a_connection_cut_while_committing(database, proxy, slow_commit):
    """The old backend goes on, and commits: the second try waits for it, and finds the answer."""
    with harness.Site(database, MANIFEST, workers=1, datasources={
            "default": {"conninfo": proxy.conninfo(database.name), "prepared": False}}) as site:
        later = Later(site.client.command, "add", {"text": "cut"}, headers=keyed("k"))
        committing(database)
        proxy.ask("cut")
        answer = later.get()
        assert answer.status == 200, answer
        assert database.one("select count(*) from note") == 1
        again = site.client.command("add", {"text": "cut"}, headers=keyed("k"))
        assert is_replay(again) and again.body == answer.body


def test_when_all_of_postgresql_dies_while_committing():
    """It recovers within the time: whether it was committed or not, the client is told how it is."""
    with harness.Postgres(restart_after_crash="on") as cluster:
        database = harness.Database(cluster, "keyed", SCHEMA)
        database.execute(SLOW_COMMIT % 1)
        with harness.Site(database, MANIFEST, workers=1) as site:
            later = Later(site.client.command, "add", {"text": "crash"}, headers=keyed("k"))
            os.kill(committing(database), signal.SIGKILL)
            answer = later.get()
            again = site.client.command("add", {"text": "crash"}, headers=keyed("k"))
            assert answer.status == 200 or answer.code == "COMMIT_UNKNOWN", answer
            assert again.status == 200 and is_replay(again) == (answer.status == 200)
            assert notes(database) == 1


@pytest.mark.parametrize("commands", [[("add", {"text": "past"})], [("free", {"text": "past"}), ("none", {"text": "past"})],
                                      [("many", {"n": 1, "size": 1})]], ids=["refused by a constraint", "by a check", "not refused"])
def test_a_snapshot_from_before_the_first_run(database, proxy, commands):
    """The first run comes to its end between the second's snapshot and its look at the key: neither the key nor what was
    written is seen, and yet the answer is the first one's."""
    def in_transaction():
        return database.one("select count(*) from pg_stat_activity where backend_xmin is not null and wait_event = 'ClientRead' "
                            "and usename = 'writ'")

    def send(site):
        return site.client.set(*commands, isolation="repeatable_read", headers=keyed("k", **{"X-Request-Id": "a" * 32}))

    through = {"default": {"conninfo": proxy.conninfo(database.name), "prepared": False}}
    with harness.Site(database, MANIFEST, workers=1) as first, harness.Site(database, MANIFEST, workers=1, datasources=through) as second:
        assert second.client.command("odd").status == 200  # it is connected
        proxy.ask("rule", way="to_server", bytes=AS_FAR_AS_THE_SETTINGS, action="stall")
        later = Later(send, second)
        harness.wait_until(in_transaction, "the second to have its snapshot")
        answer = send(first)
        assert answer.status == 200 and not is_replay(answer)
        proxy.ask("resume")
        again = later.get()
        assert is_replay(again) and again.body == answer.body, again


def test_through_pgbouncer(postgres, database):
    with harness.PgBouncer(postgres) as pooler, harness.Site(
            database, MANIFEST, workers=3, idempotency_wait_ms=20000,
            datasources={"default": {"conninfo": pooler.conninfo(database.name), "prepared": False}}) as site:
        twice(site.client, "both", {"text": "pooled"})
        laters = [Later(site.client.command, "add_slowly", {"text": "p", "seconds": 1}, headers=keyed("p")) for _ in range(2)]
        assert sorted(is_replay(later.get()) for later in laters) == [False, True]
        assert notes(database) == 2


def test_acknowledged_is_durable(database):
    """Whatever the database's default: a repeat must find what the first was told of, also after a crash."""
    database.execute(f"alter database {database.name} set synchronous_commit = off")
    try:
        with harness.Site(database, MANIFEST.replace("select id from note where text = :text",
                                                     "select current_setting('synchronous_commit') as s where :text <> ''")) as site:
            assert site.client.command("find", {"text": "x"}).result == {"s": "off"}
            assert site.client.command("find", {"text": "x"}, headers=keyed("k")).result == {"s": "on"}
    finally:
        database.execute(f"alter database {database.name} reset synchronous_commit")


# ---- what it costs, and who needs what


def trips(site, proxy, send):
    assert site.inside.get("/readyz").status == 200
    before = proxy.stats()["trips"]
    return send(), proxy.stats()["trips"] - before


def test_one_round_trip_and_two_for_a_replay(database, proxy):
    with harness.Site(database, MANIFEST, workers=1, inside_workers=1,
                      datasources={"default": proxy.conninfo(database.name)}) as site:
        site.inside.command("many", {"n": 1, "size": 1})
        commands = [("free", {"text": "t"}), ("add", {"text": "t"}, "a"), ("both", {"text": "u"}),
                    ("find", {"text": {"$ref": "a.text"}}), ("guarded", {"text": "guarded"})]
        answer, count = trips(site, proxy, lambda: site.inside.set(*commands, headers=keyed("k")))
        assert answer.status == 200 and count == 1
        answer, count = trips(site, proxy, lambda: site.inside.set(*commands, headers=keyed("k")))
        assert is_replay(answer) and count == 2
        answer, count = trips(site, proxy, lambda: site.inside.set(*commands, headers=keyed("l")))
        assert answer.code == "PERMISSION_DENIED" and count == 1


def test_mapped_roles_have_no_right_to_the_table(database):
    with harness.Site(database, MANIFEST.replace("commands:", "roles: { customer: keyed_customer }\ncommands:", 1).replace(
            "allow: [anonymous, customer, other]", "allow: [customer]").replace("allow: [anonymous]", "allow: [customer]").replace(
            "values ('x', :text)", "values (current_setting('request.user'), :text)")) as site:
        twice(site.client, "add", {"text": "mine"}, role="customer", user="7")
        assert database.one("select owner from note") == "7"
    with database.connect() as connection:
        connection.execute("set role keyed_customer")
        with pytest.raises(Exception, match="permission denied"):
            connection.execute("select * from writ.idempotency")


def test_without_the_grant(database):
    """Only keyed requests need it; the operator is told, the client is not told more than that it is not its fault."""
    database.execute("revoke all on writ.idempotency from writ")
    try:
        with harness.Site(database, MANIFEST, workers=1) as site:
            assert site.client.command("add", {"text": "plain"}).status == 200
            answer = site.client.command("add", {"text": "keyed"}, headers=keyed("k"))
            assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE") and answer.header("retry-after")
            assert "writ.idempotency" not in answer.text and "writ.idempotency" in site.writ.log()
            assert notes(database) == 1
    finally:
        database.execute("grant select, insert, update, delete on writ.idempotency to writ")


def check(database, manifest):
    writ = harness.Writ(database, manifest)
    done = harness.writ("-c", writ.file, "check", check=False)
    return done.returncode, done.stdout


def test_writ_check_tells_of_the_grant(database):
    plain = MANIFEST.replace(", idempotency: required", "")
    assert "writ.idempotency" not in check(database, plain)[1]
    database.execute("revoke insert on writ.idempotency from writ")
    try:
        code, out = check(database, plain)
        assert code == 0 and "warning" in out and "writ may not use writ.idempotency" in out
        code, out = check(database, MANIFEST)  # a command wants a key
        assert code == 1 and "writ may not use writ.idempotency" in out
    finally:
        database.execute("grant insert on writ.idempotency to writ")


def test_command_line(database):
    writ = harness.Writ(database, MANIFEST)
    outputs = [harness.writ("-c", writ.file, "run", "--idempotency-key", "cli", "add", '{"text": "cli"}').stdout for _ in range(2)]
    assert outputs[0] == outputs[1] and notes(database) == 1
    done = harness.writ("-c", writ.file, "run", "--idempotency-key", "a b", "add", '{"text": "x"}', check=False)
    assert done.returncode == 1 and "BAD_REQUEST" in done.stdout
    assert "lock the Idempotency-Key" in harness.writ("-c", writ.file, "explain", "--idempotency-key", "k", "must",
                                                      '{"text": "x"}').stdout


def test_the_log_tells_of_a_replay(site):
    site.writ.log()
    twice(site.client, "add", {"text": "logged"}, key="logged")
    lines = [line for line in site.writ.log().splitlines() if "command=add " in line][-2:]
    assert "replay" not in lines[0] and " replay=1" in lines[1]
