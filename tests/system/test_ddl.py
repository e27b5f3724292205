"""DDL under a running writd: it never needs a restart. While a table is away its commands answer with the documented
500.

A worker asks PostgreSQL about a command again when an error smells of a change,
    at most once a second for each command. Every
test has a table of its own, so that only a second change to the same table has to wait for that second."""

import contextlib
import threading
import time

import pytest

import harness

TABLES = ["col", "types", "renamed", "moment", "replaced", "checked", "enums", "load"]

SCHEMA = """
create schema ddl;
grant usage on schema ddl to writ;
create type ddl.mood as enum ('ok', 'sad');
create function ddl.twice(x integer) returns integer language sql as 'select 2 * x';
""" + "".join(f"""
create table ddl.{table} (id bigint generated always as identity primary key, code integer, mood ddl.mood);
grant all on ddl.{table} to writ;
""" for table in TABLES)

MANIFEST = """
specVersion: 1
commands:
  twice: { sql: "select ddl.twice(:x) as y", returns: one }
  other: { sql: "select 1 as one", returns: one }
  not_yet: { sql: "select x from ddl.not_there_yet", returns: many }
""" + "".join(f"""
  add_{table}:
    sql: insert into ddl.{table} (code, mood) values (:code, :mood) returning *
    returns: one
    args: {{ code: , mood: {{ default: null }} }}
  get_{table}: {{ sql: "select code from ddl.{table} where code = :code order by id desc limit 1", returns: optional }}
  all_{table}: {{ sql: "select * from ddl.{table} order by id" }}
  row_{table}: {{ sql: "select {table} as item from ddl.{table} order by id limit 1", returns: one }}
  count_{table}: {{ sql: "select count(*) as n from ddl.{table}", returns: one }}
""" for table in TABLES)


@pytest.fixture(scope="module")
def sites(database):
    """One with prepared statements, one without; all used by all workers, so that each has something to forget."""
    with contextlib.ExitStack() as stack:
        sites = [stack.enter_context(harness.Site(database, MANIFEST, inside_workers=2, workers=1, datasources={
            "default": {"conninfo": database.conninfo, "prepared": prepared}})) for prepared in (True, False)]
        for site in sites:
            for table in TABLES:
                for _ in range(4):
                    for name, args in (("add", {"code": 1}), ("get", {"code": 1}), ("all", {}), ("row", {}),
                                       ("count", {})):
                        assert site.inside.command(f"{name}_{table}", args).status == 200, name
            for _ in range(4):
                assert site.inside.command("twice", {"x": 2}).result == {"y": 4}
        aged()
        yield sites
        for site in sites:
            assert site.inside.command("other").result == {"one": 1}


def aged():
    """Until a worker may ask about the same command again."""
    time.sleep(1.05)


def settled(sites, name, args, wanted, patience=False):
    """Every worker answers as wanted, at once; with patience only after a while, and with the documented 500 before."""
    for site in sites:
        streak, deadline = 0, time.monotonic() + 10 * harness.PATIENCE
        while streak < 6:
            answer = site.inside.command(name, args)
            if answer.status == 200:
                assert wanted(answer.result), answer
                streak += 1
                continue
            assert patience and answer.status == 500 and answer.code == "INTERNAL", answer
            assert time.monotonic() < deadline, f"still {answer}"
            time.sleep(0.02)


def test_column_added(sites, database):
    database.execute("alter table ddl.col add column extra integer not null default 7")
    for site in sites:
        for _ in range(3):
            answer = site.inside.set(("add_col", {"code": 6}, "a"), ("twice", {"x": {"$ref": "a.extra"}}))
            assert answer.results[1] == {"y": 14}
    settled(sites, "add_col", {"code": 5}, lambda result: result["extra"] == 7)
    settled(sites, "all_col", {}, lambda result: result[0]["extra"] == 7)
    settled(sites, "row_col", {}, lambda result: result["item"]["extra"] == 7)
    aged()
    database.execute("alter table ddl.col drop column extra")
    settled(sites, "add_col", {"code": 5}, lambda result: "extra" not in result)
    settled(sites, "all_col", {}, lambda result: "extra" not in result[0])
    settled(sites, "row_col", {}, lambda result: "extra" not in result["item"])
    for site in sites:
        answer = site.inside.set(("add_col", {"code": 6}, "a"), ("twice", {"x": {"$ref": "a.extra"}}))
        assert (answer.code, answer.status) == ("BAD_REFERENCE", 400)


def test_type_changed_and_back(sites, database):
    """int to bigint to text to int: arguments follow the column."""
    large, text = 5_000_000_000, "five"
    database.execute("alter table ddl.types alter column code type bigint")
    settled(sites, "add_types", {"code": large}, lambda result: result["code"] == large)
    settled(sites, "get_types", {"code": large}, lambda result: result == {"code": large})
    aged()
    database.execute("alter table ddl.types alter column code type text using code::text")
    settled(sites, "add_types", {"code": text}, lambda result: result["code"] == text)
    settled(sites, "get_types", {"code": text}, lambda result: result == {"code": text})
    settled(sites, "all_types", {}, lambda result: result[-1]["code"] == text)
    aged()
    database.execute("truncate ddl.types; alter table ddl.types alter column code type integer using code::integer")
    settled(sites, "add_types", {"code": 5}, lambda result: result["code"] == 5)
    settled(sites, "get_types", {"code": 5}, lambda result: result == {"code": 5})
    for site in sites:
        for value in (large, text):
            assert site.inside.command("add_types", {"code": value}).code == "BAD_ARGUMENT"


def test_table_renamed_and_back(sites, database):
    database.execute("alter table ddl.renamed rename to elsewhere")
    for site in sites:
        for name, args in (("add_renamed", {"code": 1}), ("all_renamed", {}), ("count_renamed", {})):
            for _ in range(4):
                answer = site.inside.command(name, args)
                assert (answer.status, answer.code) == (500, "INTERNAL")
                assert "ddl" not in answer.text and "relation" not in answer.text
        in_set = site.inside.set(("add_load", {"code": 1}), ("count_renamed",))
        assert in_set.status == 500 and in_set.json["index"] == 1
        assert site.inside.command("other").result == {"one": 1}
    database.execute("alter table ddl.elsewhere rename to renamed")
    settled(sites, "add_renamed", {"code": 1}, lambda result: result["code"] == 1, patience=True)
    settled(sites, "all_renamed", {}, lambda result: len(result) > 0, patience=True)
    settled(sites, "count_renamed", {}, lambda result: result["n"] > 0, patience=True)


def test_table_away_while_nobody_asked(sites, database):
    database.execute("alter table ddl.moment rename to elsewhere")
    database.execute("alter table ddl.elsewhere rename to moment")
    for name, args in (("add_moment", {"code": 1}), ("all_moment", {}), ("count_moment", {})):
        settled(sites, name, args, lambda result: True)


def test_table_replaced(sites, database):
    """Another table of the same name, with other columns."""
    database.execute("alter table ddl.replaced rename to old; "
                     "create table ddl.replaced (id bigint generated always as identity, code integer, "
                     "mood ddl.mood, added date default '2026-11-20'); grant all on ddl.replaced to writ")
    settled(sites, "add_replaced", {"code": 3}, lambda result: result["added"] == "2026-11-20")
    settled(sites, "all_replaced", {}, lambda result: result[0]["added"] == "2026-11-20")


def test_constraint_added(sites, database):
    database.execute("alter table ddl.checked add constraint code_positive check (code > 0)")
    for site in sites:
        for _ in range(3):
            answer = site.inside.command("add_checked", {"code": -1})
            assert (answer.code, answer.json["constraint"]) == ("CHECK_VIOLATION", "code_positive")
    database.execute("alter table ddl.checked drop constraint code_positive")
    settled(sites, "add_checked", {"code": -1}, lambda result: result["code"] == -1)


def test_function_replaced(sites, database):
    database.execute("create or replace function ddl.twice(x integer) returns integer language sql as 'select 20 * x'")
    settled(sites, "twice", {"x": 2}, lambda result: result == {"y": 40})
    database.execute("drop function ddl.twice(integer); "
                     "create function ddl.twice(x integer) returns bigint language sql as 'select 2::bigint * x'")
    settled(sites, "twice", {"x": 2_000_000_000}, lambda result: result == {"y": 4_000_000_000})


def test_enum_value_added(sites, database):
    for site in sites:
        assert site.inside.command("add_enums", {"code": 1, "mood": "new"}).code == "BAD_ARGUMENT"
    database.execute("alter type ddl.mood add value 'new'")
    settled(sites, "add_enums", {"code": 1, "mood": "new"}, lambda result: result["mood"] == "new")


def test_command_that_begins_to_work(sites, database):
    """Its table comes later: 500 until then, for it alone."""
    for site in sites:
        answer = site.inside.command("not_yet")
        assert (answer.code, answer.status) == ("INTERNAL", 500)
    database.execute("create table ddl.not_there_yet (x integer); grant select on ddl.not_there_yet to writ")
    settled(sites, "not_yet", {}, lambda result: result == [], patience=True)
    database.execute("drop table ddl.not_there_yet")
    for site in sites:
        assert site.inside.command("not_yet").code == "INTERNAL"


def test_ddl_under_load(sites, database):
    """Columns come and go while clients write: each answer is right, or the documented 500; what was answered 200 is
    there."""
    stop, bad, done = threading.Event(), [], []
    database.execute("truncate ddl.load")

    def write(number):
        while not stop.is_set():
            answer = sites[number % 2].inside.set(("add_load", {"code": number}, "a"),
                                                  ("get_load", {"code": {"$ref": "a.code"}}))
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
                connection.execute("alter table ddl.load add column again integer default 1")
                time.sleep(0.1)
                connection.execute(f"alter table ddl.load alter column code type {('bigint', 'integer')[i % 2]}")
                connection.execute("alter table ddl.load drop column again")
                time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30 * harness.PATIENCE)
    assert not bad, bad[:3]
    assert len(done) > 20
    assert {id for id, in database.execute("select id from ddl.load")} == set(done)
