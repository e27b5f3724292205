"""Several datasources: execute sets across them with all that belongs to their commands, PgBouncer with roles before one of
them, connections opened when needed and closed when idle, one that is down."""

import pytest

from harness import Database, PgBouncer, Site, wait_until
from service import Service

ROLES = "create role sources_member; create role sources_other; grant sources_member, sources_other to writ;"
TABLES = """
create table person (id bigint generated always as identity primary key, name text unique, who text default current_user);
create table gate (id int primary key, open boolean);
create table secret (id int);
insert into gate values (1, true), (2, false), (9, true);
insert into secret values (1);
grant select, insert, update on person, gate to sources_member, writ;
grant select, insert on person to sources_other;
grant select on gate to sources_other;
grant select on secret to writ; -- and to no caller
alter table gate enable row level security;
create policy seen on gate using (id < 5);
"""
SCHEMA = ROLES + TABLES

MANIFEST = """
specVersion: 1
roles: {{ anonymous: sources_member, member: sources_member, other: sources_other }}
commands:
  near:
    allow: [member, other]
    args: {{ name: text, gate: {{ type: int, default: 1 }} }}
    sql: insert into person (name) values (:name) returning id, name, who
    returns: one
    permissions:
      before:
        known: {{ sql: "exists (select from secret)", as: login, lock: none }}
        is_open: select open from gate where id = :gate
      after: {{ theirs: ":result ->> 'who' = current_user", still: {{ sql: "exists (select from secret)", as: login }} }}
    hooks: {{ before: {{ h: {{ url: "{0}/lower", changes: true }} }}, after: {{ t: {{ url: "{0}/told", sync: true }} }} }}
  far:
    allow: [member]
    datasource: far
    sql: insert into person (name) values (:name) returning id, name
    returns: one
    hooks: {{ before: {{ h: {{ url: "{0}/lower", changes: true }} }}, after: {{ t: "{0}/told" }} }}
  far_program:
    allow: [member]
    datasource: far
    args: {{ name: text }}
    http: "{0}/program"
    mutex: "q:$args.name"
    permissions: {{ is_free: "not exists (select from person where name = :name)" }}
"""


def lower(request):
    name = request.json["args"]["name"]
    return {"args": {"name": name.lower()}} if isinstance(name, str) else None


@pytest.fixture(scope="module")
def far(postgres):
    database = Database(postgres, "test_datasources_far", TABLES)
    yield database
    database.drop()


@pytest.fixture(scope="module")
def site(postgres, database, far):
    with Service() as service, PgBouncer(postgres) as bouncer:
        service.at("/lower", lower).at("/told", lambda r: None).at("/program", lambda r: {"result": r.json["args"]["name"]})
        with Site(database, MANIFEST.format(service.url("")), workers=2, idle_connection_s=1, datasources={
                "default": {"conninfo": bouncer.conninfo(database.name), "prepared": False}, "far": far.conninfo}) as site:
            yield site


@pytest.fixture(autouse=True)
def clean(database, far):
    for one in (database, far):
        one.execute("truncate person, writ.outbox, writ.idempotency")


def member(site, name, args, **options):
    return site.client.command(name, args, **{"role": "member", "user": "7", **options})


def each(site, *commands, **options):
    return member(site, "execute_command_set", {"commands": list(commands)}, **options)


def names(database):
    return [name for (name,) in database.execute("select name from person order by id")]


def test_execute_set_across_them(site, database, far):
    answer = each(site, {"command": "near", "as": "a", "args": {"name": "Ada"}},
                  {"command": "far", "as": "b", "args": {"name": {"$ref": "a.name"}}},
                  {"command": "far_program", "as": "p", "args": {"name": "Bob"}},
                  {"command": "near", "args": {"name": {"$ref": "p"}}},
                  {"command": "near", "args": {"name": {"$ref": "b.name"}}})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("UNIQUE_VIOLATION", 4, 4)
    assert names(database) == ["ada", "bob"] and names(far) == ["ada"]
    # Each in the outbox of its own; those of the near one were tried at once.
    assert far.one("select count(*) from writ.outbox") == 1 and database.one("select count(*) from writ.outbox") == 0


def test_transactional_set_does_not_span(site, database, far):
    answer = member(site, "transactional_command_set", {"commands": [{"command": "near", "args": {"name": "a"}},
                                                                     {"command": "far", "args": {"name": "b"}}]})
    assert (answer.code, answer.json["index"]) == ("DIFFERENT_DATASOURCES", 1)
    assert names(database) == names(far) == []


def test_dry_run_across_them(site, database, far):
    answer = each(site, {"command": "near", "as": "a", "args": {"name": "Ada"}},
                  {"command": "far", "args": {"name": {"$ref": "a.name"}}}, headers={"Prefer": "tx=rollback"})
    assert [entry["result"]["name"] for entry in answer.json["results"]] == ["Ada", "Ada"]  # no hook was asked
    assert names(database) == names(far) == [] and far.one("select count(*) from writ.outbox") == 0


def test_permissions_and_roles_behind_pgbouncer(site, database):
    for _ in range(2):
        answer = member(site, "near", {"name": "Ada"}, headers={"Idempotency-Key": "k"})
        assert (answer.result["name"], answer.result["who"]) == ("ada", "sources_member")
    assert answer.header("idempotent-replay") == "true"
    assert member(site, "near", {"name": "b", "gate": 2}).code == "PERMISSION_DENIED"
    assert member(site, "near", {"name": "b", "gate": 9}).code == "PERMISSION_DENIED"  # its row is hidden
    denied = member(site, "near", {"name": "b"}, role="other")  # may not lock what it looks at
    assert (denied.status, denied.code, denied.json["sqlstate"]) == (403, "FORBIDDEN", "42501")
    assert names(database) == ["ada"]


def far_connections(far):
    return far.one("select count(*) from pg_stat_activity where datname = current_database() and usename = 'writ'")


def test_connections_come_when_needed_and_go_when_idle(site, far):
    wait_until(lambda: far_connections(far) == 0, "idle connections to be closed", 30)
    assert member(site, "near", {"name": "a"}).status == 200
    assert far_connections(far) == 0
    assert member(site, "far", {"name": "a"}).status == 200
    wait_until(lambda: far_connections(far) == 0, "the connection to be closed", 30)
    assert member(site, "far", {"name": "b"}).status == 200


def test_one_that_is_down(site, database, far):
    far.postgres.execute(f"alter database {far.name} with allow_connections false")
    far.postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{far.name}'")
    wait_until(lambda: not far.postgres.execute(f"select from pg_stat_activity where datname = '{far.name}'"), "its sessions to end")
    try:
        answer = each(site, {"command": "near", "args": {"name": "a"}}, {"command": "far", "args": {"name": "b"}})
        assert (answer.status, answer.code, answer.json["committed"]) == (503, "DATABASE_UNAVAILABLE", 0)
        assert answer.json["index"] == 1 and answer.header("retry-after")
        assert member(site, "far_program", {"name": "b"}).status == 503
        assert names(database) == []
        assert member(site, "near", {"name": "a"}).status == 200
    finally:
        far.postgres.execute(f"alter database {far.name} with allow_connections true")
    assert member(site, "far", {"name": "c"}).status == 200
