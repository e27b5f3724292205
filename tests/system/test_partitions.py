"""The event log in partitions: boundaries are crossed unnoticed, old partitions go as a whole, and nobody waits for that."""

import contextlib
import os
import signal
import threading

import psycopg
import pytest

import harness
from harness import Site, wait_until

SCHEMA = """
create table seen (n bigint generated always as identity, position bigint not null);
create function see(events jsonb) returns void language sql as $$
  insert into seen (position) select (e ->> 'position')::bigint from jsonb_array_elements(events) with ordinality as t (e, i) order by i $$;
grant all on seen to writ;
create role log_auditor;
"""

MANIFEST = """
specVersion: 1
event_log: { readers: [anonymous] }
commands:
  note: { allow: [anonymous], sql: "select :text::text as text", returns: one, events: [{ name: noted, key: $args.text, payload: $args.text }] }
projections:
  seen: { function: public.see, truncate: [public.seen], batch: 70 }
"""

FAST = {"runners": 1, "runner": {"poll_ms": 50}}


@pytest.fixture(autouse=True)
def empty(database):
    empty_log(database)


def empty_log(database):
    """As it is behind a fresh `writ install`."""
    for name, _, _ in partitions(database):
        database.execute(f"drop table writ.{name}")
    database.execute("truncate writ.event_new, writ.projection, writ.event_reader, seen; update writ.event_tail set position = 0")


def log_of(size, **more):
    return {**FAST, "event_log": {"partition": size, **more}}


def partitions(database):
    return database.execute("select name, first, last from writ.event_partitions()")


def fill(database, n):
    """Events as transactions append them."""
    database.execute("insert into writ.event_new (name, key, payload, command, role, mutation) select 'noted', 'k' || i % 7, to_jsonb(i), "
                     f"'c', 'r', gen_random_uuid() from generate_series(1, {n}) i")


def last(database):
    return database.one("select writ.event_last()")


def has(database, n):
    wait_until(lambda: last(database) == n, f"{n} positions", 30)


def is_seen(database, n):
    wait_until(lambda: database.execute("select position from writ.projection where name = 'seen'") == [(n,)], f"all {n} to be seen", 30)


def page(site, query=""):
    answer = site.client.get(f"/events?limit=1000&{query}")
    assert answer.status == 200, answer
    return [event["position"] for event in answer.json["events"]]


def clean_now(site):
    """A runner cleans when it begins."""
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
            if name.read().strip() == "writd runner":
                os.kill(pid, signal.SIGTERM)


def cleaned(site, database):
    """A whole turn of cleaning is over: old states are its last part."""
    database.execute("insert into writ.state (mutation, version, status, state, ended) values (gen_random_uuid(), 1, 'complete', '{}', "
                     "now() - interval '2 years')")
    clean_now(site)
    wait_until(lambda: database.one("select count(*) from writ.state") == 0, "a turn of cleaning", 60)


def as_login(database, sql):
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        return connection.execute(sql).fetchone()[0]


def test_boundaries_are_not_noticed(database):
    with Site(database, MANIFEST, **log_of(100)) as site:
        fill(database, 950)
        has(database, 950)
        is_seen(database, 950)
        site.client.command("note", {"text": "a"})
        has(database, 951)
        every = list(range(1, 952))
        assert page(site) == every
        assert page(site, "after=95") == every[95:]
        assert page(site, "after=100") == every[100:]
        assert page(site, "name=noted&after=199") == every[199:]
        assert page(site, "key=k3&after=290") == [n for n in every[290:950] if n % 7 == 3]
        assert page(site, "after=951") == []
        assert "ends at position 951" in site.client.get("/events?after=952").json["detail"]
        tail = harness.writ("events", "-c", site.writ.file, "tail", "--after", "899").stdout.splitlines()
        assert [line.split()[0] for line in tail] == [str(n) for n in every[899:]]
        is_seen(database, 951)
    assert [row[0] for row in database.execute("select position from seen order by n")] == every
    found = partitions(database)
    assert [row[1:] for row in found[:10]] == [(first, first + 99) for first in range(1, 1000, 100)]
    assert found[-1][2] >= 951 + 1000, "some are made ahead"
    assert database.execute("select tableoid::regclass::text, count(*) from writ.event group by 1 order by min(position)")[1] == (
        "writ.event_101", 100)
    assert database.execute("select distinct reloptions @> '{autovacuum_vacuum_insert_threshold=100000}' from pg_class where oid in "
                            "(select inhrelid from pg_inherits where inhparent = 'writ.event'::regclass)") == [(True,)]


def test_without_a_setting_there_is_one_at_first(database):
    with Site(database, MANIFEST, **FAST):
        fill(database, 10)
        has(database, 10)
        assert partitions(database) == [("event_1", 1, 10000000)]


def test_another_size_counts_from_the_next_one_on(database):
    with Site(database, MANIFEST, **log_of(300)):
        fill(database, 10)
        has(database, 10)
        before = partitions(database)
    with Site(database, MANIFEST, **log_of(1000)):
        fill(database, 5000)
        has(database, 5010)
    after = partitions(database)
    assert after[:len(before)] == before and all(row[2] - row[1] == 299 for row in before)
    assert all(row[2] % 1000 == 0 for row in after[len(before):]), after
    assert all(one[2] + 1 == two[1] for one, two in zip(after, after[1:]))


def test_old_partitions_go_as_a_whole(database):
    with Site(database, MANIFEST, **log_of(1000, keep_hours=1)) as site:
        fill(database, 4500)
        is_seen(database, 4500)
        database.execute("select writ.reader('slow', 1500)")
        database.execute("update writ.event set at = now() - interval '2 hours' where position <= 3500")
        clean_now(site)
        wait_until(lambda: partitions(database)[0][1] == 1001, "the first partition to go", 60)
        assert site.client.get("/events?after=999").json["code"] == "EVENTS_GONE"
        assert page(site, "after=1000")[:2] == [1001, 1002]
        database.execute("select writ.reader('slow', 1999)")
        cleaned(site, database)
        cleaned(site, database)
        assert partitions(database)[0][1] == 1001, "position 2000 is needed"
        database.execute("select writ.reader('slow', null)")
        clean_now(site)
        wait_until(lambda: partitions(database)[0][1] == 3001, "what is wholly old to go", 60)
        assert database.one("select position from writ.event_tail") == 3000
        assert database.one("select count(*) from writ.event") == 1500, "3001 to 3500 are old and stay with their partition"
        metrics = wait_until(lambda: "writ_events_cleaned_total 3000" in (text := site.inside.get("/metrics").body.decode()) and text, "the count")
        assert "writ_projection_stands{projection=\"seen\"} 0" in metrics
        database.execute("update writ.event set at = now() - interval '2 hours'")
        clean_now(site)
        wait_until(lambda: partitions(database)[0][1] == 4001, "another one", 60)
        site.client.command("note", {"text": "on"})
        has(database, 4501)
        assert page(site, "after=4499") == [4500, 4501]


def test_one_of_a_partition_that_is_young_keeps_it(database):
    with Site(database, MANIFEST, **log_of(1000, keep_hours=1)) as site:
        fill(database, 2500)
        is_seen(database, 2500)
        database.execute("update writ.event set at = now() - interval '2 hours' where position not between 1950 and 1960")
        clean_now(site)
        wait_until(lambda: partitions(database)[0][1] == 1001, "the first partition to go", 60)
        cleaned(site, database)
        cleaned(site, database)
        assert partitions(database)[0][1] == 1001


def test_cleaned_by_rows_what_is_empty_goes_too(database):
    """Made with a size, cleaned without: exactly by age, and partitions go when nothing is left in them."""
    with Site(database, MANIFEST, **log_of(1000)):
        fill(database, 2500)
        has(database, 2500)
        is_seen(database, 2500)
    database.execute("update writ.event set at = now() - interval '2 hours' where position <= 1700")
    with Site(database, MANIFEST, **FAST, event_log={"keep_hours": 1}):
        wait_until(lambda: partitions(database)[0][1] == 1001, "the first partition to go", 60)
        wait_until(lambda: database.one("select min(position) from writ.event") == 1701, "what is old to go", 60)
        assert database.one("select position from writ.event_tail") == 1700


def test_a_long_reader_is_not_disturbed_and_nobody_waits(database):
    with Site(database, MANIFEST, **log_of(100)) as site:
        fill(database, 450)
        has(database, 450)
        is_seen(database, 450)
        database.execute("update writ.event_tail set position = 200")
        with database.connect(autocommit=False) as reader:
            assert reader.execute("select count(*) from writ.event").fetchone() == (450,)
            with database.connect() as witness:
                # Whoever would have to wait for a lock gives up at once, which shows.
                witness.execute("set lock_timeout = 1")
                for _ in range(3):
                    asked = threading.Thread(target=as_login, args=(database, "select writ.event_shrink()"))
                    asked.start()
                    while asked.is_alive():
                        witness.execute("select max(position) from writ.event")
                    asked.join()
            assert as_login(database, "select writ.event_shrink()") is None
            site.client.command("note", {"text": "meanwhile"})
            has(database, 451)
            assert reader.execute("select count(*) from writ.event where position <= 450").fetchone() == (450,)
            assert partitions(database)[0][1] == 1
            reader.commit()
        wait_until(lambda: as_login(database, "select writ.event_shrink()"), "the first to be dropped")
        wait_until(lambda: as_login(database, "select writ.event_shrink()"), "the second to be dropped")
        assert as_login(database, "select writ.event_shrink()") is False
        assert partitions(database)[0][1] == 201


def test_readers_that_come_and_go_do_not_keep_it(database):
    with Site(database, MANIFEST, **log_of(100)):
        fill(database, 450)
        has(database, 450)
        database.execute("update writ.event_tail set position = 400")
        over = threading.Event()

        def read():
            with database.connect() as connection:
                while not over.is_set():
                    connection.execute("select max(position) from writ.event, pg_sleep(0.002)")

        readers = [threading.Thread(target=read, daemon=True) for _ in range(4)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(4):
                wait_until(lambda: as_login(database, "select writ.event_shrink()"), "a moment without long readers", 60)
        finally:
            over.set()
            for reader in readers:
                reader.join(30)
        assert partitions(database)[0][1] == 401


def test_the_sequencer_goes_on_when_none_can_be_made(database):
    """Long ahead they are made, so there is time; what keeps them from it shows in the log."""
    with Site(database, MANIFEST, **log_of(1000)) as site:
        fill(database, 10)
        has(database, 10)
        room = partitions(database)[-1][2]
        with database.connect(autocommit=False) as other:
            other.execute("lock table writ.event in share update exclusive mode")
            fill(database, 2500)
            has(database, 2510)
            wait_until(lambda: "no partition could be made" in site.writ.log(), "a line in the log", 30)
            assert partitions(database)[-1][2] == room
            fill(database, room - 2510)
            has(database, room)
            site.client.command("note", {"text": "waits"})
            wait_until(lambda: "no partition of relation" in site.writ.log() or "lock timeout" in site.writ.log(), "a line in the log", 30)
            assert last(database) == room
            other.rollback()
        has(database, room + 1)


def test_a_log_that_was_set_back(database):
    """Partitions that were there are gone: they are made again when positions are given, by a sequencer that did not know."""
    with Site(database, MANIFEST, **log_of(100)):
        fill(database, 250)
        has(database, 250)
        is_seen(database, 250)
        database.execute("drop table writ.event_1; drop table writ.event_101; truncate writ.event; truncate writ.projection")
        fill(database, 150)
        has(database, 150)
        assert [row[1] for row in partitions(database)[:3]] == [1, 101, 201]


def test_who_may_ask_for_partitions(database):
    database.execute("grant usage on schema writ to log_auditor")
    for call in ("writ.event_extend(100, 100)", "writ.event_shrink()", "writ.event_last()"):
        with database.connect() as stranger:
            stranger.execute("set role log_auditor")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute(f"select {call}")
    assert as_login(database, "select writ.event_extend(100, 250)") == 300
    assert as_login(database, "select writ.event_extend(100, 250)") == 300
    for size, ahead in ((0, 1), (-5, 1), (1, 0), ("null", 1), (1, "null"), (2 << 60, 1)):
        with pytest.raises(psycopg.errors.RaiseException):
            as_login(database, f"select writ.event_extend({size}, {ahead})")
    # Functions with rights of their own look nowhere but in the catalog.
    assert database.execute("select distinct proconfig::text ~ 'search_path=pg_catalog, pg_temp' from pg_proc "
                            "where pronamespace = 'writ'::regnamespace and prosecdef") == [(True,)]


def test_dump_and_restore(database, postgres):
    with Site(database, MANIFEST, **log_of(100)) as site:
        fill(database, 350)
        has(database, 350)
        before = page(site, "after=90")
    database.execute("update writ.event_tail set position = 90; delete from writ.event where position <= 90")
    dump = harness.run([postgres.programs / "pg_dump", database.admin_conninfo]).stdout
    copy = harness.Database(postgres, "partitions_restored", install=False)
    try:
        script = harness.workspace().folder("dump") / "dump.sql"
        script.write_text(dump)
        harness.run([postgres.programs / "psql", "-v", "ON_ERROR_STOP=1", "-q", "-f", script, copy.admin_conninfo])
        assert partitions(copy) == partitions(database)
        with Site(copy, MANIFEST, **log_of(1000)) as site:
            site.client.command("note", {"text": "new"})
            has(copy, 351)
            assert page(site, "after=90") == [*before, 351]
    finally:
        copy.drop()


# ---- from version 6


def old_database(postgres, name, rows, tail=0):
    """As version 6 made it: events that were given positions, and one that waits."""
    database = harness.Database(postgres, name, install=False)
    for script in sorted((harness.SOURCE / "sql/install").glob("00[1-6].sql")):
        database.execute(script.read_text())
    assert database.one("select writ.version()") == 6
    database.execute(f"""
        grant select, insert, update, delete on all tables in schema writ to writ; grant execute on all functions in schema writ to writ;
        grant select on writ.event to log_auditor;
        insert into writ.event (position, seq, name, key, payload, at, command, role, mutation)
          select i, i, 'noted', 'k' || i, to_jsonb(i), now(), 'c', 'r', gen_random_uuid() from generate_series({tail + 1}, {tail + rows}) i;
        update writ.event_tail set position = {tail};
        create table seen (n bigint generated always as identity, position bigint not null);
        create function see(events jsonb) returns void language sql as $$
          insert into seen (position) select (e ->> 'position')::bigint from jsonb_array_elements(events) e order by 1 $$;
        grant all on seen to writ""")
    fill(database, 1)
    return database


@pytest.mark.parametrize("rows, tail", [(0, 0), (500, 0), (500, 300), (0, 300)])
def test_upgrade(postgres, rows, tail):
    database = old_database(postgres, f"partitions_upgrade_{rows}_{tail}", rows, tail)
    try:
        before = database.execute("select * from writ.event order by position")
        database.install()
        assert database.one("select writ.version()") >= 9
        assert database.execute("select * from writ.event order by position") == before
        assert database.one("select relkind::text from pg_class where oid = 'writ.event'::regclass") == "p"
        assert database.execute("select has_table_privilege('log_auditor', 'writ.event', 'select'), "
                                "has_table_privilege('log_auditor', 'writ.event', 'insert')") == [(True, False)]
        end = tail + rows
        if rows:
            assert partitions(database)[0] == ("event_1", 1, end)
        database.execute(f"insert into writ.projection (name, position) values ('seen', {tail})")
        with Site(database, MANIFEST, **log_of(100)) as site:
            has(database, end + 1)
            site.client.command("note", {"text": "on"})
            has(database, end + 2)
            assert page(site, f"after={tail}") == list(range(tail + 1, end + 3))
            is_seen(database, end + 2)
    finally:
        database.drop()


def test_a_writd_of_before_goes_on_behind_the_upgrade(postgres):
    """What its sequencer says, word for word: there are partitions for it, until it is replaced."""
    database = old_database(postgres, "partitions_rolling", 10)
    try:
        database.install()
        assert as_login(database, "with m as (insert into writ.event (position, seq, name, payload, at, command, role, mutation) select "
                        "greatest((select max(position) from writ.event), (select position from writ.event_tail)) + 1, 11, 'x', '1', now(), "
                        "'c', 'r', gen_random_uuid() returning position) select position from m") == 11
    finally:
        database.drop()
