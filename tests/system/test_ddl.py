"""DDL under a running writd: it never needs a restart. While a table is away its commands answer with the documented 500; a
change may cost the first request after it at most that."""

import contextlib
import threading
import time

import pytest

import harness

SCHEMA = """
create schema ddl;
create type ddl.mood as enum ('ok', 'sad');
create table ddl.item (id bigint generated always as identity primary key, code integer, name text, mood ddl.mood);
create function ddl.twice(x integer) returns integer language sql as 'select 2 * x';
grant usage on schema ddl to writ;
grant all on ddl.item to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add: { sql: "insert into ddl.item (code, name, mood) values (:code, :name, :mood) returning *", returns: one,
         args: { code: , name: { default: null }, mood: { default: null } } }
  get: { sql: "select code, name from ddl.item where code = :code order by id desc limit 1", returns: optional }
  all: { sql: "select * from ddl.item order by id" }
  as_row: { sql: "select item as item from ddl.item order by id limit 1", returns: one }
  count: { sql: "select count(*) as n from ddl.item", returns: one }
  by_mood: { sql: "select count(*) as n from ddl.item where mood = :mood", returns: one }
  twice: { sql: "select ddl.twice(:x) as y", returns: one }
  other: { sql: "select 1 as one", returns: one }
  never_well: { sql: "select x from ddl.not_there_yet", returns: many }
"""


@pytest.fixture(scope="module", params=["prepared", "unprepared"])
def site(database, request):
    """Workers whose statements are all in use, so that each has something to forget."""
    source = {"conninfo": database.conninfo, "prepared": request.param == "prepared"}
    with harness.Site(database, MANIFEST, datasources={"default": source}, workers=2, inside_workers=2) as site:
        yield site


@pytest.fixture(autouse=True)
def warm(site, database):
    database.execute("truncate ddl.item")
    for _ in range(6):
        for name, args in (("add", {"code": 1}), ("get", {"code": 1}), ("all", {}), ("count", {}), ("twice", {"x": 2}), ("as_row", {})):
            assert site.inside.command(name, args).status == 200, name
    database.execute("truncate ddl.item")
    yield
    assert site.inside.command("other").result == {"one": 1}


def settled(send, wanted, times=8):
    """Asks until `times` answers in a row are wanted(answer): all workers have seen it. Gives how many were not, of which none may
    be anything but the documented 500, and not for longer than a moment."""
    misses, streak, deadline = 0, 0, time.monotonic() + 10 * harness.PATIENCE
    while streak < times:
        answer = send()
        if answer.status == 200 and wanted(answer):
            streak += 1
            continue
        assert answer.status == 500 and answer.code == "INTERNAL", answer
        assert time.monotonic() < deadline, f"still {answer}"
        misses, streak = misses + 1, 0
        time.sleep(0.02)
    return misses


def aged():
    """A worker asks PostgreSQL about a command at most once a second; its last look may have been when it started."""
    time.sleep(1.1)


def test_column_added(site, database):
    aged()
    database.execute("alter table ddl.item add column extra integer not null default 7")
    try:
        assert settled(lambda: site.inside.command("add", {"code": 5}), lambda answer: answer.result["extra"] == 7) == 0
        assert settled(lambda: site.inside.command("all"), lambda answer: answer.result[0]["extra"] == 7) == 0
        assert settled(lambda: site.inside.command("as_row"), lambda answer: answer.result["item"]["extra"] == 7) == 0
        in_set = site.inside.set(("add", {"code": 6}, "a"), ("twice", {"x": {"$ref": "a.extra"}}))
        assert in_set.results[1] == {"y": 14}
    finally:
        database.execute("alter table ddl.item drop column extra")
    aged()
    assert settled(lambda: site.inside.command("add", {"code": 5}), lambda answer: "extra" not in answer.result) == 0
    assert settled(lambda: site.inside.command("all"), lambda answer: "extra" not in answer.result[0]) == 0


def test_type_changed_and_back(site, database):
    """int to bigint to text to int: arguments follow the column."""
    large, text = 5_000_000_000, "five"
    assert site.inside.command("add", {"code": large}).code == "BAD_ARGUMENT"
    assert site.inside.command("add", {"code": text}).code == "BAD_ARGUMENT"
    aged()
    database.execute("alter table ddl.item alter column code type bigint")
    assert settled(lambda: site.inside.command("add", {"code": large}), lambda answer: answer.result["code"] == large) == 0
    assert settled(lambda: site.inside.command("get", {"code": large}), lambda answer: answer.result["code"] == large) == 0
    aged()
    database.execute("alter table ddl.item alter column code type text using code::text")
    assert settled(lambda: site.inside.command("add", {"code": text}), lambda answer: answer.result["code"] == text) == 0
    assert settled(lambda: site.inside.command("get", {"code": text}), lambda answer: answer.result["code"] == text) == 0
    assert settled(lambda: site.inside.command("all"), lambda answer: answer.result[-1]["code"] == text) == 0
    assert site.inside.command("add", {"code": 5}).code == "BAD_ARGUMENT"  # a number is no text
    aged()
    database.execute("truncate ddl.item")
    database.execute("alter table ddl.item alter column code type integer using code::integer")
    assert settled(lambda: site.inside.command("add", {"code": 5}), lambda answer: answer.result["code"] == 5) == 0
    assert settled(lambda: site.inside.command("get", {"code": 5}), lambda answer: answer.result["code"] == 5) == 0
    aged()
    assert site.inside.command("add", {"code": text}).code == "BAD_ARGUMENT"


def test_table_renamed_and_back(site, database):
    aged()
    database.execute("alter table ddl.item rename to thing")
    try:
        for name, args in (("add", {"code": 1}), ("all", {}), ("count", {})):
            for _ in range(6):
                answer = site.inside.command(name, args)
                assert (answer.status, answer.code) == (500, "INTERNAL")
                assert "ddl" not in answer.text and "item" not in answer.text
        assert site.inside.command("other").result == {"one": 1}
        in_set = site.inside.set(("other",), ("count",))
        assert in_set.status == 500 and in_set.json["index"] == 1
    finally:
        database.execute("alter table ddl.thing rename to item")
    misses = settled(lambda: site.inside.command("add", {"code": 1}), lambda answer: answer.result["code"] == 1)
    assert misses < 200
    settled(lambda: site.inside.command("all"), lambda answer: answer.result)
    settled(lambda: site.inside.command("count"), lambda answer: answer.result["n"])


def test_table_away_for_a_moment_only(site, database):
    """Away in between, not asked: nobody notices."""
    aged()
    database.execute("alter table ddl.item rename to thing")
    database.execute("alter table ddl.thing rename to item")
    for name, args in (("add", {"code": 1}), ("all", {}), ("count", {})):
        assert settled(lambda: site.inside.command(name, args), lambda answer: True) == 0


def test_table_replaced(site, database):
    """A new table of the same name: other columns, another object."""
    aged()
    database.execute("alter table ddl.item rename to old; create table ddl.item (id serial, code integer, name text, mood ddl.mood, added date "
                     "default '2026-11-20'); grant all on ddl.item to writ; grant all on sequence ddl.item_id_seq to writ")
    try:
        assert settled(lambda: site.inside.command("add", {"code": 3}), lambda answer: answer.result["added"] == "2026-11-20") == 0
        assert settled(lambda: site.inside.command("all"), lambda answer: answer.result[0]["added"] == "2026-11-20") == 0
    finally:
        database.execute("drop table ddl.item; alter table ddl.old rename to item")
    aged()
    assert settled(lambda: site.inside.command("add", {"code": 3}), lambda answer: "added" not in answer.result) == 0


def test_constraint_added(site, database):
    assert site.inside.command("add", {"code": -1}).status == 200
    database.execute("truncate ddl.item; alter table ddl.item add constraint code_positive check (code > 0)")
    try:
        for _ in range(4):
            answer = site.inside.command("add", {"code": -1})
            assert (answer.code, answer.json["constraint"]) == ("CHECK_VIOLATION", "code_positive")
    finally:
        database.execute("alter table ddl.item drop constraint code_positive")
    assert site.inside.command("add", {"code": -1}).status == 200


def test_function_replaced(site, database):
    aged()
    database.execute("create or replace function ddl.twice(x integer) returns integer language sql as 'select 20 * x'")
    assert settled(lambda: site.inside.command("twice", {"x": 2}), lambda answer: answer.result["y"] == 40) == 0
    database.execute("drop function ddl.twice(integer); create function ddl.twice(x integer) returns bigint language sql as 'select 2::bigint * x'")
    try:
        assert settled(lambda: site.inside.command("twice", {"x": 2_000_000_000}), lambda answer: answer.result["y"] == 4_000_000_000) == 0
    finally:
        database.execute("drop function ddl.twice(bigint)" if False else "drop function ddl.twice(integer); "
                         "create function ddl.twice(x integer) returns integer language sql as 'select 2 * x'")
    aged()
    assert settled(lambda: site.inside.command("twice", {"x": 2}), lambda answer: answer.result["y"] == 4) == 0


def test_enum_value_added(site, database):
    value = f"new {time.monotonic_ns()}"
    assert site.inside.command("add", {"code": 1, "mood": value}).code == "BAD_ARGUMENT"
    database.execute(f"alter type ddl.mood add value '{value}'")
    for _ in range(4):
        assert site.inside.command("add", {"code": 1, "mood": value}).result["mood"] == value
        assert site.inside.command("by_mood", {"mood": value}).status == 200


def test_command_that_begins_to_work(site, database):
    """Its table comes later: 500 until then, alone."""
    answer = site.inside.command("never_well")
    assert (answer.code, answer.status) == ("INTERNAL", 500)
    database.execute("create table ddl.not_there_yet (x integer); grant select on ddl.not_there_yet to writ")
    try:
        settled(lambda: site.inside.command("never_well"), lambda answer: answer.result == [])
    finally:
        database.execute("drop table ddl.not_there_yet")
    assert site.inside.command("never_well").status == 500


def test_ddl_under_load(site, database):
    """Columns come and go while clients write: each answer is right, or the documented 500, and what was answered 200 is there."""
    stop, bad, done = threading.Event(), [], []

    def write(number):
        client = site.inside if number % 2 else site.inside
        while not stop.is_set():
            answer = client.set(("add", {"code": number}, "a"), ("get", {"code": {"$ref": "a.code"}}))
            if answer.status == 200:
                done.append(answer.results[0]["id"])
            elif answer.status != 500 or answer.code != "INTERNAL":
                bad.append(answer)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(4):
            with contextlib.closing(database.connect()) as connection:
                connection.execute("set lock_timeout = '5s'")
                connection.execute("alter table ddl.item add column again integer default 1")
                time.sleep(0.15)
                connection.execute("alter table ddl.item alter column code type bigint" if i % 2 else "alter table ddl.item alter column code type integer")
                connection.execute("alter table ddl.item drop column again")
                time.sleep(0.15)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30 * harness.PATIENCE)
    assert not bad, bad[:3]
    assert len(done) > 20
    assert {id for id, in database.execute("select id from ddl.item")} == set(done)
    settled(lambda: site.inside.command("add", {"code": 1}), lambda answer: "again" not in answer.result)
    database.execute("alter table ddl.item alter column code type integer")
