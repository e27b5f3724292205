"""The event log: facts of what was committed and of nothing else, each once, by position."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

import psycopg
import pytest

import harness
from harness import Site, wait_until
from webhook import Webhook

SCHEMA = """
create table pet (id int generated always as identity primary key, name text not null, price numeric);
create role events_keeper;
grant events_keeper to writ;
grant select, insert, update on pet to writ, events_keeper;
create procedure feed(id int) language sql as $$ update pet set price = 0 where id = feed.id $$;
"""

MANIFEST = """
specVersion: 1
event_log: { readers: [auditor, events_keeper] }
commands:
  add_pet:
    allow: [anonymous, events_keeper]
    sql: "insert into pet (name, price) values (:name, :price) returning id, name, price"
    args: { name: text, price: { type: numeric, default: null } }
    returns: one
    events: [{ name: pet.added }]
  name_pet:
    allow: [anonymous, events_keeper]
    sql: "update pet set name = :name where id = :id returning id, name"
    returns: one
    events:
      - { name: pet-named, key: [pet, $args.id], payload: { id: $args.id, name: $result.name, by: $caller.user } }
      - { name: told, key: $result.id, payload: [$caller.role, $caller.claims.team, $caller.claims, 1.50, $$x] }
  note:
    allow: [anonymous]
    sql: "select :text::text as text"
    returns: one
    events: [{ name: noted, key: $args.text, payload: $args.text }]
  plain: { allow: [anonymous], sql: "insert into pet (name) values (:name) returning id", returns: one }
  refuse: { allow: [anonymous], check: "select false" }
  two_pets:
    allow: [anonymous]
    args: { first: text, second: text }
    commands:
      - add_pet: { name: $args.first }
        as: one
      - add_pet: { name: $args.second }
        as: two
    result: { first: $one.id, second: $two }
    events: [{ name: pair, key: [$result.first, $result.second.name], payload: { pair: $result } }]
  count_names: { allow: [anonymous], sql: "update pet set name = :name where id = :id", returns: count, events: [{ name: told }] }
  list_names: { allow: [anonymous], sql: "select name from pet where id = :id", returns: many, events: [{ name: told }] }
  find_name: { allow: [anonymous], sql: "select name from pet where id = :id", returns: optional, events: [{ name: told }] }
  with_name:
    allow: [anonymous]
    sql: "with old as (select name from pet where id = :id) update pet p set name = 'x' from old where id = :id returning old.name"
    returns: one
    events: [{ name: told }]
  no_name: { allow: [anonymous], sql: "update pet set name = 'y' where id = :id", returns: none, events: [{ name: told }] }
  call_name: { allow: [anonymous], sql: "call feed(:id::int)", returns: none, events: [{ name: told }] }
  judged:
    allow: [anonymous]
    sql: "insert into pet (name) values (:name) returning id"
    returns: one
    permissions: { after: { good: ":name <> 'bad'" } }
    events: [{ name: judged, key: $args.name }]
  outside:
    allow: [anonymous]
    args: { name: text }
    http: "HOOK/outside"
    events: [{ name: went, key: $args.name, payload: { got: $result.id, none: $result.nothing.here } }]
"""

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FAST = {"runners": 1, "runner": {"poll_ms": 50}}


@pytest.fixture(scope="module")
def hook():
    with Webhook() as server:
        yield server


@pytest.fixture
def site(database, hook):
    reset(database)
    with Site(database, MANIFEST.replace("HOOK", hook.url("")), **FAST) as site:
        yield site


def reset(database):
    database.execute("truncate writ.event, writ.event_new, writ.projection, writ.event_reader; "
                     "update writ.event_tail set position = 0")


def ask(site, query="", role="events_keeper"):
    return site.client.get(f"/events?{query}", {"Test-Role": role} if role else {})


def tool(site, name, *words):
    return harness.writ(name, "-c", site.writ.file, *words).stdout


def log(site, **asks):
    answer = ask(site, "&".join(f"{name}={value}" for name, value in asks.items()), "auditor")
    assert answer.status == 200, answer
    return answer.json


def events(site, n, **asks):
    """The log, when it has n events."""
    return wait_until(lambda: (page := log(site, **asks)["events"]) and len(page) >= n and page, f"{n} events")


def appended(database):
    return database.one("select (select count(*) from writ.event) + (select count(*) from writ.event_new)")


def test_an_event(site):
    answer = site.client.command("add_pet", '{"name": "to\\"m\\\\", "price": 1.10}', role="events_keeper", user="kim",
                                 headers={"traceparent": PARENT})
    (event,) = events(site, 1)
    assert event == {**event, "position": 1, "name": "pet.added", "key": None, "command": "add_pet", "role": "events_keeper",
                     "user": "kim", "traceparent": PARENT,
                     "payload": {"args": {"name": "to\"m\\", "price": 1.10}, "result": answer.result}}
    assert len(event["mutation"]) == 36 and event["at"].endswith("Z")
    assert set(event) == {"position", "name", "key", "payload", "at", "command", "role", "user", "mutation", "traceparent"}


def test_payload_and_key(site):
    site.client.command("add_pet", {"name": "rex"})
    id = events(site, 1)[0]["payload"]["result"]["id"]
    claims = json.dumps({"role": "events_keeper", "sub": "kim", "team": {"name": "x"}})
    assert site.client.command("name_pet", {"id": id, "name": "max"}, role="events_keeper", user="kim", claims=claims).status == 200
    named, told = events(site, 3)[1:]
    assert (named["name"], named["key"], named["payload"]) == ("pet-named", f"pet:{id}", {"id": id, "name": "max", "by": "kim"})
    assert (told["name"], told["key"]) == ("told", str(id))
    assert told["payload"] == ["events_keeper", {"name": "x"}, json.loads(claims), 1.5, "$x"]
    assert named["mutation"] == told["mutation"]
    assert site.client.command("name_pet", {"id": id, "name": "ben"}).status == 200
    named, told = events(site, 5)[3:]
    assert named["payload"]["by"] is None and told["payload"][:2] == ["anonymous", None]


@pytest.mark.parametrize("user", [None, "kim"])
@pytest.mark.parametrize("parent", [None, PARENT])
def test_who_and_from_where(site, user, parent):
    """A row alone and several, of literal text and of results: who called, and the trace, are where they belong."""
    asks = {"role": "events_keeper", "user": user, "headers": {"traceparent": parent} if parent else {}}
    answer = site.client.command("add_pet", {"name": "rex"}, **asks)
    site.client.command("name_pet", {"id": answer.result["id"], "name": "max"}, **asks)
    page = events(site, 3)
    site.client.command("note", {"text": ""}, **{**asks, "role": None})
    page = events(site, 4)
    assert [(e["name"], e["command"], e["key"]) for e in page] == [
        ("pet.added", "add_pet", None), ("pet-named", "name_pet", f'pet:{answer.result["id"]}'),
        ("told", "name_pet", str(answer.result["id"])), ("noted", "note", None)]
    assert {(e["user"], e["traceparent"]) for e in page} == {(user, parent)}
    assert [e["role"] for e in page] == ["events_keeper"] * 3 + ["anonymous"]
    assert page[0]["payload"]["result"] == answer.result and page[3]["payload"] == ""


def test_results_of_all_kinds(site):
    id = site.client.command("plain", {"name": "rex"}).result["id"]
    told = [("count_names", {"id": id, "name": "max"}), ("list_names", {"id": id}), ("find_name", {"id": id}), ("find_name", {"id": 0}),
            ("with_name", {"id": id}), ("no_name", {"id": id}), ("call_name", {"id": id})]
    answers = [site.client.command(name, args) for name, args in told]
    assert [answer.status for answer in answers] == [200] * len(told), answers
    page = events(site, len(told))
    assert [(e["command"], e["payload"]["args"]) for e in page] == told
    assert [e["payload"]["result"] for e in page] == [1, [{"name": "max"}], {"name": "max"}, None, {"name": "max"}, None, None]


def test_a_permission_behind_the_write_takes_the_event_back(site, database):
    assert site.client.command("judged", {"name": "bad"}).status == 403
    assert site.client.command("judged", {"name": "good"}).status == 200
    assert [event["key"] for event in events(site, 1)] == ["good"]
    assert appended(database) == 1


def test_nothing_of_what_was_rolled_back(site, database):
    assert site.client.set(("add_pet", {"name": "a"}), ("refuse", {})).status == 422
    assert site.client.command("add_pet", {"name": "a", "price": "no number"}).status >= 400
    assert site.client.command("name_pet", {"id": 0, "name": "nobody"}).status == 404
    assert site.client.command("add_pet", {"name": "a"}, headers={"Prefer": "tx=rollback"}).status == 200
    each = {"commands": [{"command": "add_pet", "args": {"name": "first"}}, {"command": "refuse"},
                         {"command": "add_pet", "args": {"name": "third"}}]}
    assert site.client.command("execute_command_set", each).json["committed"] == 1
    assert site.client.command("add_pet", {"name": "last"}).status == 200
    assert [event["payload"]["args"]["name"] for event in events(site, 2)] == ["first", "last"]
    assert appended(database) == 2


def test_nothing_before_the_commit(site, database):
    """The event's own transaction waits at its very end, at a deferred constraint."""
    database.execute("create table gate (id int); create function wait_here() returns trigger language plpgsql as "
                     "$$ begin perform pg_advisory_xact_lock(77); return null; end $$; "
                     "create constraint trigger late after insert on pet deferrable initially deferred for each row "
                     "execute function wait_here()")
    try:
        with database.connect() as holder:
            holder.execute("select pg_advisory_lock(77)")
            thread = threading.Thread(target=site.client.command, args=("add_pet", {"name": "late"}))
            thread.start()
            wait_until(lambda: database.one("select count(*) from pg_locks where locktype = 'advisory' and not granted"),
                       "the transaction to wait")
            site.client.command("note", {"text": "meanwhile"})
            assert [event["name"] for event in events(site, 1)] == ["noted"]
            assert appended(database) == 1
        thread.join(30)
        assert [(event["position"], event["name"]) for event in events(site, 2)] == [(1, "noted"), (2, "pet.added")]
    finally:
        database.execute("drop table gate; drop trigger late on pet; drop function wait_here()")


def test_all_of_a_set_and_of_a_composite(site):
    answer = site.client.set(("two_pets", {"first": "a", "second": "b"}), ("note", {"text": "n"}))
    result = answer.json["results"][0]["result"]
    page = events(site, 4)
    assert [event["name"] for event in page] == ["pair", "pet.added", "pet.added", "noted"]
    assert page[0]["key"] == f'{result["first"]}:b' and page[0]["payload"] == {"pair": result}
    assert [event["position"] for event in page] == [1, 2, 3, 4]
    assert len({event["mutation"] for event in page}) == 1
    assert page[1]["payload"] == {"args": {"name": "a", "price": None},
                                  "result": {"id": result["first"], "name": "a", "price": None}}


def test_an_execute_set_appends_with_each_transaction(site):
    each = {"commands": [{"command": "add_pet", "as": "p", "args": {"name": "x"}},
                         {"command": "name_pet", "args": {"id": {"$ref": "p.id"}, "name": "y"}}]}
    answer = site.client.command("execute_command_set", each)
    assert answer.status == 200, answer
    page = events(site, 3)
    assert [event["name"] for event in page] == ["pet.added", "pet-named", "told"]
    assert page[1]["payload"]["id"] == page[0]["payload"]["result"]["id"]


def test_a_keyed_repeat_appends_nothing(site, database):
    for _ in range(3):
        assert site.client.command("add_pet", {"name": "once"}, headers={"Idempotency-Key": "k-1"}).status == 200
    events(site, 1)
    assert appended(database) == 1


def test_a_handler(site, database, hook):
    hook.answer("/outside", status=500)
    assert site.client.command("outside", {"name": "tom"}).status == 502
    hook.answer("/outside", body='{"result": {"id": 1.50}}')
    assert site.client.command("outside", {"name": "tim"}).status == 200
    (event,) = events(site, 1)
    assert (event["key"], event["payload"]) == ("tim", {"got": 1.5, "none": None})
    assert appended(database) == 1


def test_a_long_key_is_cut_alike(site):
    long = "k" * 5000
    site.client.command("note", {"text": long})
    site.client.command("note", {"text": "short"})
    assert len(events(site, 2)) == 2
    assert [event["payload"] for event in events(site, 1, key=long)] == [long]


def test_pages_and_filters(site):
    for i in range(7):
        site.client.command("note", {"text": f"a b&{i % 2}"})
    site.client.command("add_pet", {"name": "x"})
    events(site, 8)
    first = log(site, limit=3)
    assert [event["position"] for event in first["events"]] == [1, 2, 3] and first["last"] == 3
    assert [event["position"] for event in log(site, after=3, limit=3)["events"]] == [4, 5, 6]
    assert log(site, after=8) == {"events": [], "last": 8}
    odd = log(site, key="a+b%261")
    assert [event["position"] for event in odd["events"]] == [2, 4, 6] and odd["last"] == 8
    assert [event["position"] for event in log(site, name="pet.added")["events"]] == [8]
    assert [event["position"] for event in log(site, name="noted", key="a%20b%260", after=1, limit=2)["events"]] == [3, 5]
    assert log(site, name="noted", key="a%20b%260", after=1, limit=2)["last"] == 5
    assert log(site, name="never") == {"events": [], "last": 8}


def test_events_that_were_erased_are_passed_over(site, database):
    for i in range(9):
        site.client.command("note", {"text": str(i)})
    events(site, 9)
    database.execute("delete from writ.event where position in (2, 4, 5, 6)")
    pages, after = [], 0
    while True:
        page = log(site, after=after, limit=3)
        pages.append([event["position"] for event in page["events"]])
        if page["last"] == after:
            break
        after = page["last"]
    assert pages == [[1, 3], [], [7, 8, 9], []] and after == 9


def test_who_may_read(site):
    assert ask(site, role=None).status == 401
    assert ask(site, role="stranger").status == 403
    assert ask(site, role="events_keeper").status == 200
    assert site.inside.get("/events").status == 200
    answer = site.client.post("/events", role="events_keeper")
    assert answer.status == 405 and answer.header("allow") == "GET, HEAD"
    assert site.client.get("/events", {"Test-Role": "events_keeper", "Accept": "text/html"}).status == 406


def test_without_readers_it_is_not_there(database):
    with Site(database, MANIFEST.replace("event_log: { readers: [auditor, events_keeper] }", "").replace("HOOK", "http://127.0.0.1:1"),
              **FAST) as site:
        assert ask(site, role="events_keeper").status == 404
        assert site.inside.get("/events").status == 200


@pytest.mark.parametrize("query, says", [
    ("after=-1", '"after" is a whole number'), ("after=x", '"after" is a whole number'), ("after=", '"after" is a whole number'),
    ("after=1000000000000000000", "from 0 to 999999999999999999"), ("limit=0", "from 1 to 1000"), ("limit=1001", "from 1 to 1000"), ("after=1&after=2", "given twice"),
    ("since=1", 'no parameter "since"'), ("name=%zz", "percent-encoded"), ("name=%00", "percent-encoded"),
    ("key=%ff", "percent-encoded"), ("datasource=other", 'no datasource "other"'), ("after=9999", "The log ends at position 0")])
def test_what_is_wrong_is_said(site, query, says):
    answer = ask(site, query)
    assert answer.status == 400 and says in answer.json["detail"], answer


def test_a_position_that_was_cleaned_away(site, database):
    for i in range(5):
        site.client.command("note", {"text": "x"})
    events(site, 5)
    database.execute("delete from writ.event where position <= 3; update writ.event_tail set position = 3")
    answer = ask(site, "after=2")
    assert answer.status == 400 and answer.json["code"] == "EVENTS_GONE" and "after=3" in answer.json["detail"]
    assert [event["position"] for event in log(site, after=3)["events"]] == [4, 5]
    database.execute("delete from writ.event; update writ.event_tail set position = 5")
    site.client.command("note", {"text": "x"})
    assert [event["position"] for event in events(site, 1, after=5)] == [6], "positions go on behind an empty log"


def test_as_the_mapped_role_the_log_is_written_all_the_same(database):
    """The caller's role has no right on writ's tables; the login role writes them."""
    manifest = MANIFEST.replace("HOOK", "http://127.0.0.1:1") + "roles: { anonymous: events_keeper, events_keeper: events_keeper }\n"
    reset(database)
    with Site(database, manifest, **FAST) as site:
        assert site.client.command("add_pet", {"name": "mapped"}).status == 200
        assert events(site, 1, )[0]["name"] == "pet.added"
        assert not database.one("select has_table_privilege('events_keeper', 'writ.event_new', 'insert')")


MODEL = """
type Owner { id: ID! @id  name: String! @unique  pets: [Dog!] }
type Dog { id: ID! @id  name: String!  owner: Owner }
"""

MODELS = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  Owner:
    create: { allow: [anonymous], events: [{ name: owner_made, key: $result.id, payload: { data: $args.data, id: $result.id } }] }
    update: { allow: [anonymous], events: [{ name: owner_changed }] }
  Dog: { create: { allow: [anonymous] } }
commands:
  make: { allow: [anonymous], args: { name: text }, commands: [{ createOwner: { data: { name: $args.name } } }] }
"""


def test_a_models_commands(postgres):
    database = harness.Database(postgres, "events_of_models")
    try:
        harness.create_tables(database, MODEL)
        with Site(database, MODELS, files={"schema.graphql": MODEL}, **FAST) as site:
            data = {"name": "ada", "pets": {"create": [{"name": "rex"}]}}
            made = site.client.command("createOwner", {"data": data, "select": "{ id name }"}).result
            assert site.client.command("updateOwner", {"where": {"id": made["id"]}, "data": {"name": "bea"},
                                                       "select": "{ name }"}).result == {"name": "bea"}
            assert site.client.command("make", {"name": "carl"}).status == 200
            assert site.client.command("createOwner", {"data": {"name": "carl"}}).status == 409
            wait_until(lambda: database.one("select count(*) from writ.event") == 3, "three events")
            found = database.execute("select name, key, payload from writ.event order by position")
        assert found[0] == ("owner_made", str(made["id"]), {"data": data, "id": made["id"]})
        assert found[1][2]["result"] == {"name": "bea"} and found[1][2]["args"]["data"] == {"name": "bea"}
        assert found[2][2]["data"] == {"name": "carl"}
    finally:
        database.drop()


# ---- the sequencer


def sequencer_of(site):
    return [pid for pid in site.writ.workers() if comm(pid) == "writd events"]


def comm(pid):
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
        return name.read().strip()
    return None


def test_it_is_woken(database, hook):
    """With a poll of an hour only the bell can be it."""
    reset(database)
    with Site(database, MANIFEST.replace("HOOK", hook.url("")), runners=1, runner={"poll_ms": 3600000}) as site:
        for i in range(3):
            site.client.command("note", {"text": "x"})
            events(site, i + 1)


def test_what_others_append_is_found(site, database):
    """The tool writ has no bell to ring."""
    tool(site, "run", "note", '{"text": "by hand"}')
    assert events(site, 1)[0]["payload"] == "by hand"


def test_the_sequencer_is_killed(site, database):
    for i in range(5):
        for pid in sequencer_of(site):
            os.kill(pid, signal.SIGKILL)
        site.client.command("note", {"text": f"{i}"})
        assert [event["payload"] for event in events(site, i + 1)] == [f"{n}" for n in range(i + 1)]


def test_another_machine_takes_over(database, hook):
    """Two writd on one database: events of both get positions when the sequencer of one is stopped in its tracks."""
    reset(database)
    manifest = MANIFEST.replace("HOOK", hook.url(""))
    with Site(database, manifest, **FAST) as one, Site(database, manifest, **FAST) as two:
        for pid in sequencer_of(one):
            os.kill(pid, signal.SIGSTOP)
        try:
            one.client.command("note", {"text": "first"})
            two.client.command("note", {"text": "second"})
            assert [event["payload"] for event in events(two, 2)] == ["first", "second"]
        finally:
            for pid in sequencer_of(one):
                os.kill(pid, signal.SIGCONT)
        for i in range(20):
            (one if i % 2 else two).client.command("note", {"text": f"{i}"})
        page = events(one, 22)
    assert [event["position"] for event in page] == list(range(1, 23))
    assert [event["payload"] for event in page[2:]] == [f"{i}" for i in range(20)], "each was acknowledged before the next"


def test_a_stranger_does_not_stall_it(site, database, postgres):
    """Long transactions with a snapshot and an xid: of this database and of another."""
    with postgres.connect("postgres", autocommit=False) as other, database.connect(autocommit=False) as here:
        for connection in (other, here):
            connection.execute("set transaction isolation level repeatable read")
            connection.execute("create temp table mine as select pg_current_xact_id()")
        for i in range(5):
            site.client.command("note", {"text": "x"})
            events(site, i + 1)


def test_one_that_commits_late_comes_last(site, database):
    """A lower seq that becomes visible later gets a higher position."""
    append = ("insert into writ.event_new (name, payload, command, role, mutation) values (%s, '1', 'c', 'r', "
              "gen_random_uuid())")
    with database.connect(autocommit=False) as late:
        late.execute(append, ("late",))
        with database.connect() as soon:
            for i in range(1500):  # enough for the sequencer to look who is still appending
                soon.execute(append, (f"soon{i}",))
        wait_until(lambda: database.one("select count(*) from writ.event") == 1500, "all others")
        site.client.command("note", {"text": "x"})
        wait_until(lambda: database.one("select count(*) from writ.event") == 1501, "one more")
        late.commit()
    wait_until(lambda: database.one("select count(*) from writ.event") == 1502, "the late one")
    assert database.execute("select position, seq < (select min(seq) from writ.event where name <> 'late') "
                            "from writ.event where name = 'late'") == [(1502, True)]
    assert database.one("select count(*) from writ.event_new") == 0


def test_a_prepared_transaction_gets_its_positions(hook):
    """PREPARE TRANSACTION gives its locks another name, in the middle of a look at who is still appending."""
    with harness.Postgres(max_prepared_transactions=2) as postgres:
        database = harness.Database(postgres, "prepares", SCHEMA)
        with Site(database, MANIFEST.replace("HOOK", hook.url("")), **FAST) as site, database.connect(autocommit=False) as late:
            late.execute("insert into writ.event_new (name, payload, command, role, mutation) "
                         "values ('late', '1', 'c', 'r', gen_random_uuid())", prepare=False)
            site.client.command("note", {"text": "0"})
            events(site, 1)
            late.execute("prepare transaction 'late'", prepare=False)
            late.commit()
            for i in (1, 2, 3):
                site.client.command("note", {"text": f"{i}"})
                events(site, i + 1)
            database.execute("commit prepared 'late'")
            assert [event["name"] for event in events(site, 5)] == ["noted"] * 4 + ["late"]


def test_positions_survive_dump_and_restore(site, database, postgres):
    for i in range(3):
        site.client.command("note", {"text": f"{i}"})
    before = events(site, 3)
    for pid in sequencer_of(site):
        os.kill(pid, signal.SIGSTOP)  # what has no position yet is dumped too
    site.client.command("note", {"text": "pending"})
    dump = harness.run([postgres.programs / "pg_dump", database.admin_conninfo]).stdout
    for pid in sequencer_of(site):
        os.kill(pid, signal.SIGCONT)
    copy = harness.Database(postgres, "restored", install=False)
    try:
        script = harness.workspace().folder("dump") / "dump.sql"
        script.write_text(dump)
        harness.run([postgres.programs / "psql", "-v", "ON_ERROR_STOP=1", "-q", "-f", script, copy.admin_conninfo])
        with Site(copy, MANIFEST.replace("HOOK", "http://127.0.0.1:1"), **FAST) as other:
            other.client.command("note", {"text": "new"})
            after = events(other, 5)
        assert after[:3] == before
        assert [(event["position"], event["payload"]) for event in after[3:]] == [(4, "pending"), (5, "new")]
    finally:
        copy.drop()


def test_behind_pgbouncer(postgres, database):
    reset(database)
    with harness.PgBouncer(postgres) as bouncer:
        source = {"default": {"conninfo": bouncer.conninfo(database.name), "prepared": False}}
        manifest = MANIFEST.replace("HOOK", "http://127.0.0.1:1")
        with Site(database, manifest, datasources=source, **FAST) as one, \
                Site(database, manifest, datasources=source, **FAST) as two:
            for i in range(10):
                (one, two)[i % 2].client.command("note", {"text": f"{i}"})
            assert [event["payload"] for event in events(one, 10)] == [f"{i}" for i in range(10)]


def test_pgbouncer_goes_over_to_a_server_that_is_behind(hook):
    """A failover, for PgBouncer's clients: no connection of theirs breaks, and the new server draws numbers once more that the old one
    had given to transactions which never reached it."""
    with harness.Postgres() as postgres, harness.PgBouncer(postgres) as bouncer:
        database = harness.Database(postgres, "behind", SCHEMA)
        source = {"default": {"conninfo": bouncer.conninfo(database.name), "prepared": False}}
        with Site(database, MANIFEST.replace("HOOK", hook.url("")), datasources=source, runners=1, runner={"poll_ms": 3600000}) as site:
            for i in range(6):  # it knows by then how much need not be looked at again
                site.client.command("note", {"text": f"{i}"})
                events(site, i + 1)
            sequencers = sequencer_of(site)
            with psycopg.connect(bouncer.conninfo("pgbouncer", "admin"), autocommit=True) as console:
                console.execute("pause", prepare=False)
                postgres.restart()
                console.execute("resume", prepare=False)
            database.execute("alter sequence writ.event_new_seq_seq restart")
            wait_until(lambda: site.client.command("note", {"text": "again"}).status == 200, "the new server")
            wait_until(lambda: log(site)["last"] >= 7, "a position")
            assert [event["payload"] for event in log(site)["events"]][5:7] == ["5", "again"]
            assert sequencer_of(site) == sequencers


def test_no_sequencer_without_runners(database, hook):
    with Site(database, MANIFEST.replace("HOOK", hook.url("")), runners=0) as site:
        assert not sequencer_of(site)


# ---- the tool


def test_tail(site):
    for i in range(3):
        site.client.command("note", {"text": f"{i}"})
    site.client.command("add_pet", {"name": "x"})
    events(site, 4)
    lines = tool(site, "events", "tail", "--after", "1").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3", "4"] and 'noted  1  "1"' in lines[0]
    (line,) = tool(site, "events", "tail", "--name", "noted", "--key", "2", "--json").splitlines()
    assert json.loads(line)["payload"] == "2"


def test_follow(site):
    process = subprocess.Popen([harness.workspace().bin / "writ", "events", "-c", site.writ.file, "tail", "--follow"],
                               stdout=subprocess.PIPE, text=True, env=harness.environment(), **harness.identity())
    try:
        for i in range(3):
            site.client.command("note", {"text": f"{i}"})
            assert f'"{i}"' in process.stdout.readline()
    finally:
        process.terminate()
        process.wait(20)


def test_a_terminal_is_not_at_the_mercy_of_keys(site):
    """One event is one line, whatever stands in it."""
    site.client.command("note", {"text": "a\n\u001b[2J\u009b1m\u007f\u00e9"})
    events(site, 1)
    (line,) = tool(site, "events", "tail").splitlines()
    assert line.isprintable() and line.split()[3] == "a??[2J?1m?\u00e9"


def test_follow_goes_on_when_postgresql_comes_back(hook):
    with harness.Postgres() as postgres, Site(harness.Database(postgres, "follow", SCHEMA), MANIFEST.replace("HOOK", hook.url("")),
                                              **FAST) as site:
        process = subprocess.Popen([harness.workspace().bin / "writ", "events", "-c", site.writ.file, "tail", "--follow"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=harness.environment(), **harness.identity())
        try:
            site.client.command("note", {"text": "before"})
            assert '"before"' in process.stdout.readline()
            postgres.stop()
            time.sleep(1.5)  # it looks meanwhile
            postgres.start()
            wait_until(lambda: site.client.command("note", {"text": "behind"}).status == 200, "PostgreSQL to be back")
            assert '"behind"' in process.stdout.readline()
        finally:
            process.terminate()
            process.wait(20)


# ---- what is told


def test_metrics(site):
    for _ in range(3):
        site.client.command("note", {"text": "x"})
    events(site, 3)
    metrics = wait_until(lambda: "\nwrit_events_total 3\n" in (text := site.inside.get("/metrics").body.decode()) and text,
                         "the sequencer to count what it has committed")
    assert '\nwrit_workers{pool="events"} 1\n' in metrics


def test_an_old_schema_is_told(postgres, database):
    database.execute("alter table writ.event_new rename to event_gone")
    try:
        with Site(database, MANIFEST.replace("HOOK", "http://127.0.0.1:1"), **FAST) as site:
            answer = site.client.command("note", {"text": "x"})
            assert answer.status == 503 and "not prepared for events" in answer.json["detail"]
            assert site.client.command("plain", {"name": "x"}).status == 200
            wait_until(lambda: "sequencer_failed" in site.writ.log(), "a line in the log")
    finally:
        database.execute("alter table writ.event_gone rename to event_new")
