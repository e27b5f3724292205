"""mutex: never two at once, whoever calls; first none is waited for, then a short while."""

import re

import pytest

import harness
from crowd import Later, at_once

SCHEMA = """
create table step (id bigint generated always as identity, name text, at timestamptz default clock_timestamp());
create table counter (name text primary key, n int not null);
create function slow_add(counter text, seconds float8) returns int language plpgsql as $$
declare was int;
begin
  select n into was from counter c where c.name = $1;
  perform pg_sleep(seconds);
  -- No lock but the mutex: two at once would both have read the same number.
  delete from counter c where c.name = $1;
  insert into counter values ($1, was + 1) on conflict (name) do update set n = excluded.n;
  return was + 1;
end $$;
create domain code as text check (value = upper(value));
grant all on step, counter to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add:
    allow: [anonymous]
    sql: "select slow_add(:name, :seconds) as n"
    args: { name: text, seconds: float8 }
    returns: one
    mutex: "counter:$args.name"
  plain: { allow: [anonymous], sql: "select 1 as one", returns: one }
  by_id: { allow: [anonymous], sql: "select :id::bigint as id, pg_sleep(:seconds)::text as s", args: { id: bigint, seconds: float8 }, returns: one, mutex: ["id:$args.id", "price is $$$$"] }
  by_id_alone: { allow: [anonymous], sql: "select :id::bigint as id", args: { id: bigint }, returns: one, mutex: ["id:$args.id"] }
  by_amount: { allow: [anonymous], sql: "select :a::numeric as a, :u::uuid as u, :c::code as c", args: { a: numeric, u: uuid, c: code }, returns: one, mutex: ["$args.a/$args.u/$args.c"] }
  by_inner: { allow: [anonymous], sql: "select :o::jsonb as o, :d::int as d", args: { o: jsonb, d: { type: int, default: 7 } }, returns: one, mutex: ["in $args.o.a.0.b.", "def $args.d"] }
  guard: { allow: [anonymous], check: ":name is not null", args: { name: text }, mutex: ["guard:$args.name"] }
  first_last:
    allow: [anonymous]
    args: { name: text, seconds: float8, id: int }
    commands:
      - add: { name: $args.name, seconds: $args.seconds }
        as: a
      - by_id_alone: { id: $args.id }
    mutex: [whole]
    result: $a.n
  wired:
    allow: [anonymous]
    args: { name: text }
    commands:
      - plain: {}
        as: p
      - by_id_alone: { id: $p.one }
      - guard: { name: $args.name }
"""

MUTEXES = 2003986806  # docs/operation.md


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=6, waiting_workers=6, mutex_wait_ms=20000) as site:
        yield site


@pytest.fixture(autouse=True)
def counters(database):
    database.execute("truncate counter; insert into counter select x, 0 from unnest(array['a', 'b', 'c']) x")


def number(database, name="a"):
    return database.one("select n from counter where name = %s", [name])


def holding(database, *names):
    """A session of somebody else who holds mutexes, as docs/operation.md says how."""
    connection = database.connect(autocommit=False)
    for name in names:
        connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [MUTEXES, name])
    return connection


def waiting(database, n=1):
    harness.wait_until(lambda: database.one(
        "select count(*) from pg_locks where locktype = 'advisory' and not granted") >= n, "somebody to wait")


@pytest.mark.parametrize("isolation", [None, "repeatable_read", "serializable"])
def test_never_two_at_once(site, database, isolation):
    calls = [lambda: site.client.set(("add", {"name": "a", "seconds": 0.05}), isolation=isolation) for _ in range(6)]
    answers = [answer for _ in range(3) for answer in at_once(calls)]
    assert [answer.status for answer in answers] == [200] * 18, answers
    assert number(database) == 18
    assert sorted(answer.results[0]["n"] for answer in answers) == list(range(1, 19))


def test_the_test_can_fail(database):
    """Without the mutex (called by another name) numbers are lost."""
    manifest = MANIFEST.replace('mutex: "counter:$args.name"', "")
    with harness.Site(database, manifest, workers=6) as free:
        at_once([lambda: free.client.command("add", {"name": "a", "seconds": 0.3}) for _ in range(6)])
    assert number(database) < 6


def test_other_names_do_not_wait(site, database):
    with holding(database, "counter:a"):
        assert site.client.command("add", {"name": "b", "seconds": 0}).status == 200
        assert site.client.command("plain").status == 200


@pytest.mark.parametrize("settings", [{"mutex_wait_ms": 0}, {"mutex_wait_ms": 300}])
def test_busy(database, settings):
    with harness.Site(database, MANIFEST, workers=2, **settings) as site, holding(database, "counter:a"):
        for isolation in (None, "serializable"):
            answer = site.client.set(("plain", {}), ("add", {"name": "a", "seconds": 0}), isolation=isolation)
            assert (answer.status, answer.code) == (409, "MUTEX_BUSY"), answer
            assert answer.json["retryable"] is True and answer.header("retry-after") == "1"
        assert number(database) == 0
        assert 'writ_workers_waiting{pool="border"} 0' in site.inside.get("/metrics").text
    with harness.Site(database, MANIFEST, workers=2, **settings) as site:
        assert site.client.command("add", {"name": "a", "seconds": 0}).status == 200


def test_only_so_many_wait(database):
    with harness.Site(database, MANIFEST, workers=4, waiting_workers=1, mutex_wait_ms=30000) as site:
        with holding(database, "counter:a") as holder:
            first = Later(site.client.command, "add", {"name": "a", "seconds": 0})
            waiting(database)
            answer = site.client.command("add", {"name": "a", "seconds": 0})
            assert answer.code == "MUTEX_BUSY"
            assert 'writ_workers_waiting{pool="border"} 1' in site.inside.get("/metrics").text
            holder.rollback()
        assert first.get().result == {"n": 1}


def test_a_lock_of_a_row_has_its_own_time(database):
    """lock_timeout is the caller's again behind the wait for a mutex."""
    with harness.Site(database, MANIFEST.replace("select slow_add(:name, :seconds) as n",
                                                 "update counter set n = n + 1 where name = :name and :seconds >= 0 returning n"),
                      workers=2, mutex_wait_ms=30000, lock_timeout_ms=200) as site:
        mutex, row = holding(database, "counter:a"), database.connect(autocommit=False)
        row.execute("select from counter where name = 'a' for update")
        later = Later(site.client.command, "add", {"name": "a", "seconds": 0})
        waiting(database)
        mutex.rollback()
        assert later.get().code == "LOCK_TIMEOUT"
        row.rollback()
        mutex.close()
        row.close()


def test_opposite_orders_do_not_wait_for_each_other(site, database):
    """All of a set are taken at once, in one order."""
    def sets(*names):
        return lambda: site.client.set(*[("add", {"name": name, "seconds": 0.02}) for name in names])

    def retries():
        return re.search(r"^writ_retries_total (\d+)$", site.inside.get("/metrics").text, re.MULTILINE)[1]

    before = retries()
    for _ in range(4):
        answers = at_once([sets("a", "b", "c"), sets("c", "b", "a"), sets("b", "c", "a"), sets("b", "a"), sets("a", "a")])
        assert [answer.status for answer in answers] == [200] * 5, answers
    assert (number(database, "a"), number(database, "b"), number(database, "c")) == (24, 16, 12)
    assert retries() == before, "PostgreSQL had to end a deadlock"


def taken(site, database, names, send):
    """Does the request wait while somebody else has one of these?"""
    for name in names:
        with holding(database, name) as holder:
            later = Later(send)
            waiting(database)
            holder.rollback()
            assert later.get().status == 200, later.get()


def test_names_with_arguments(site, database):
    """A value that PostgreSQL reads as the same is the same mutex."""
    for id in (7, "7", " 7", "007", 7.0, "+7"):
        taken(site, database, ["id:7"], lambda: site.client.command("by_id_alone", {"id": id}))
    for id in ("-7", -7):
        taken(site, database, ["id:-7"], lambda: site.client.command("by_id_alone", {"id": id}))
    taken(site, database, ["price is $$", "id:1"], lambda: site.client.command("by_id", {"id": 1, "seconds": 0}))
    uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324"
    for a, u in ((1, uuid), ("1.00", uuid.upper()), (1.0, "{%s}" % uuid)):
        taken(site, database, [f"1/{uuid}/C"], lambda: site.client.command("by_amount", {"a": a, "u": u, "c": "C"}))
    taken(site, database, ["/" + uuid + "/"], lambda: site.client.command("by_amount", {"a": None, "u": uuid, "c": None}))
    taken(site, database, ["in x'\"y.", "def 7"], lambda: site.client.command("by_inner", {"o": {"a": [{"b": "x'\"y"}]}}))
    taken(site, database, ["in .", "def 8"], lambda: site.client.command("by_inner", {"o": 1, "d": "08"}))


def test_names_of_composites_and_sets(site, database):
    taken(site, database, ["whole", "counter:a", "id:3"],
          lambda: site.client.command("first_last", {"name": "a", "seconds": 0, "id": 3}))
    taken(site, database, ["guard:g"], lambda: site.client.set(("plain", {}), ("guard", {"name": "g"})))


def test_values_that_are_none(site):
    answer = site.client.command("by_id_alone", {"id": "x"})
    assert (answer.status, answer.code) == (400, "BAD_ARGUMENT") and answer.json["argument"] == "id", answer
    answer = site.client.command("by_id_alone", {"id": True})
    assert (answer.status, answer.code) == (400, "BAD_ARGUMENT") and answer.json["argument"] == "id"
    answer = site.client.command("by_amount", {"a": 1, "u": "8e03978e-40d5-43dd-bc93-6894a57f9324", "c": "small"})
    assert answer.status in (400, 422)


def test_a_reference_cannot_be_part_of_a_name(site, database):
    answer = site.client.set(("plain", {}, "p"), ("by_id_alone", {"id": {"$ref": "p.one"}}))
    assert (answer.status, answer.code) == (400, "BAD_REQUEST") and answer.json["argument"] == "id", answer
    assert answer.json["index"] == 1 and answer.json["path"] == "/commands/1/args/id"
    commands = {"commands": [harness.as_command(c) for c in (
        ("add", {"name": "a", "seconds": 0}, "p"), ("by_id_alone", {"id": {"$ref": "p.n"}}))]}
    answer = site.client.post("/command/execute_command_set", commands)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST") and answer.json["committed"] == 0
    assert number(database) == 0
    assert site.client.command("wired", {"name": "x"}).code == "BAD_REQUEST"


def test_a_dry_run_takes_them(site, database):
    with holding(database, "counter:a") as holder:
        later = Later(site.client.command, "add", {"name": "a", "seconds": 0}, headers={"Prefer": "tx=rollback"})
        waiting(database)
        holder.rollback()
        assert later.get().result == {"n": 1}
    assert number(database) == 0


def test_with_a_key(site, database):
    """One flight has both; who waits for the key does not wait for the mutex."""
    calls = [lambda: site.client.command("add", {"name": "a", "seconds": 0.3}, headers={"Idempotency-Key": "m"})
             for _ in range(3)]
    answers = at_once(calls)
    assert [answer.status for answer in answers] == [200] * 3 and number(database) == 1, answers


@pytest.fixture(scope="module")
def proxy(postgres):
    with harness.Proxy(postgres, delay_ms=20) as proxy:
        yield proxy


def test_one_round_trip(database, proxy):
    with harness.Site(database, MANIFEST, workers=1, inside_workers=1,
                      datasources={"default": proxy.conninfo(database.name)}) as site:
        for send in (lambda: site.inside.command("add", {"name": "a", "seconds": 0}),
                     lambda: site.inside.command("by_id", {"id": "007", "seconds": 0}, headers={"Idempotency-Key": "t"})):
            before = proxy.stats()["trips"]
            assert send().status == 200
            assert proxy.stats()["trips"] == before + 1


def test_through_pgbouncer(postgres, database):
    with harness.PgBouncer(postgres) as pooler, harness.Site(
            database, MANIFEST, workers=6, waiting_workers=6, mutex_wait_ms=20000,
            datasources={"default": {"conninfo": pooler.conninfo(database.name), "prepared": False}}) as site:
        answers = at_once([lambda: site.client.command("add", {"name": "a", "seconds": 0.05}) for _ in range(6)])
        assert [answer.status for answer in answers] == [200] * 6 and number(database) == 6


def test_explain(database):
    writ = harness.Writ(database, MANIFEST)
    out = harness.writ("-c", writ.file, "explain", "--idempotency-key", "k", "by_id", '{"id": "07", "seconds": 0}').stdout
    for words in ("1 round trip", "mutex id:$args.id, price is $$$$", "id of by_id as PostgreSQL writes it",
                  "lock the Idempotency-Key", "it is not there yet", "keep the answer with the Idempotency-Key"):
        assert words in out, out
