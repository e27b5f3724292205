"""After-hooks: told of what was committed and of nothing else, at least once, in order where a key asks for it."""

import datetime
import json
import os
import signal
import threading
import time

import psycopg
import pytest

import harness
from faulty import build_with_faults, faulty_site
from harness import Site, wait_until
from webhook import Webhook, signatures

SCHEMA = """
create table pet (id int generated always as identity primary key, name text not null, price numeric);
create table strict_pet (id int primary key, unique (id) deferrable initially deferred);
create role keeper;
grant keeper to writ;
grant select, insert, update on pet, strict_pet to writ, keeper;
"""

MANIFEST = """
specVersion: 1
commands:
  add_pet:
    allow: [anonymous, keeper]
    sql: "insert into pet (name, price) values (:name, :price) returning id, name, price"
    args: { name: text, price: { type: numeric, default: null } }
    returns: one
    hooks: { after: { told: { url: "HOOK/told" } } }
  name_pet:
    allow: [anonymous]
    sql: "update pet set name = :name where id = :id returning id, name"
    returns: one
    hooks: { after: { named: { url: "HOOK/named", key: [pet, $args.id], attempts: 3 } } }
  note_pet:
    allow: [anonymous]
    sql: "select :id::int as id, :n::int as n"
    returns: one
    hooks: { after: { noted: { url: "HOOK/noted", key: [pet, $result.id], attempts: 2, on_dead: skip } } }
  plain_pet: { allow: [anonymous], sql: "insert into pet (name) values (:name) returning id", returns: one }
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
    hooks: { after: { pair: { url: "HOOK/pair", key: [$args.first, $result.first, $result.second.id, $args.second] } } }
  outside:
    allow: [anonymous]
    args: { name: text }
    http: "HOOK/outside"
    hooks: { after: { went: { url: "HOOK/went", key: [$args.name, $result.id] } } }
  sure:
    allow: [anonymous]
    sql: "insert into pet (name) values (:name) returning id"
    returns: one
    hooks: { after: { sure: { url: "HOOK/sure", sync: true, timeout_ms: 2000 } } }
"""



def manifest(hook, text=MANIFEST):
    return text.replace("HOOK", hook.url(""))


FAST = {"runners": 1, "runner": {"poll_ms": 50, "lease_ms": 1000}}


@pytest.fixture(scope="module")
def hook():
    with Webhook() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(postgres):
    with harness.Proxy(postgres) as proxy:
        yield proxy


@pytest.fixture
def site(database, hook):
    database.execute("truncate writ.outbox")
    (hook.folder / "received").write_text("")
    hook.plans.clear()
    hook.write()
    with Site(database, manifest(hook), **FAST) as site:
        yield site


def rows(database):
    return database.one("select count(*) from writ.outbox")


def empty(database, seconds=20):
    wait_until(lambda: rows(database) == 0, "an empty outbox", seconds * harness.PATIENCE)


def runner_of(site):
    for pid in site.writ.workers():
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                if name.read().strip() == "writd runner":
                    return pid
        except FileNotFoundError:
            pass
    return None


def test_told(site, database, hook):
    args = '{"name": "to\\"m\\\\", "price": 1.10}'
    answer = site.client.command("add_pet", args, role="keeper", user="kim")
    assert answer.result["name"] == "to\"m\\"
    (request,) = hook.wait("/told")
    body = request.json
    assert body["hook"] == "add_pet.told" and body["command"] == "add_pet"
    assert body["args"] == {"name": "to\"m\\", "price": 1.10}
    assert '"price":1.10},' in request["text"], "digits as they were written"
    assert body["result"] == answer.result and '"price":1.10}' in request["text"].partition('"result":')[2]
    assert body["caller"] == {"role": "keeper", "user": "kim", "claims": {"role": "keeper", "sub": "kim"}}
    assert body["request_id"] == answer.header("x-request-id")
    assert request.id.startswith(body["mutation"] + "-")
    assert abs(datetime.datetime.fromisoformat(body["at"].replace("Z", "+00:00")).timestamp() - time.time()) < 600
    assert request["headers"]["content-type"] == "application/json"
    empty(database)


def test_nothing_is_told_of_what_was_rolled_back(site, database, hook):
    assert site.client.set(("add_pet", {"name": "a"}), ("refuse", {})).status == 422
    assert site.client.command("add_pet", {"name": "a", "price": "no number"}).status >= 400
    assert site.client.command("add_pet", {"name": "a"}, headers={"Prefer": "tx=rollback"}).status == 200
    each = {"commands": [{"command": "add_pet", "args": {"name": "first"}}, {"command": "refuse"},
                         {"command": "add_pet", "args": {"name": "third"}}]}
    assert site.client.command("execute_command_set", each).json["committed"] == 1
    assert site.client.command("add_pet", {"name": "last"}).status == 200
    assert sorted(request.json["args"]["name"] for request in hook.wait("/told", 2)) == ["first", "last"]
    empty(database)
    assert len(hook.received()) == 2


def test_all_of_a_set_and_of_a_composite(site, database, hook):
    """Results that are made on the server, references among the arguments, hooks of members and of the whole."""
    answer = site.client.set(("plain_pet", {"name": "x"}, "x"), ("name_pet", {"id": {"$ref": "x.id"}, "name": "y\u00e9"}),
                             ("two_pets", {"first": "1", "second": "2"}))
    plain, named, pair = answer.results
    (request,) = hook.wait("/named")
    assert request.json["args"] == {"id": plain["id"], "name": "y\u00e9"} and request.json["result"] == named
    (request,) = hook.wait("/pair")
    assert request.json["result"] == pair and request.json["args"] == {"first": "1", "second": "2"}
    assert sorted(r.json["result"]["name"] for r in hook.wait("/told", 2)) == ["1", "2"]
    ids = {request.id for request in hook.received()}
    assert len(ids) == 4 and len({request.json["mutation"] for request in hook.received()}) == 1
    empty(database)


def test_of_a_handler(site, database, hook):
    hook.answer("/outside", body='{"result": {"id": 1.50, "deep": {"x": [1]}}}')
    hook.answer("/went", status=500)
    assert site.client.command("outside", {"name": "a"}).result == {"id": 1.5, "deep": {"x": [1]}}
    (request,) = hook.wait("/went")[:1]
    assert '"result":{"id":1.50,"deep":{"x":[1]}}' in request["text"] and request.json["args"] == {"name": "a"}
    assert database.one("select key from writ.outbox") == "a:1.50"
    hook.answer("/outside", status=500)
    assert site.client.command("outside", {"name": "b"}).status == 502
    assert database.one("select count(*) from writ.outbox") == 1


def test_once_for_a_key(site, database, hook):
    """A replay tells nobody again."""
    answers = [site.client.command("add_pet", {"name": "once"}, headers={"Idempotency-Key": "k1"}) for _ in range(3)]
    assert {answer.body for answer in answers} == {answers[0].body} and answers[2].header("idempotent-replay") == "true"
    assert site.client.command("sure", {"name": "a"}, headers={"Idempotency-Key": "k2"}).status == 200
    answer = site.client.command("sure", {"name": "a"}, headers={"Idempotency-Key": "k2"})
    assert answer.header("idempotent-replay") == "true"
    hook.wait("/told")
    empty(database)
    assert len(hook.received("/told")) == 1 and len(hook.received("/sure")) == 1
    (request,) = hook.received("/told")
    assert request.json["result"] == answers[0].result


def test_of_a_keyed_handler(site, database, hook):
    """Items and key are one transaction: where the key cannot be kept nobody is told, and where it is nobody is told again."""
    hook.answer("/outside", body='{"result": {"id": 1}}')
    key = {"Idempotency-Key": "handled"}
    database.execute("alter table writ.idempotency add constraint full_up check (key <> 'handled') not valid")
    try:
        assert site.client.command("outside", {"name": "a"}, headers=key).status != 200
        assert rows(database) == 0 and not hook.received("/outside")
    finally:
        database.execute("alter table writ.idempotency drop constraint full_up")
    answers = [site.client.command("outside", {"name": "a"}, headers=key) for _ in range(2)]
    assert answers[0].status == 200 and answers[1].body == answers[0].body
    assert [answer.header("idempotent-replay") for answer in answers] == [None, "true"]
    empty(database)
    assert len(hook.received("/went")) == 1 and len(hook.received("/outside")) == 1


@pytest.mark.parametrize("command", ["outside", "sure"])
def test_keyed_and_the_commit_is_lost(site, database, hook, proxy, command):
    """It came through, and its answer did not: told once, by the runners where it was to be told before the answer."""
    hook.answer("/outside", body='{"result": {"id": 1}}')
    path = {"outside": "/went", "sure": "/sure"}[command]
    database.execute("truncate writ.idempotency")
    with Site(database, manifest(hook), workers=1, datasources={
            "default": {"conninfo": proxy.conninfo(database.name), "prepared": False}}) as cut:
        assert cut.client.command(command, {"name": "a"}, headers={"Idempotency-Key": "warm"}).status == 200
        hook.wait(path)
        fired = proxy.stats()["fired"]
        proxy.ask("rule", way="to_client", match=harness.READY_FOR_QUERY, action="cut")
        answer = cut.client.command(command, {"name": "a"}, headers={"Idempotency-Key": "cut"})
        proxy.ask("clear")
        assert proxy.stats()["fired"] == fired + 1
        assert answer.status == 200 and answer.header("idempotent-replay") is None
        assert answer.header("writ-after") == ("pending" if command == "sure" else None)
        hook.wait(path, 2)
        empty(database)
        again = cut.client.command(command, {"name": "a"}, headers={"Idempotency-Key": "cut"})
        assert again.body == answer.body and again.header("idempotent-replay") == "true"
    assert len(hook.received(path)) == 2


def test_old_keys_are_cleaned_away(site, database):
    database.execute("""insert into writ.idempotency (id, key, fingerprint, answer, created)
        select decode(md5(n::text), 'hex'), 'old', '', '', now() - interval '2 days' from generate_series(1, 2500) n""")
    wait_until(lambda: not database.one("select count(*) from writ.idempotency where key = 'old'"), "them to go", 40)


def test_explained(site):
    text = harness.writ("-c", site.writ.file, "explain", "add_pet", '{"name": "a"}').stdout
    assert "after-hooks" in text and "insert into writ.outbox" in text
    text = harness.writ("-c", site.writ.file, "explain", "--dry-run", "add_pet", '{"name": "a"}').stdout
    assert "writ.outbox" not in text


def test_a_key_of_many_parts(site, database, hook):
    """Parts from everywhere, and one that is too long for an index."""
    hook.answer("/pair", status=500)
    site.client.command("two_pets", {"first": "x" * 5000, "second": "z"})
    hook.wait("/pair")
    key = database.one("select key from writ.outbox where hook = 'two_pets.pair'")
    assert len(key) == 72 and key.startswith("x" * 40)
    site.client.command("two_pets", {"first": "x", "second": "z"})
    wait_until(lambda: rows(database) == 2, "the other")
    first, second = database.execute("select payload::json -> 'result' ->> 'first', payload::json #>> '{result,second,id}' "
                                     "from writ.outbox order by id desc limit 1")[0]
    assert database.one("select key from writ.outbox order by id desc limit 1") == f"x:{first}:{second}:z"


def test_login_role_without_rights(site, database):
    database.execute("revoke all on writ.outbox from writ")
    try:
        answer = site.client.command("add_pet", {"name": "not here"})
        assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
        assert database.one("select count(*) from pet where name = 'not here'") == 0
        assert "run `writ install`" in site.writ.log()
    finally:
        database.execute("grant select, insert, update, delete on writ.outbox to writ")


def test_answers_in_another_encoding(postgres, hook):
    """What a service says cannot be written down in this database; that it failed, is."""
    postgres.execute("create database latin1 encoding latin1 locale 'C' template template0")
    database = harness.Database.__new__(harness.Database)
    database.postgres, database.name = postgres, "latin1"
    try:
        database.execute(SCHEMA.replace("create role keeper;\ngrant keeper to writ;", ""))
        database.install()
        hook.answer("/told", status=500, body="\u20ac".encode().decode("latin-1"))
        with Site(database, manifest(hook), **FAST) as site:
            assert site.client.command("add_pet", {"name": "a"}).status == 200
            wait_until(lambda: database.one("select max(attempts) from writ.outbox") >= 2, "failures to be counted", 30)
    finally:
        database.drop()


def test_results_of_earlier_transactions(site, database, hook):
    each = {"commands": [{"command": "plain_pet", "args": {"name": "x"}, "as": "x"},
                         {"command": "name_pet", "args": {"id": {"$ref": "x.id"}, "name": "y"}}]}
    results = site.client.command("execute_command_set", each).results
    (request,) = hook.wait("/named")
    assert request.json["args"] == {"id": results[0]["id"], "name": "y"}
    empty(database)


def test_repeated_until_it_works(site, database, hook):
    hook.answer("/told", statuses=[500, 302, 200], body="not now")
    site.client.command("add_pet", {"name": "a"})
    first, second, third = hook.wait("/told", 3, 30)
    assert first.id == second.id == third.id and first["text"] == third["text"]
    assert second["at"] - first["at"] >= 0.4, "a pause"
    empty(database)


def test_retry_after_is_heeded(site, database, hook):
    hook.answer("/told", statuses=[503, 200], headers={"Retry-After": "3"})
    site.client.command("add_pet", {"name": "a"})
    first, second = hook.wait("/told", 2, 30)
    assert second["at"] - first["at"] >= 2.9


def test_in_order_within_a_key(site, database, hook):
    """Failures between: later items of the key wait, those of other keys do not."""
    hook.answer("/named", statuses=[500, 500, 200])
    pets = [site.client.command("plain_pet", {"name": "x"}).result["id"] for _ in range(2)]
    for n in range(5):
        assert site.client.command("name_pet", {"id": pets[0], "name": f"{n}"}).status == 200
    hook.wait("/named", 6, 30)
    empty(database, 30)
    done = [request.json["args"]["name"] for request in hook.received("/named")]
    assert done == ["0", "0", "0", "1", "2", "3", "4"]


def test_dead_letter_holds_its_key_back(site, database, hook):
    hook.answer("/named", status=400, body="never \xff heard of it")
    pets = [site.client.command("plain_pet", {"name": "x"}).result["id"] for _ in range(2)]
    site.client.command("name_pet", {"id": pets[0], "name": "first"})
    wait_until(lambda: database.one("select count(*) from writ.outbox where dead is not null"), "a dead letter", 30)
    hook.answer("/named", status=200)
    site.client.command("name_pet", {"id": pets[0], "name": "second"})
    site.client.command("name_pet", {"id": pets[1], "name": "other"})
    wait_until(lambda: "other" in [r.json["args"]["name"] for r in hook.received("/named")], "the other key")
    (dead,) = jobs(site, "list", "--dead")
    assert dead["state"] == "dead" and dead["attempts"] == 3 and dead["last_status"] == 400
    assert dead["last_answer"] == "never ? heard of it" and dead["key"] == f"pet:{pets[0]}"
    assert [job["state"] for job in jobs(site, "list")] == ["dead", "waiting"]
    assert "second" not in [r.json["args"]["name"] for r in hook.received("/named")]
    jobs(site, "retry", dead["id"])
    empty(database)
    assert [r.json["args"]["name"] for r in hook.received("/named")][-2:] == ["first", "second"]


def test_dropped_dead_letter_lets_its_key_go_on(site, database, hook):
    hook.answer("/named", status=400)
    pet = site.client.command("plain_pet", {"name": "x"}).result["id"]
    site.client.command("name_pet", {"id": pet, "name": "first"})
    wait_until(lambda: jobs(site, "list", "--dead"), "a dead letter", 30)
    hook.answer("/named", status=200)
    site.client.command("name_pet", {"id": pet, "name": "second"})
    wait_until(lambda: database.one("select count(*) from writ.outbox where held"), "the second to be put off")
    jobs(site, "drop", "--all-dead", "name_pet.named")
    empty(database)
    assert [r.json["args"]["name"] for r in hook.received("/named")] == ["first"] * 3 + ["second"]


def test_on_dead_skip(site, database, hook):
    hook.answer("/noted", statuses=[500, 500, 200])
    for n in range(2):
        site.client.command("note_pet", {"id": 1, "n": n})
    wait_until(lambda: [r.json["args"]["n"] for r in hook.received("/noted")] == [0, 0, 1], "the second to pass", 30)
    wait_until(lambda: rows(database) == 1, "the dead letter alone")
    jobs(site, "retry", "--all-dead", "note_pet.noted")
    empty(database)


def test_a_late_transaction(site, database, hook):
    """One that got its number earlier and was committed later waits for what is under way: never two of a key at once."""
    hook.answer("/noted", seconds=1.5)
    insert = "insert into writ.outbox (id, mutation, hook, key, payload) overriding system value values " \
             "(%s, gen_random_uuid(), 'note_pet.noted', 'pet:3', %s)"
    database.execute(insert, [1000001, '{"n": 1}'])
    hook.wait("/noted")
    database.execute(insert, [1000000, '{"n": 0}'])
    wait_until(lambda: database.one("select held from writ.outbox where id = 1000000"), "it to be put off")
    empty(database)
    first, second = hook.received("/noted")
    assert (first.json["n"], second.json["n"]) == (1, 0) and second["at"] - first["at"] >= 1.5


def test_many_of_one_key(site, database, hook):
    """Each is put off behind the one before, and made due by its end: in order, and without the hour of a miss."""
    for n in range(60):
        site.client.command("note_pet", {"id": 7, "n": n})
    empty(database, 60)
    assert [r.json["args"]["n"] for r in hook.received("/noted")] == list(range(60))


def test_keys_among_several_runners(database, hook):
    """Putting off and making due meet from all sides; an end that is missed would cost an hour."""
    database.execute("truncate writ.outbox")
    before = len(hook.received("/noted"))
    hook.answer("/noted", seconds=0.002)
    with Site(database, manifest(hook), workers=4, **{**FAST, "runners": 4}) as site:
        for n in range(80):
            answer = site.client.set(*[("note_pet", {"id": key, "n": n}) for key in range(4)])
            assert answer.status == 200
        empty(database, 90)
    for key in range(4):
        told = [r.json["args"]["n"] for r in hook.received("/noted")[before:] if r.json["args"]["id"] == key]
        assert told == list(range(80))


SECRET, OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_put_off_while_the_one_ahead_comes_to_its_end(database, hook):
    """One runner ends an item and has not committed it; another puts off the next of its key, which the first could not
    see yet. Nobody else would make that due."""
    database.execute("truncate writ.outbox")
    (hook.folder / "received").write_text("")
    database.execute("create function gate() returns trigger language plpgsql security definer as "
                     "$$begin perform pg_advisory_xact_lock_shared(4711); return null; end$$; "
                     "create trigger gate after delete on writ.outbox for each row execute function gate()")
    ends = ("select count(*) from pg_stat_activity where usename = 'writ' and wait_event = 'advisory' "
            "and datname = current_database()")
    try:
        with database.connect() as mine, Site(database, manifest(hook), runners=3, runner=FAST["runner"]) as site:
            pet = site.client.command("plain_pet", {"name": "a"}).result["id"]
            mine.execute("select pg_advisory_lock(4711)")
            site.client.command("name_pet", {"id": pet, "name": "first"})
            wait_until(lambda: database.one(ends), "an end that is not committed")
            site.client.command("name_pet", {"id": pet, "name": "second"})
            wait_until(lambda: database.one("select due > created from writ.outbox where payload like '%second%'"),
                       "another runner to put it off")
            mine.execute("select pg_advisory_unlock(4711)")
            hook.wait("/named", 2)
            empty(database)
    finally:
        database.execute("drop trigger gate on writ.outbox; drop function gate()")
    assert [request.json["args"]["name"] for request in hook.received("/named")] == ["first", "second"]


def test_signed_and_keys_rotated(database, hook, monkeypatch):
    more = "secrets: [$env.NEW_SECRET, $env.OLD_SECRET], config: { a: 1 }"
    text = manifest(hook).replace("told: { url", f"told: {{ {more}, url")
    environment = harness.environment
    monkeypatch.setattr(harness, "environment", lambda **more: environment(NEW_SECRET=SECRET, OLD_SECRET=OLD_SECRET, **more))
    before = len(hook.received("/told"))
    hook.answer("/told")
    with Site(database, text, **FAST) as site:
        site.client.command("add_pet", {"name": "s\u00e4"})
        request = hook.wait("/told", before + 1)[-1]
    signed = request["headers"]["webhook-signature"].split(" ")
    assert signed == [signatures(SECRET, request), signatures(OLD_SECRET, request)]
    assert abs(int(request["headers"]["webhook-timestamp"]) - time.time()) < 60
    assert request.json["config"] == {"a": 1}


def test_runner_killed_in_delivery(site, database, hook):
    hook.answer("/told", seconds=2)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    os.kill(runner_of(site), signal.SIGKILL)
    first, second = hook.wait("/told", 2, 30)[:2]
    assert first.id == second.id
    empty(database, 30)
    wait_until(lambda: runner_of(site), "another runner")


def test_paused_runner_cannot_write(database, hook):
    """Two runners: while the one that has the item is stopped, the other takes over; what the first knows counts no more."""
    database.execute("truncate writ.outbox")
    before = len(hook.received("/told"))
    hook.answer("/told", seconds=0.5)
    with Site(database, manifest(hook), **FAST) as site:
        site.client.command("add_pet", {"name": "a"})
        hook.wait("/told", before + 1)
        paused = runner_of(site)
        os.kill(paused, signal.SIGSTOP)
        try:
            owner = database.one("select owner from writ.outbox")
            hook.answer("/told", status=500, seconds=0)
            # What another machine's runner would do: claim it when the lease has ended, and fail.
            wait_until(lambda: database.one("select due < clock_timestamp() from writ.outbox"), "the end of the lease")
            database.execute("update writ.outbox set owner = gen_random_uuid(), due = now() + interval '3 s'")
        finally:
            os.kill(paused, signal.SIGCONT)
        wait_until(lambda: " lease_lost " in site.writ.log(), "the loss to be told")
        assert database.one("select owner from writ.outbox") != owner and rows(database) == 1
        assert "delivered=1" in site.writ.log()
        hook.answer("/told")
        empty(database, 30)
    assert len({r.id for r in hook.received("/told")[before:]}) == 1


def test_lease_that_has_ended(site, database, hook):
    """Nobody took over, but somebody might have: what the runner knows counts no more, and the item is delivered again."""
    hook.answer("/told", seconds=0.5)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    paused = runner_of(site)
    os.kill(paused, signal.SIGSTOP)
    try:
        wait_until(lambda: database.one("select due < clock_timestamp() from writ.outbox"), "the end of the lease")
    finally:
        os.kill(paused, signal.SIGCONT)
    first, second = hook.wait("/told", 2)
    assert first.id == second.id and " lease_lost " in site.writ.log()
    empty(database)


def test_long_delivery_keeps_its_lease(site, database, hook):
    hook.answer("/told", seconds=3)
    site.client.command("add_pet", {"name": "a"})
    empty(database, 30)
    assert len(hook.received("/told")) == 1, "its lease of 1 s was renewed"


def test_service_killed(site, database, hook):
    hook.answer("/told", seconds=1)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    hook.kill()
    wait_until(lambda: database.one("select attempts from writ.outbox") > 0, "a failure", 20)
    hook.answer("/told")
    hook.start()
    empty(database, 30)
    assert len({request.id for request in hook.received("/told")}) == 1


def test_stop_finishes_or_gives_back(site, database, hook):
    hook.answer("/told", seconds=1)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    site.writ.stop()
    assert rows(database) == 0, "it was finished"
    site.writ.write(drain_ms=400)
    site.writ.start()
    hook.answer("/told", seconds=3)
    site.client.command("add_pet", {"name": "b"})
    hook.wait("/told", 2)
    site.writ.stop()
    assert database.one("select owner is null and due <= now() and attempts = 0 from writ.outbox")


def test_reload_brings_a_new_address(site, database, hook):
    site.writ.write(manifest(hook).replace("/told", "/moved"))
    hook.answer("/told", status=500)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    site.writ.reload()
    hook.wait("/moved", 1, 30)
    empty(database)


def test_hook_that_is_gone_waits(site, database, hook):
    hook.answer("/told", status=500)
    site.client.command("add_pet", {"name": "a"})
    hook.wait("/told")
    site.writ.write(manifest(hook).replace(" told:", " other:"))
    site.writ.reload()
    wait_until(lambda: "hook_unknown" in site.writ.log() and "hook=add_pet.told" in site.writ.log(), "it to be told", 30)
    assert jobs(site, "list")[0]["state"] == "no hook"
    hook.answer("/told")
    site.writ.write(manifest(hook))
    site.writ.reload()
    empty(database, 30)


def test_two_runners_do_not_claim_the_same(database, hook):
    database.execute("truncate writ.outbox")
    before = len(hook.received("/told"))
    hook.answer("/told", seconds=0.01)
    with Site(database, manifest(hook), **{**FAST, "runners": 3}) as site:
        for i in range(30):
            site.client.set(*[("add_pet", {"name": f"{i}.{n}"}) for n in range(10)])
        empty(database, 60)
    ids = [request.id for request in hook.received("/told")[before:]]
    assert len(ids) == 300 and len(set(ids)) == 300


def test_large_payloads_come_in_several_rounds(database, hook):
    """All at once they could be more than PostgreSQL can put into one value: then none would ever come."""
    database.execute("truncate writ.outbox")
    database.execute("insert into writ.outbox (mutation, hook, payload) select gen_random_uuid(), 'add_pet.told', "
                     "'{\"x\": \"' || repeat('x', 9000000) || '\"}' from generate_series(1, 3)")
    leased = "select count(owner), count(distinct owner) from writ.outbox"
    hook.answer("/told", seconds=4)
    with Site(database, manifest(hook), runners=1, runner={"poll_ms": 50, "lease_ms": 20000}):
        wait_until(lambda: database.execute(leased) == [(3, 2)], "a claim of two and one of one", 30)
    database.execute("truncate writ.outbox")


def test_sync(site, database, hook):
    answer = site.client.command("sure", {"name": "a"})
    assert answer.status == 200 and answer.header("writ-after") is None
    assert len(hook.received("/sure")) == 1 and rows(database) == 0, "before the answer"
    hook.answer("/sure", statuses=[500, 500, 200])
    answer = site.client.command("sure", {"name": "b"})
    assert answer.status == 200 and answer.header("writ-after") == "pending"
    requests = hook.wait("/sure", 3, 30)
    empty(database)
    assert requests[1].id == requests[2].id


def test_sync_that_takes_too_long(site, database, hook):
    hook.answer("/sure", seconds=3)
    answer = site.client.command("sure", {"name": "a"})
    assert answer.status == 200 and answer.header("writ-after") == "pending"
    hook.answer("/sure")
    empty(database, 30)


def test_mapped_role_without_rights(database, hook):
    """The caller's role cannot even look at the outbox."""
    database.execute("truncate writ.outbox")
    before = len(hook.received("/told"))
    hook.answer("/told")
    hook.answer("/named")
    text = manifest(hook).replace("commands:", "roles: { keeper: keeper }\ncommands:", 1)
    text = text.replace("[anonymous, keeper]", "[keeper]").replace("anonymous", "keeper")
    with Site(database, text, **FAST) as site:
        assert site.client.command("add_pet", {"name": "a"}, role="keeper").status == 200
        assert len(hook.wait("/told", before + 1)) == before + 1
        empty(database)
    with database.connect() as connection:
        connection.execute("set role keeper")
        for sql in ("select from writ.outbox", "delete from writ.outbox", "insert into writ.outbox (hook) values ('x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql)


def test_pgbouncer(postgres, database, hook):
    database.execute("truncate writ.outbox")
    before = len(hook.received("/told"))
    hook.answer("/told")
    with harness.PgBouncer(postgres) as bouncer:
        source = {"default": {"conninfo": bouncer.conninfo(database.name), "prepared": False}}
        with Site(database, manifest(hook), datasources=source, **FAST) as site:
            for n in range(20):
                assert site.client.command("add_pet", {"name": f"{n}"}).status == 200
            assert site.client.command("sure", {"name": "a"}).header("writ-after") is None
            empty(database)
    assert len(hook.received("/told")) == before + 20


def test_several_datasources(postgres, database, hook):
    second = harness.Database(postgres, "after_second", SCHEMA.replace("create role keeper;\ngrant keeper to writ;", ""))
    try:
        database.execute("truncate writ.outbox")
        before = len(hook.received("/told"))
        text = manifest(hook) + """
  add_there: { allow: [anonymous], datasource: second, sql: "insert into pet (name) values (:name)",
               hooks: { after: { there: { url: "HOOK/there" } } } }
""".replace("HOOK", hook.url(""))
        with Site(database, text, datasources={"default": database.conninfo, "second": second.conninfo}, **FAST) as site:
            assert site.client.command("add_there", {"name": "a"}).status == 200
            assert site.client.command("add_pet", {"name": "b"}).status == 200
            assert hook.wait("/there")[0].json["args"] == {"name": "a"}
            hook.wait("/told", before + 1)
            empty(database)
            empty(second)
            hook.answer("/there", status=500)
            site.client.command("add_there", {"name": "b"})
            assert [job["hook"] for job in jobs(site, "list", "--datasource", "second")] == ["add_there.there"]
            assert jobs(site, "list", "--datasource", "default") == []
    finally:
        second.drop()


def test_woken(database, hook):
    """Nobody waits for the poll, which is a minute here."""
    database.execute("truncate writ.outbox")
    before = len(hook.received("/told"))
    hook.answer("/told")
    with Site(database, manifest(hook), runners=2, runner={"poll_ms": 120000}) as site:
        for n in range(1, 6):
            site.client.command("add_pet", {"name": "a"})
            hook.wait("/told", before + n)
        empty(database)


def test_postgres_restarted_in_delivery(hook):
    with harness.Postgres() as cluster:
        database = harness.Database(cluster, "restarted", SCHEMA)
        before = len(hook.received("/told"))
        hook.answer("/told", seconds=2)
        with Site(database, manifest(hook), **FAST) as site:
            for n in range(5):
                assert site.client.command("add_pet", {"name": f"{n}"}).status == 200
            hook.wait("/told", before + 5)
            cluster.restart()
            hook.answer("/told")
            empty(database, 60)
        names = {request.json["args"]["name"] for request in hook.received("/told")[before:]}
        assert names == {"0", "1", "2", "3", "4"}


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults")
@pytest.mark.parametrize("place, told", [("after-commit", True), ("before-commit", False), ("after-sync", True)])
def test_worker_dies_around_the_commit(database, hook, place, told):
    """What was committed is told though nobody was answered; what was not, is not."""
    database.execute("truncate writ.outbox")
    path, name = ("/sure", "sure") if place == "after-sync" else ("/told", "add_pet")
    before = len(hook.received(path))
    hook.answer(path)
    site = faulty_site(database, manifest(hook), workers=1)
    with site:
        site.writ.die_at(place)
        assert site.client.command(name, {"name": place}).status == 502
        wait_until(lambda: not database.one("select count(*) from pg_stat_activity where state like 'idle in%'"), "the end")
        assert rows(database) == (1 if told else 0)
    with Site(database, manifest(hook), **FAST):
        empty(database, 30)
        if told:
            hook.wait(path, before + 1)
        else:
            assert len(hook.received(path)) == before


def fill_outbox(database, state):
    """A hundred thousand items wait, of which none is due; analyzed: while they are not committed."""
    with database.connect(autocommit=False) as connection:
        connection.execute("""insert into writ.outbox (mutation, hook, key, payload, due)
            select gen_random_uuid(), h, k, '{}', now() + interval '1 hour' from generate_series(1, 50000),
            (values ('add_pet.told', null), ('name_pet.named', 'pet:1')) v (h, k)""")
        if state == "analyzed before the commit":
            database.execute("analyze writ.outbox")
        connection.commit()


@pytest.mark.parametrize("state", ["not analyzed", "analyzed before the commit", "planned while empty"])
def test_a_claim_does_not_look_at_all(database, hook, state):
    """Whatever PostgreSQL thinks of the table, what is not due is not gone through. test_plans.py has all statements."""
    database.execute("truncate writ.outbox")
    database.execute("vacuum analyze writ.outbox")
    hook.answer("/told")
    early = state == "planned while empty"
    if not early:
        fill_outbox(database, state)
    read = "select coalesce(seq_scan, 0), coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = 'outbox'"
    ((scans, fetched),) = database.execute(read)
    with Site(database, manifest(hook), **FAST) as site:
        for first in (True, False) if early else (False,):
            before = len(hook.received("/told"))
            for n in range(20):
                site.client.command("add_pet", {"name": "a"})
            hook.wait("/told", before + 20)
            if first:
                fill_outbox(database, state)
        pet = site.client.command("plain_pet", {"name": "x"}).result["id"]
        site.client.command("name_pet", {"id": pet, "name": "y"})
        wait_until(lambda: [r for r in hook.received("/named") if r.json["args"]["id"] == pet], "another key")
    # A session tells what it counted when it ends, if not before.
    wait_until(lambda: not database.one("select count(*) from pg_stat_activity where usename = 'writ' and datname = current_database()"),
               "sessions to end")
    ((scans_now, fetched_now),) = database.execute(read)
    assert scans_now == scans and fetched_now - fetched < 40000  # metrics look at 10,000; a walk at each poll: a million
    database.execute("truncate writ.outbox")


def test_metrics_and_clean(database, hook):
    database.execute("truncate writ.outbox")
    hook.answer("/noted", status=500)
    settings = {"runners": 1, "runner": {"poll_ms": 50, "keep_dead_s": 1}}
    with Site(database, manifest(hook), **settings) as site:
        site.client.command("note_pet", {"id": 1, "n": 1})
        wait_until(lambda: jobs(site, "list", "--dead"), "a dead letter", 30)
        wait_until(lambda: "writ_dead_letters_total 1\n" in site.inside.get("/metrics").text, "it to be counted")
        metrics = site.inside.get("/metrics").text
        assert 'writ_deliveries_total{end="failed"} 2\n' in metrics
        assert 'writ_workers{pool="runner"} 1\n' in metrics and "writ_outbox_waiting " in metrics
        empty(database, 40)


def test_jobs_for_people(site, database, hook):
    hook.answer("/named", status=404, body="no such thing")
    pet = site.client.command("plain_pet", {"name": "x"}).result["id"]
    site.client.command("name_pet", {"id": pet, "name": "first"})
    wait_until(lambda: jobs(site, "list", "--dead"), "a dead letter", 30)
    writ = lambda *words, check=True: harness.writ("-c", site.writ.file, "jobs", *words, check=check)
    lines = writ("list").stdout.splitlines()
    assert lines[0].split()[:3] == ["ID", "STATE", "ATTEMPTS"] and lines[1].split()[1:4] == ["dead", "3", "404"]
    number = lines[1].split()[0]
    shown = writ("show", number).stdout
    assert "no such thing" in shown and '"hook":"name_pet.named"' in shown
    assert json.loads(jobs(site, "show", number)["payload"])["args"] == {"id": pet, "name": "first"}
    for words, status in ((["show", "999999"], 1), (["retry", "999999"], 1), (["show", "x"], 2), (["retry"], 2),
                          (["bury", "1"], 2), (["list", "1"], 2), (["retry", "--all-dead", "name_pet.named", number], 2),
                          (["list", "--datasource", "none"], 2)):
        assert writ(*words, check=False).returncode == status, words
    assert writ("drop", number).stdout == "dropped: 1\n"
    assert rows(database) == 0


def jobs(site, *arguments):
    """What writ jobs says, as JSON."""
    looks = arguments[0] in ("list", "show")
    text = harness.writ("-c", site.writ.file, "jobs", *arguments, *(["--json"] if looks else [])).stdout
    return json.loads(text) if looks else text
