"""What runners clear up, each kind by itself; what they show of the mutations that wait; states that are bounded."""

import contextlib
import json
import os
import signal
import uuid

import pytest

import harness
from harness import Site, wait_until

SCHEMA = """
create schema app;
create table stuck (mutation uuid);
-- Does not return for the mutations in stuck.
create function app.any_event(state jsonb, event jsonb) returns jsonb language plpgsql stable as $$
begin
  if exists (select from public.stuck where mutation = (state ->> 'uuid')::uuid) then perform pg_sleep(3600); end if;
  return '{"reduced": true}';
end $$;
create function app.hijack(state jsonb, payload jsonb) returns jsonb language sql stable as $$
  select '{"result_omitted": "mine", "result": "mine", "own": true}'::jsonb $$;
create function app.complain(bytes int) returns text language plpgsql as $$
begin perform writ.fail('TOO_BAD', repeat('x', bytes), 422); return ''; end $$;
grant usage on schema app to writ;
grant select on stuck to writ;
"""

MANIFEST = """
specVersion: 1
state:
  catch_all: app.any_event
  reducers: { MUTATION_COMPLETED: app.hijack }
commands:
  note: { allow: [anonymous], sql: "select 1 as one", returns: one, events: [{ name: noted }] }
  large: { allow: [anonymous], sql: "select repeat('x', :bytes) as text", args: { bytes: int }, returns: one }
  complain: { allow: [anonymous], sql: "select app.complain(:bytes) as text", args: { bytes: int }, returns: one }
"""

FAST = {"runners": 1, "runner": {"poll_ms": 50}}
LARGEST = 262144


@pytest.fixture(autouse=True)
def empty(database):
    database.execute("truncate writ.state, writ.state_change, writ.state_mark, writ.mutation, writ.idempotency, stuck, writ.event_new")


def clean_now(site):
    """A runner cleans when it begins."""
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
            if name.read().strip() == "writd runner":
                os.kill(pid, signal.SIGTERM)


def abandon(database, n):
    """States whose processes have died."""
    names = [str(uuid.uuid4()) for _ in range(n)]
    for name in names:
        database.execute("""select writ.state_new(%s, null, '[{"id": "a", "status": "pending"}]', '{}', 0)""", (name,))
    return names


def state(site, name):
    answer = site.client.get(f"/mutation/{name}")
    assert answer.status == 200, answer
    return answer.json


def test_a_reducer_that_does_not_return_stops_nothing_else(database):
    names = abandon(database, 5)
    bad = names[2]
    database.execute("insert into stuck values (%s)", (bad,))
    database.execute("insert into writ.idempotency (id, key, fingerprint, answer, created) values ('x', 'k', 'f', 'a', now() - interval '2 days')")
    with Site(database, MANIFEST, **FAST, event_log={"keep_hours": 1}) as site:
        site.client.command("note", {})
        wait_until(lambda: database.one("select count(*) from writ.event") == 1, "a position")
        database.execute("update writ.event set at = now() - interval '2 hours'")
        wait_until(lambda: database.one("select count(*) from writ.state where ended is null") == 0, "all states to be settled", 90)
        clean_now(site)
        wait_until(lambda: database.one("select count(*) from writ.event") == 0, "old events to be cleaned away", 90)
        assert database.one("select count(*) from writ.idempotency") == 0
        wait_until(lambda: f"mutation={bad} reason=\"it is settled without" in site.writ.log(), "a line in the log")
        found = dict(database.execute("select mutation::text, state from writ.state"))
    assert {name: "reduced" in found[name] for name in names} == {name: name != bad for name in names}
    assert all(found[name]["error"]["code"] == "MUTATION_LOST" for name in names)


def test_a_reader_does_not_wait_for_such_a_reducer(database):
    """There are no runners to settle it: it is shown as it was left."""
    (name,) = abandon(database, 1)
    database.execute("insert into stuck values (%s)", (name,))
    with Site(database, MANIFEST) as site:
        for _ in range(3):
            assert state(site, name)["status"] == "pending"
    with Site(database, MANIFEST, **FAST) as site:
        wait_until(lambda: state(site, name)["status"] == "error", "a runner to settle it", 90)


def test_what_cannot_be_cleaned_keeps_nothing_else_from_it(database):
    """A right is missing for one kind: it is told, and the others go on."""
    abandon(database, 1)
    database.execute("insert into writ.state (mutation, version, status, state, ended) values (gen_random_uuid(), 1, 'complete', '{}', "
                     "now() - interval '2 years')")
    database.execute("revoke delete on writ.idempotency from writ")
    try:
        with Site(database, MANIFEST, **FAST) as site:
            wait_until(lambda: database.one("select count(*) from writ.state where ended is null") == 0, "the state to be settled", 60)
            wait_until(lambda: database.one("select count(*) from writ.state") == 1, "the old state to be deleted", 60)
            wait_until(lambda: "cleaning_failed" in site.writ.log() and "kind=keys" in site.writ.log(), "a line in the log")
    finally:
        database.execute("grant delete on writ.idempotency to writ")


# ---- mutations that wait


def gauge(site, name):
    for line in site.inside.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return None


def shows(site, name, value):
    clean_now(site)
    wait_until(lambda: value(gauge(site, name)), f"{name} to be right", 60)


def test_mutations_that_wait_are_shown(database):
    """On a machine without runners of mutations, too: whose absence is what somebody should hear of."""
    with Site(database, MANIFEST, **FAST) as site:
        assert gauge(site, "writ_mutations_waiting") == 0
        for _ in range(3):
            assert site.client.command("note", {}, headers={"Prefer": "respond-async"}).status == 202
        shows(site, "writ_mutations_waiting", lambda n: n == 3)
        database.execute("update writ.mutation set due = now() - interval '1 hour' where id = (select id from writ.mutation limit 1)")
        shows(site, "writ_mutations_oldest_seconds", lambda n: 3600 <= n < 7200)
        database.execute("update writ.mutation set due = now() + interval '1 hour' where id = (select id from writ.mutation order by due limit 1)")
        shows(site, "writ_mutations_waiting", lambda n: n == 2)
        database.execute("update writ.mutation set owner = gen_random_uuid() where due > now() is false and id = (select max(id::text)::uuid "
                         "from writ.mutation where due <= now())")
        shows(site, "writ_mutations_waiting", lambda n: n == 1)
        assert gauge(site, "writ_mutations_dead") == 0
        database.execute("update writ.mutation set ended = now(), outcome = 'error', dead = true where owner is not null")
        shows(site, "writ_mutations_dead", lambda n: n == 1)
    with Site(database, MANIFEST, **FAST, background_runners=1) as site:
        wait_until(lambda: database.one("select count(*) from writ.mutation where ended is null and due <= now()") == 0, "a runner")
        shows(site, "writ_mutations_waiting", lambda n: n == 0)


# ---- states are bounded


def ended(site, name):
    return wait_until(lambda: (s := state(site, name))["status"] not in ("pending", "running") and s, "the end", 30)


@pytest.mark.parametrize("how", [{}, {"Prefer": "respond-async"}])
def test_a_large_result_stays_out_of_the_state(database, how):
    with Site(database, MANIFEST, **FAST, background_runners=1) as site:
        for number, bytes in enumerate((LARGEST - 1000, LARGEST + 1000)):
            name = str(uuid.uuid4())
            answer = site.client.command("large", {"bytes": bytes}, headers={**how, "Mutation-Id": name})
            assert answer.status == (202 if how else 200)
            found = ended(site, name)
            assert found["status"] == "complete" and found["progress"] == 1 and found["own"] is True
            if number == 0:
                assert found["result"] == {"text": "x" * bytes} and "result_omitted" not in found
            else:
                assert "result" not in found and bytes < found["result_omitted"]["bytes"] < bytes + 1000
                assert database.one("select octet_length(state::text) from writ.state where mutation = %s", (name,)) < 10000
                assert "too long for the state" in harness.writ("state", "-c", site.writ.file, name).stdout
                assert database.one("select max(octet_length(change::text)) from writ.state_change where mutation = %s", (name,)) < 10000
        if how:
            job = json.loads(harness.writ("jobs", "-c", site.writ.file, "show", name, "--json").stdout)
            assert len(job["answer"]) > LARGEST, "there it is"


@pytest.mark.parametrize("how", [{}, {"Prefer": "respond-async"}])
def test_a_long_error_is_cut_in_the_state(database, how):
    with Site(database, MANIFEST, **FAST, background_runners=1) as site:
        name = str(uuid.uuid4())
        site.client.command("complain", {"bytes": 2 * LARGEST}, headers={**how, "Mutation-Id": name})
        found = ended(site, name)
        assert (found["status"], found["error"]["code"], found["error"]["status"]) == ("error", "TOO_BAD", 422)
        assert found["error"]["detail"] == "x" * 1000 + "..."
        assert found["steps"][0]["error"]["detail"] == "x" * 1000 + "..."
        assert database.one("select octet_length(state::text) from writ.state where mutation = %s", (name,)) < 20000
