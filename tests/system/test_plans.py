"""No statement of writ's own goes through a table that has grown, whatever PostgreSQL's statistics say of it: good ones; those of an ANALYZE
that came while the rows were not committed; and plans that were made while there was nothing."""

import contextlib
import json
import os
import re
import signal
import uuid

import pytest

import harness
import sse
from harness import Site, wait_until
from webhook import Webhook

SCHEMA = """
create table note (id bigint generated always as identity primary key, text text);
create table seen (position bigint);
create function see(events jsonb) returns void language sql as $$
  insert into seen select (e ->> 'position')::bigint from jsonb_array_elements(events) e $$;
grant select, insert, update on note, seen to writ;
"""

MANIFEST = """
specVersion: 1
state: { readers: [anonymous] }
event_log: { readers: [anonymous] }
commands:
  add:
    allow: [anonymous]
    sql: "insert into note (text) values (:text) returning id, text"
    returns: one
    hooks: { after: { told: { url: "HOOK/told" } } }
    events: [{ name: noted, key: $args.text }]
  name:
    allow: [anonymous]
    sql: "select :text::text as text"
    returns: one
    hooks: { after: { named: { url: "HOOK/told", key: $args.text } } }
  fail:
    allow: [anonymous]
    sql: "select :text::text as text"
    returns: one
    hooks: { after: { failed: { url: "HOOK/failed", key: $args.text, attempts: 1, on_dead: skip } } }
  sure:
    allow: [anonymous]
    sql: "select :text::text as text"
    returns: one
    hooks: { after: { sure: { url: "HOOK/sure", key: $args.text, sync: true } } }
projections:
  seen: { function: public.see, truncate: [public.seen] }
  noted: { function: public.see, events: [noted], truncate: [public.seen] }
"""

SETTINGS = {"runners": 1, "runner": {"poll_ms": 50, "keep_dead_s": 86400}, "background_runners": 1,
            "background": {"poll_ms": 50, "keep_s": 86400}, "event_log": {"keep_hours": 24}, "state_hours": 24,
            "streams": {"most": 20, "poll_ms": 100}}

# So many rows of each kind; a statement that counts up to 10,000 of them goes through these.
ROWS = 50000
MOST = 12000

TABLES = ("outbox", "mutation", "mutation_result", "mutation_cancel", "mutation_step", "state", "state_change", "state_mark", "idempotency",
          "event", "event_new")

FILL = f"""
insert into writ.outbox (mutation, hook, key, payload, due)
  select gen_random_uuid(), h, k, '{{}}', now() + interval '1 hour'
    from generate_series(1, {ROWS}), (values ('add.told', null), ('name.named', 'one')) v (h, k);
insert into writ.outbox (mutation, hook, key, payload, dead)
  select gen_random_uuid(), 'name.named', nullif('dead' || n % 3, 'dead0'), '{{}}', now() - case when n < 10 then interval '2 days' else '0' end
    from generate_series(1, {ROWS}) n;
insert into writ.mutation (id, due, ended, outcome, dead, command, args, role, request_id)
  select gen_random_uuid(), now() + interval '1 hour', e - case when n < 10 then interval '2 days' else '0' end, o, d, 'add', '{{}}',
    'anonymous', 'x'
    from generate_series(1, {ROWS}) n, (values (null, null, false), (now(), 'complete', false), (now(), 'error', true)) v (e, o, d);
insert into writ.mutation_result select id, 0, '1' from writ.mutation where not dead on conflict do nothing;
insert into writ.mutation_cancel select id from writ.mutation where dead on conflict do nothing;
insert into writ.mutation_step (mutation, step, born, home, attempt, due)
  select gen_random_uuid(), 0, gen_random_uuid(), case when n < 5 then i.id else gen_random_uuid() end, 1,
    now() + case when n < 10 then interval '-1 day' else '1 day' end from writ.installation i, generate_series(1, {ROWS}) n;
insert into writ.state (mutation, version, status, state, lease, ended)
  select gen_random_uuid(), 1, 'running', '{{}}', l, e - case when n < 10 then interval '2 days' else '0' end
    from generate_series(1, {ROWS}) n, (values (null, now()), (now() + interval '1 hour', null)) v (l, e);
insert into writ.state_change select mutation, 1, '{{}}' from writ.state;
insert into writ.state_mark (mutation, attempt, name, at) select mutation, 1, 'x', now() + interval '1 hour' from writ.state where ended is null;
insert into writ.idempotency (id, key, fingerprint, answer, created)
  select sha256(n::text::bytea), 'k', 'f', 'a', now() - case when n < 10 then interval '2 days' else '0' end from generate_series(1, {ROWS}) n;
insert into writ.event (position, seq, name, key, payload, at, command, role, mutation)
  select greatest(p, 0) + n, n, 'other', 'other', '1', now(), 'add', 'anonymous', gen_random_uuid()
    from (select max(position) as p from writ.event) last, generate_series(1, {ROWS}) n;
update writ.projection set position = (select max(position) from writ.event);
"""


@pytest.fixture(scope="module")
def postgres():
    """Tells of each plan what it went through; and nothing is analyzed but by the test."""
    settings = {"log_min_duration": 0, "log_analyze": "on", "log_nested_statements": "on", "log_timing": "off", "log_format": "json"}
    with harness.Postgres(shared_preload_libraries="auto_explain", autovacuum="off",
                          **{f"auto_explain.{name}": value for name, value in settings.items()}) as server:
        yield server


@pytest.fixture(scope="module")
def hook():
    with Webhook() as server:
        server.answer("/failed", status=400)
        yield server


def plans(text):
    """Of writ's sessions: the statement's text, and each node about a table with how many rows it looked at."""
    for found in re.finditer(r"^\S+ \S+ \S+ \[\d+\] .* writ@\S+ LOG:  duration: .* plan:\n((?:\t.*\n)+)", text, re.M):
        entry = json.loads(found[1])
        nodes = [entry["Plan"]]
        while nodes:
            node = nodes.pop()
            nodes += node.get("Plans", [])
            if "Relation Name" in node and node["Node Type"] != "ModifyTable":
                looked = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
                yield entry["Query Text"], node, looked * node["Actual Loops"]


def walks(text):
    return sorted({f"{looked:.0f} rows of {node['Relation Name']}, {node['Node Type']} {node.get('Index Name', '')}: {query}"
                   for query, node, looked in plans(text) if looked > MOST})


def jobs(site, *arguments):
    looks = arguments[0] in ("list", "show")
    text = harness.writ("-c", site.writ.file, "jobs", *arguments, *(["--json"] if looks else [])).stdout
    return json.loads(text) if looks else text


def clean_now(site):
    """A runner cleans when it begins."""
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
            if name.read().strip() == "writd runner":
                os.kill(pid, signal.SIGTERM)


def work(site, hook, times, early):
    """Whatever asks those tables. early: but what a session keeps a plan for that cannot be ruled out: no settings are made in transactions
    of commands, and pages of the log are filtered by either of two indexes."""
    client, database = site.client, site.database
    for _ in range(times):
        text = str(uuid.uuid4())
        before = len(hook.received("/told"))
        for command in ("add", "name", "fail") if early else ("add", "name", "fail", "sure"):
            assert client.command(command, {"text": text}).status == 200
        for _ in range(2):
            assert client.command("add", {"text": text}, headers={"Idempotency-Key": text}).status == 200
        body = {"commands": [{"command": "add", "as": as_, "args": {"text": text}} for as_ in ("one", "two")],
                "on_complete": [{"command": "add", "args": {"text": {"$ref": "one.text"}}}]}
        mutation = client.command("execute_command_set", body).json["mutation"]
        with sse.open(client, f"/mutation/{mutation}/events") as stream:
            assert stream.status == 200
            while stream.next():
                pass
        wait_until(lambda: client.get(f"/mutation/{mutation}").json["status"] == "complete", "the end")
        wait_until(lambda: len(hook.received("/told")) >= before + 6, "all deliveries", 60)
        for path in ("", "?name=noted", f"?key={text}", f"?name=noted&key={text}") if not early else ("",):
            wait_until(lambda: client.get(f"/events{path}").json["events"], "the event")
        last = database.one("select max(position) from writ.event where key = %s", (text,))
        with sse.open(client, f"/events?after={last - 1}") as stream:
            assert stream.next().id == str(last)
        wait_until(lambda: database.one("select count(*) from seen where position >= %s", (last,)) >= 2, "projections", 60)


def care(site):
    """What people do, and what is cleaned."""
    database = site.database
    assert len(jobs(site, "list")) == 2000 and len(jobs(site, "list", "--dead")) == 2000
    for ids in ("select id::text from writ.outbox where dead is not null and key is null", "select id::text from writ.mutation where dead"):
        (first,), (second,) = database.execute(ids + " limit 2")
        jobs(site, "show", first)
        jobs(site, "retry", first)
        jobs(site, "drop", second)
    assert site.client.command("name", {"text": "one"}).status == 200
    wait_until(lambda: database.one("select held from writ.outbox order by id desc limit 1"), "what is behind others to be put off")
    waits = str(uuid.uuid4())
    database.execute("insert into writ.mutation (id, due, command, args, role, request_id) values (%s, now() + interval '1 hour', 'add', '{}', "
                     "'anonymous', 'x')", (waits,))
    database.execute("select writ.state_new(%s, null, '[]', '{}')", (waits,))
    assert site.client.request("DELETE", f"/mutation/{waits}").status == 202
    wait_until(lambda: database.one("select ended from writ.mutation where id = %s", (waits,)), "its end")
    clean_now(site)
    wait_until(lambda: not database.one("select count(*) from writ.mutation_step where due < now()"), "steps to be looked after", 60)
    for table, when in (("outbox", "dead"), ("mutation", "ended"), ("state", "ended"), ("idempotency", "created")):
        wait_until(lambda: not database.one(f"select count(*) from writ.{table} where {when} < now() - interval '1 day'"), f"{table} to be cleaned", 30)
    assert site.inside.get("/metrics").status == 200


def empty(database):
    database.execute("truncate seen, " + ", ".join(f"writ.{table}" for table in TABLES) + "; update writ.event_tail set position = 0; "
                     "update writ.projection set position = 0; select writ.event_extend(1000000, 1000000)")
    for table in ("outbox", "event_new", "state_mark"):  # these are empty, and vacuumed then, in the ordinary course of things
        database.execute(f"vacuum analyze writ.{table}")


def fill(database, state):
    with database.connect(autocommit=False) as connection:
        connection.execute(FILL)
        if state == "analyzed before the commit":  # the log has no transactions of so many rows
            for table in TABLES:
                database.execute(f"analyze writ.{table}" if table != "event" else "select 1")
        connection.commit()
    if state == "analyzed":
        database.execute("vacuum analyze")


@pytest.mark.parametrize("state", ["analyzed", "analyzed before the commit", "planned while empty"])
def test_no_table_is_walked(database, hook, state):
    empty(database)
    early = state == "planned while empty"
    if not early:
        fill(database, state)
    mark = database.postgres.log_mark()
    with Site(database, MANIFEST.replace("HOOK", hook.url("")), **SETTINGS) as site:
        if early:
            work(site, hook, 8, early)
            fill(database, state)
            mark = database.postgres.log_mark()
        work(site, hook, 8, early)
        care(site)
    # What is being written may be read in part.
    wait_until(lambda: not database.one("select count(*) from pg_stat_activity where usename = 'writ'"), "sessions to end")
    log = database.postgres.log_since(mark)
    seen = {node["Relation Name"] for _, node, _ in plans(log)}
    assert seen >= {*TABLES, "event_1"} - {"event"}
    found = walks(log)
    assert not found, "\n".join(found)
