"""One network round trip a transaction, however many commands and whatever they refer to: counted between writd and
PostgreSQL. tests/proxy.py delays each answer of the server until writd waits for it, so that a large flight counts as one trip as well."""

import pytest

import harness

SCHEMA = """
create table node (id bigint generated always as identity primary key, parent bigint references node, name text);
create table audit (id bigint generated always as identity, entry jsonb);
grant select, insert, update on node, audit to writ;
create role trips_customer;
grant select, insert, update on node, audit to trips_customer;
grant trips_customer to writ;
"""

MANIFEST = """
specVersion: 1
roles: { anonymous: trips_customer }
commands:
  add: { sql: "insert into node (parent, name) values (:parent, :name) returning id, name", returns: one }
  add_many: { sql: "insert into node (name) select 'n' || i from generate_series(1, :n::int) i returning id, name" }
  find: { sql: "select id, name from node where name = :name order by id limit 1", returns: optional }
  audit: { sql: "insert into audit (entry) values (:entry)", args: { entry: jsonb } }
  touch: { sql: "update node set name = name || '!' where id = any (:ids)", args: { ids: "bigint[]" } }
  exists: { check: "exists (select from node where id = :id)", args: { id: bigint } }
  never: { check: "false" }
  chain:
    args: { name: text }
    commands:
      - add: { parent: null, name: $args.name }
        as: a
      - exists: { id: $a.id }
      - add: { parent: $a.id, name: $args.name }
        as: b
      - find: { name: $args.name }
        as: found
      - touch: { ids: [$a.id, $b.id] }
      - audit: { entry: { a: $a, b: $b.id, found: $found.name } }
      - add: { parent: $b.id, name: $found.name }
        as: c
      - audit: { entry: $c }
    result: { a: $a.id, c: $c.id, name: $found.name }
  unused: { sql: "select :n::int as n", returns: one }
"""


@pytest.fixture(scope="module")
def proxy(postgres):
    with harness.Proxy(postgres, delay_ms=5) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def site(database, proxy):
    with harness.Site(database, MANIFEST, datasources={"default": proxy.conninfo(database.name)}, workers=1,
                      inside_workers=1) as site:
        yield site


def trips(site, proxy, send):
    """The answer to send(site.inside), and the round trips that it took. The connection is there: /readyz was asked."""
    assert site.inside.get("/readyz").status == 200
    before = proxy.stats()
    answer = send(site.inside)
    after = proxy.stats()
    assert after["connections"] == before["connections"], "it connected anew"
    return answer, after["trips"] - before["trips"]


def referring(n):
    """A set of n commands, each but the first with a reference to the one before, of different kinds."""
    commands = [("add", {"parent": None, "name": "root"}, "c0")]
    for i in range(1, n):
        commands.append([("add", {"parent": {"$ref": f"c{i - 1}.id"}, "name": {"$ref": "c0.name"}}, f"c{i}"),
                         ("find", {"name": {"$ref": f"c{i - 1}.name"}}, f"c{i}"),
                         ("add_many", {"n": 2}, f"c{i}"),
                         ("add", {"parent": {"$ref": f"c{i - 1}.1.id"}, "name": "after many"}, f"c{i}")][i % 4])
    return commands


@pytest.mark.parametrize("n", [1, 3, 50])
def test_set(site, proxy, n):
    """The first time its statements are not prepared yet: that is done in the same flight."""
    for attempt in ("with statements that are new", "with statements that are prepared"):
        answer, count = trips(site, proxy, lambda client: client.set(*referring(n)))
        assert len(answer.results) == n
        assert count == 1, attempt


def test_single_command(site, proxy):
    for _ in range(2):
        answer, count = trips(site, proxy, lambda client: client.command("unused", {"n": 5}))
        assert (answer.result, count) == ({"n": 5}, 1)


def test_composite_of_eight(site, proxy, database):
    for name in ("first", "second"):
        answer, count = trips(site, proxy, lambda client: client.command("chain", {"name": name}))
        assert answer.result["name"] == name and count == 1
    assert database.one("select count(*) from node where name = 'second!'") == 2


@pytest.mark.parametrize("bad", [
    ("never", {}), ("exists", {"id": -1}), ("add", {"parent": -1, "name": "x"}),
    ("add", {"parent": {"$ref": "nobody.id"}, "name": "x"})],
    ids=["check", "check with an argument", "constraint", "reference"])
def test_refused_set(site, proxy, database, bad):
    """Rolled back in the same round trip, and the next one starts clean."""
    before = database.one("select count(*) from node")
    commands = [*referring(10), ("find", {"name": "nobody at all"}, "nobody"), bad,
                ("add", {"parent": None, "name": "after"})]
    for _ in range(2):
        answer, count = trips(site, proxy, lambda client: client.set(*commands))
        assert answer.status >= 400 and answer.json["index"] == 11
        assert count == 1
    assert database.one("select count(*) from node") == before
    assert trips(site, proxy, lambda client: client.command("unused", {"n": 1}))[1] == 1


@pytest.mark.parametrize("command", [
    ("no_such", {}), ("add", {}), ("unused", {"n": "1", "m": 2}), ("add", {"parent": {"$ref": "x.y"}, "name": ""})])
def test_refused_before_anything_runs(site, proxy, command):
    """No round trip at all for what can be seen without the server."""
    answer, count = trips(site, proxy, lambda client: client.set(command))
    assert answer.status in (400, 404) and count == 0


def test_refused_by_its_type(site, proxy):
    """Tables change: at most once a second PostgreSQL is asked whether the type is still that one, in two trips; otherwise there is none."""
    counts = []

    def ask():
        answer, count = trips(site, proxy, lambda client: client.set(("unused", {"n": True})))
        assert answer.code == "BAD_ARGUMENT"
        counts.append(count)
        return count == 0

    harness.wait_until(ask, "an answer without a trip", 60)
    assert set(counts) <= {0, 2}


def test_dry_run_isolation_and_claims(site, proxy):
    answer, count = trips(site, proxy, lambda client: client.set(*referring(5), isolation="serializable",
                                                                 headers={"Prefer": "tx=rollback"}, user="7",
                                                                 claims='{"role": "anonymous", "sub": "7"}'))
    assert len(answer.results) == 5 and count == 1


def test_execute_set_is_one_for_each_command(site, proxy):
    commands = {"commands": [harness.as_command(command) for command in referring(6)]}
    answer, count = trips(site, proxy, lambda client: client.post("/command/execute_command_set", commands))
    assert len(answer.results) == 6 and count == 6


def test_large_values(site, proxy):
    """More than fits into socket buffers, both ways."""
    name = "x" * 200_000
    answer, count = trips(site, proxy, lambda client: client.set(("add", {"parent": None, "name": name}, "a"),
                                                                 ("add",
                                                                  {"parent": {"$ref": "a.id"},
                                                                   "name": {"$ref": "a.name"}})))
    assert answer.results[1]["name"] == name and count == 1


def test_the_count_can_fail(site, proxy, postgres, database):
    """What it would be, statement by statement: the proxy does count."""
    before = proxy.stats()["trips"]
    with postgres.connect(database.name, "writ", host=str(proxy.folder)) as connection:
        start = proxy.stats()["trips"]
        for _ in range(3):
            connection.execute("select 1")
        assert proxy.stats()["trips"] == start + 3
    assert start > before
