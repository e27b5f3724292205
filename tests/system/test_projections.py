"""Projections: fed with each event once, in order, whatever is killed; one that fails stands, and harms no other."""

import contextlib
import os
import random
import signal
import threading
import time

import pytest

import harness
from faulty import build_with_faults, faulty_site
from harness import Site, wait_until

SCHEMA = """
create role painter;
grant painter to writ;
create table seen (n bigint generated always as identity, position bigint, name text, payload jsonb);
create table total (name text primary key, n bigint not null, last bigint not null);
create table picky (position bigint);
create table painted (position bigint, who text);
create function see(events jsonb) returns void language sql as $$
  insert into seen (position, name, payload) select (e ->> 'position')::bigint, e ->> 'name', e -> 'payload'
    from jsonb_array_elements(events) with ordinality as t(e, i) order by i $$;
create function count_up(events jsonb) returns void language sql as $$
  insert into total as t (name, n, last) select e ->> 'name', count(*), max((e ->> 'position')::bigint)
    from jsonb_array_elements(events) e group by 1
    on conflict (name) do update set n = t.n + excluded.n, last = excluded.last $$;
create function choose(events jsonb) returns void language plpgsql as $$ begin
  if events @> '[{"payload": "bad"}]' then raise exception 'not this one' using errcode = 'P0042'; end if;
  insert into picky select (e ->> 'position')::bigint from jsonb_array_elements(events) e; end $$;
create function paint(events jsonb) returns void language sql as $$
  insert into painted select (e ->> 'position')::bigint, current_user from jsonb_array_elements(events) e $$;
create function forget() returns void language sql as 'delete from total';
grant all on seen, total, picky to writ;
grant insert, truncate on painted to painter;
"""

MANIFEST = """
specVersion: 1
commands:
  note: { allow: [anonymous], sql: "select :text::text as text", returns: one,
          events: [{ name: noted, payload: $args.text }] }
  here: { allow: [anonymous], sql: "select writ.reader(:name, :position) as here", returns: one }
  tell: { allow: [anonymous], sql: "select 1 as one", returns: one, events: [{ name: told }] }
projections:
  seen: { function: public.see, truncate: [public.seen], batch: 100 }
  total: { function: count_up, reset: forget }
  picky: { function: choose, events: [noted], truncate: [picky] }
  painted: { function: paint, role: painter, events: [told], truncate: [painted] }
"""

FAST = {"runners": 1, "runner": {"poll_ms": 50}}


@pytest.fixture
def empty(database):
    database.execute("truncate writ.event, writ.event_new, writ.projection, writ.event_reader, seen, total, picky, painted; "
                     "update writ.event_tail set position = 0")


@pytest.fixture
def site(database, empty):
    with Site(database, MANIFEST, **FAST) as site:
        yield site


def fill(database, n, name="noted", payload="'\"x\"'"):
    """Events as transactions append them."""
    database.execute(f"insert into writ.event_new (name, payload, command, role, mutation) select '{name}', {payload}, 'c', 'r', "
                     f"gen_random_uuid() from generate_series(1, {n}) i")


def position(database, name):
    rows = database.execute("select position from writ.projection where name = %s", (name,))
    return rows[0][0] if rows else None


def reaches(database, name, at, seconds=20):
    wait_until(lambda: position(database, name) == at, f"{name} at {at}", seconds)


def positions(database, table):
    return [row[0] for row in database.execute(f"select position from {table} order by {'n' if table == 'seen' else 1}")]


def processes(site):
    found = []
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
            if name.read().strip() == "writd events":
                found.append(pid)
    return found


def tool(site, name, *words, check=True):
    return harness.writ(name, "-c", site.writ.file, *words, check=check).stdout


def metric(site, name):
    for line in site.inside.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return None


def test_each_event_once_in_order(site, database):
    for i in range(10):
        assert site.client.command("note", {"text": f"{i}"}).status == 200
        assert site.client.command("tell").status == 200
    for name in ("seen", "total", "picky", "painted"):
        reaches(database, name, 20)
    assert positions(database, "seen") == list(range(1, 21))
    assert [row[0] for row in database.execute("select payload from seen where name = 'noted' order by n")] == [
        f"{i}" for i in range(10)]
    assert database.execute("select name, n, last from total order by 1") == [("noted", 10, 19), ("told", 10, 20)]
    assert positions(database, "picky") == list(range(1, 20, 2))
    assert database.execute("select position, who from painted order by 1") == [(i, "painter") for i in range(2, 21, 2)]


def test_events_that_were_erased_are_passed_over(database, empty):
    fill(database, 1000)
    with Site(database, MANIFEST, **FAST):
        reaches(database, "seen", 1000)
    database.execute("delete from writ.event where position between 100 and 450 or position in (2, 700); truncate writ.projection, seen")
    with Site(database, MANIFEST, **FAST):
        reaches(database, "seen", 1000)
        assert positions(database, "seen") == [n for n in range(1, 1001) if n not in (2, 700) and not 100 <= n <= 450]
        fill(database, 1)
        reaches(database, "seen", 1001)


def test_killed_at_any_time(site, database):
    stop = threading.Event()

    def kill():
        chance = random.Random(5)
        while not stop.is_set():
            for pid in processes(site):
                if chance.random() < 0.5:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(chance.random() / 4)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(30):
            fill(database, 200)
            time.sleep(0.05)
    finally:
        stop.set()
        killer.join()
    reaches(database, "seen", 6000, 60)
    reaches(database, "total", 6000, 60)
    assert positions(database, "seen") == list(range(1, 6001))
    assert database.execute("select n, last from total") == [(6000, 6000)]


def test_one_runner_over_all_machines(database, empty):
    with Site(database, MANIFEST, **FAST) as one, Site(database, MANIFEST, **FAST) as two:
        for i in range(50):
            (one, two)[i % 2].client.command("note", {"text": f"{i}"})
        fill(database, 1000)
        reaches(database, "seen", 1050)
        reaches(database, "total", 1050)
    assert positions(database, "seen") == list(range(1, 1051))
    assert database.one("select n from total") == 1050


def test_one_that_fails_stands_at_that_event(site, database):
    fill(database, 300)
    fill(database, 1, payload="'\"bad\"'")
    fill(database, 300)
    reaches(database, "seen", 601)
    wait_until(lambda: position(database, "picky") == 300 and database.one(
        "select failed_at from writ.projection where name = 'picky'") == 301, "it to stand at 301", 60)
    assert positions(database, "picky") == list(range(1, 301)), "all ahead of it are done"
    assert "not this one" in database.one("select error from writ.projection where name = 'picky'")
    wait_until(lambda: "projection_failed" in site.writ.log() and "projection=picky position=301" in site.writ.log(), "the log")
    assert metric(site, 'writ_projection_stands{projection="picky"}') == 1
    assert metric(site, 'writ_projection_stands{projection="seen"}') == 0
    listed = tool(site, "projection", "list")
    assert "stands" in next(line for line in listed.splitlines() if line.startswith("picky "))
    assert "at 301" in listed
    site.client.command("note", {"text": "others go on"})
    reaches(database, "seen", 602)
    database.execute("create or replace function choose(events jsonb) returns void language sql as $$ insert into picky "
                     "select (e ->> 'position')::bigint from jsonb_array_elements(events) e $$")
    reaches(database, "picky", 602, 90)
    assert positions(database, "picky") == list(range(1, 603))
    wait_until(lambda: metric(site, 'writ_projection_stands{projection="picky"}') == 0, "it goes on")
    assert database.one("select failed_at is null and error is null from writ.projection where name = 'picky'")


def test_rebuild(site, database):
    fill(database, 100)
    reaches(database, "seen", 100)
    reaches(database, "total", 100)
    database.execute("update total set n = 7; delete from seen where position < 50")
    assert "goes on from position 0" in tool(site, "projection", "rebuild", "seen")
    assert "goes on from position 0" in tool(site, "projection", "rebuild", "total")
    wait_until(lambda: positions(database, "seen") == list(range(1, 101)), "all again")
    wait_until(lambda: database.execute("select n from total") == [(100,)], "the reset function was called")
    out = tool(site, "projection", "rebuild", "nobody", check=False)
    assert "no projection nobody" in out


def test_rebuild_from_a_snapshot(site, database):
    fill(database, 100)
    reaches(database, "seen", 100)
    tool(site, "projection", "rebuild", "seen", "--from-snapshot", "90")
    wait_until(lambda: len(positions(database, "seen")) == 110, "ten of them again")
    assert positions(database, "seen")[-10:] == list(range(91, 101)), "its tables are left as they were"
    assert "log ends at position 100" in tool(site, "projection", "rebuild", "seen", "--from-snapshot", "101", check=False)
    database.execute("delete from writ.event where position <= 50; update writ.event_tail set position = 50")
    out = tool(site, "projection", "rebuild", "seen", check=False)
    assert "up to position 50 have been cleaned away" in out
    assert len(positions(database, "seen")) == 110, "nothing was emptied"


def test_one_that_comes_too_late_stands(database, empty):
    database.execute("update writ.event_tail set position = 50")
    with Site(database, MANIFEST, **FAST) as site:
        wait_until(lambda: "rebuild it from a snapshot" in site.writ.log(), "the log", 60)
        tool(site, "projection", "rebuild", "seen", "--from-snapshot", "50")
        site.client.command("note", {"text": "x"})
        reaches(database, "seen", 51, 90)


def test_list_and_drop(site, database):
    fill(database, 10)
    for name in ("seen", "total", "picky", "painted"):
        reaches(database, name, 10)
    assert site.client.command("here", {"name": "billing", "position": 3}).result == {"here": 3}
    assert site.client.command("here", {"name": "billing", "position": 4}).result == {"here": 4}
    database.execute("insert into writ.projection (name, position) values ('old', 3)")
    rows = {line.split()[0]: line.split()[1:4] for line in tool(site, "projection", "list").splitlines()[1:]}
    assert rows == {"seen": ["runs", "10", "0"], "total": ["runs", "10", "0"], "picky": ["runs", "10", "0"],
                    "painted": ["runs", "10", "0"], "old": ["unknown", "3", "7"], "billing": ["reader", "4", "6"]}
    assert "is in the manifest" in tool(site, "projection", "drop", "seen", check=False)
    tool(site, "projection", "drop", "old")
    tool(site, "projection", "drop", "billing")
    assert "no projection and no reader" in tool(site, "projection", "drop", "billing", check=False)
    assert metric(site, 'writ_projection_position{projection="seen"}') == 10
    assert metric(site, 'writ_projection_behind{projection="seen"}') == 0


def test_reload_takes_another_manifest(site, database):
    fill(database, 5)
    reaches(database, "total", 5)
    site.writ.write(MANIFEST.replace("  total: { function: count_up, reset: forget }\n", ""))
    site.writ.reload()
    wait_until(lambda: len(processes(site)) == 4, "one process less")
    fill(database, 5)
    reaches(database, "seen", 10)
    assert position(database, "total") == 5
    assert " error " not in site.writ.log()


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults")
@pytest.mark.parametrize("place", ["after-sequencing", "after-projecting", "before-commit"])
def test_killed_at_the_worst_moment(database, empty, place):
    """Behind the commit, and before anybody knows of it."""
    with faulty_site(database, MANIFEST, **FAST) as site:
        for i in range(5):
            fault = site.writ.die_at(place)
            fill(database, 10)
            wait_until(lambda: not fault.exists(), "the fault to strike")
        reaches(database, "seen", 50)
        reaches(database, "total", 50)
        assert "signal=SIGKILL" in site.writ.log()
    assert positions(database, "seen") == list(range(1, 51))
    assert database.execute("select n, last from total") == [(50, 50)]


# ---- cleaning


def clean_now(site):
    """A runner cleans when it begins."""
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
            if name.read().strip() == "writd runner":
                os.kill(pid, signal.SIGTERM)


def cleaned(site, database, expect, what):
    clean_now(site)
    wait_until(lambda: kept(database) == expect, what, 30)


def kept(database):
    return database.execute("select min(position), max(position), (select position from writ.event_tail) from writ.event")[0]


def test_old_events_go_and_nobody_loses_any(database, empty):
    with Site(database, MANIFEST, **FAST, event_log={"keep_hours": 1}) as site:
        fill(database, 3000)
        reaches(database, "seen", 3000)
        reaches(database, "total", 3000)
        reaches(database, "painted", 3000)
        reaches(database, "picky", 3000)
        database.execute("select writ.reader('slow', 1500)")
        database.execute("update writ.event set at = now() - interval '2 hours' where position <= 2500")
        cleaned(site, database, (1501, 3000, 1500), "what nobody needs to go")
        clean_now(site)
        time.sleep(0.5)
        assert kept(database) == (1501, 3000, 1500), "the reader is at 1500"
        database.execute("select writ.reader('slow', 2900)")
        cleaned(site, database, (2501, 3000, 2500), "what is old to go")
        database.execute("update writ.event set at = now() - interval '2 hours'; "
                         "insert into writ.projection (name, position) values ('gone', 2700); ")
        cleaned(site, database, (2701, 3000, 2700), "what the projection needs to stay")
        database.execute("delete from writ.projection where name = 'gone'; select writ.reader('slow', null)")
        cleaned(site, database, (None, None, 3000), "all to go")
        site.client.command("note", {"text": "x"})
        reaches(database, "seen", 3001)
    assert positions(database, "seen") == list(range(1, 3002))


def test_who_comes_too_late_is_told(site, database):
    fill(database, 10)
    reaches(database, "seen", 10)
    database.execute("delete from writ.event where position <= 5; update writ.event_tail set position = 5")
    answer = site.client.command("here", {"name": "late", "position": 4})
    assert answer.code == "EVENTS_GONE" and "up to position 5" in answer.json["detail"]
    assert site.client.command("here", {"name": "late", "position": 5}).status == 200
    assert database.execute("select name, position from writ.event_reader") == [("late", 5)]
    assert site.client.command("here", {"name": "late", "position": None}).status == 200
    assert database.execute("select name from writ.event_reader") == []


def test_cleaning_waits_for_who_begins(database, empty):
    """A reader's transaction is open: what it needs must not go meanwhile."""
    with Site(database, MANIFEST, **FAST, event_log={"keep_hours": 1}) as site:
        fill(database, 100)
        for name in ("seen", "total", "picky", "painted"):
            reaches(database, name, 100)
        with database.connect(autocommit=False) as reader:
            reader.execute("select writ.reader('begins', 10)")
            database.execute("update writ.event set at = now() - interval '2 hours'")
            clean_now(site)
            time.sleep(0.5)
            assert kept(database) == (1, 100, 0)
            reader.commit()
        cleaned(site, database, (11, 100, 10), "what it does not need to go")


def test_cleaning_sees_who_came_at_the_last_moment(database, empty):
    """A reader that is committed when the cleaning has begun, but does not have the lock yet."""
    with Site(database, MANIFEST, **FAST, event_log={"keep_hours": 1}) as site, database.connect() as gate, database.connect() as reader:
        fill(database, 100)
        for name in ("seen", "total", "picky", "painted"):
            reaches(database, name, 100)
        database.execute("""create function public.gate() returns boolean language plpgsql as
            $$ begin perform pg_advisory_xact_lock_shared(4711); return true; end $$;
            alter table writ.event_tail enable row level security; alter table writ.event_tail force row level security;
            create policy gate on writ.event_tail using (gate());""")
        try:
            gate.execute("select pg_advisory_lock(4711)")
            database.execute("update writ.event set at = now() - interval '2 hours'")
            clean_now(site)
            wait_until(lambda: database.one("select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.locktype = "
                                            "'advisory' and l.objid = 4711 and not l.granted and a.query ~ 'event_tail for update'"), "cleaning")
            reader.execute("select writ.reader('last_moment', 10)")
            gate.execute("select pg_advisory_unlock(4711)")
            wait_until(lambda: kept(database)[2] > 0, "something to go", 30)
            assert kept(database) == (11, 100, 10)
        finally:
            database.execute("drop policy gate on writ.event_tail; drop function gate(); alter table writ.event_tail no force row level security; "
                             "alter table writ.event_tail disable row level security; select writ.reader('last_moment', null)")


def test_events_are_kept_without_a_setting(site, database):
    fill(database, 10)
    reaches(database, "seen", 10)
    database.execute("update writ.event set at = now() - interval '20 years'")
    clean_now(site)
    time.sleep(1)
    assert kept(database) == (1, 10, 0)


# ---- several datasources


def test_each_datasource_has_a_log(database, empty, postgres):
    other = harness.Database(postgres, "projections_of_another", SCHEMA.replace("create role painter;", ""))
    manifest = """
specVersion: 1
event_log: { readers: [auditor] }
commands:
  here: { allow: [anonymous], sql: "select 1 as one", returns: one, events: [{ name: here }] }
  there: { allow: [anonymous], datasource: second, sql: "select 1 as one", returns: one, events: [{ name: there }] }
projections:
  seen: { function: see, truncate: [seen] }
  seen_there: { function: see, truncate: [seen], datasource: second }
"""
    try:
        with Site(database, manifest, datasources={"first": database.conninfo, "second": other.conninfo}, **FAST) as site:
            assert len(processes(site)) == 4
            for name in ("here", "there", "there"):
                assert site.client.command(name).status == 200
            reaches(database, "seen", 1)
            reaches(other, "seen_there", 2)
            assert database.execute("select position, name from seen") == [(1, "here")]
            assert other.execute("select position, name from seen order by n") == [(1, "there"), (2, "there")]
            page = site.client.get("/events?datasource=second", {"Test-Role": "auditor"}).json
            assert [event["name"] for event in page["events"]] == ["there", "there"]
            assert [line.split()[0] for line in tool(site, "projection", "list").splitlines()] == ["NAME", "seen", "seen_there"]
            tool(site, "projection", "rebuild", "seen_there")
            wait_until(lambda: other.one("select count(*) from seen") == 2 and position(other, "seen_there") == 2, "it again")
            assert "there" in harness.writ("events", "-c", site.writ.file, "tail", "--datasource", "second").stdout
    finally:
        other.drop()


# ---- writ check


def checked(database, manifest):
    folder = harness.workspace().folder("check")
    (folder / "manifest.yaml").write_text(manifest)
    (folder / "writ.yaml").write_text(harness.settings_text(harness.settings_for(database, folder)))
    done = harness.writ("check", "-c", folder / "writ.yaml", check=False)
    return done.returncode, done.stdout


def test_check(database, empty):
    code, out = checked(database, MANIFEST)
    assert code == 0 and "no errors" in out and "warning" not in out
    wrong = MANIFEST.replace("public.see,", "public.never,").replace("reset: forget", "reset: forget_it").replace(
        "truncate: [picky]", "truncate: [nowhere]").replace("events: [told], truncate", "events: [tolled], truncate").replace(
        "payload: $args.text", "payload: $result.txt")
    code, out = checked(database, wrong)
    assert code == 1
    for text in ('function public.never(jsonb) does not exist', "forget_it() does not exist", 'there is no table "nowhere"',
                 "no command appends events named tolled", "note: events: noted: the result has no column txt"):
        assert text in out, out
    code, out = checked(database, MANIFEST.replace("role: painter", "role: pg_monitor").replace("truncate: [public.seen]",
                                                                                                "truncate: [painted]"))
    assert code == 1 and "as database role pg_monitor" in out and 'may not truncate "painted"' in out


@pytest.mark.parametrize("text, says", [
    ("projections: { p: {} }", "function: is missing"), ("projections: { p: { function: 'a b' } }", "is no name such as schema.name"),
    ("projections: { p: { function: f, reset: g, truncate: [t] } }", "only one of reset: and truncate:"),
    ("projections: { p: { function: f, events: [] } }", "a list of 1 to"), ("projections: { p: { function: f, batch: 0 } }", "batch"),
    ("projections: { p: { function: f, datasource: nowhere } }", "nowhere is not in writ.yaml"),
    ("projections: { p: { functon: f } }", "did you mean function?"), ("projections: { 'a b': { function: f } }", "a projection's name"),
    ("event_log: { readers: me }", "a list of roles"), ("event_log: { reader: [me] }", "did you mean readers?"),
    ("event_log: { readers: [me, me] }", "stands here twice"),
    ("commands: { c: { sql: select 1 as one, events: [] } }", "a list of 1 to"),
    ("commands: { c: { sql: select 1 as one, events: [{ payload: 1 }] } }", "name: is missing"),
    ("commands: { c: { sql: select 1 as one, events: [{ name: 1x }] } }", "an event's name"),
    ("commands: { c: { sql: select 1 as one, events: [{ name: x, kay: 1 }] } }", "did you mean key?"),
    ("commands: { c: { sql: select 1 as one, returns: one, events: [{ name: x, key: $args.no }] } }", "no"),
    ("commands: { c: { sql: select 1 as one, returns: one, events: [{ name: x, key: $claims.no }] } }", "there are result, caller"),
])
def test_what_is_wrong_in_a_manifest(text, says):
    folder = harness.workspace().folder("wrong")
    (folder / "manifest.yaml").write_text("specVersion: 1\n" + text + ("" if "commands" in text else
                                                                      "\ncommands: { c: { sql: select 1 as one } }") + "\n")
    (folder / "writ.yaml").write_text("datasources: { default: dbname=nothing }\n")
    done = harness.writ("check", "--offline", "-c", folder / "writ.yaml", check=False)
    assert done.returncode == 1 and says in done.stdout, done.stdout


# ---- a projection without a row


def test_one_that_has_lost_its_row_says_so(site, database):
    """How far it had come nobody knows: to begin anew would put into its tables what is there."""
    fill(database, 10)
    reaches(database, "seen", 10)
    database.execute("delete from writ.projection where name = 'seen'")
    fill(database, 5)
    wait_until(lambda: "projection=seen" in site.writ.log() and "writ projection rebuild seen" in site.writ.log(), "a line in the log")
    wait_until(lambda: metric(site, 'writ_projection_stands{projection="seen"}') == 1, "the gauge")
    assert position(database, "seen") is None and len(positions(database, "seen")) == 10
    tool(site, "projection", "rebuild", "seen", "--from-snapshot", "10")
    reaches(database, "seen", 15)
    assert positions(database, "seen") == list(range(1, 16))
    wait_until(lambda: metric(site, 'writ_projection_stands{projection="seen"}') == 0, "the gauge")
