"""Debian's PgBouncer in transaction mode between writd and PostgreSQL, with `prepared: false`."""

import os
import signal
import threading

import pytest

import harness

SCHEMA = """
create table note (id bigint generated always as identity primary key, text text unique,
    owner text default current_setting('request.user', true));
grant select, insert, update, delete on note to writ;
create role bouncer_reader;
create role bouncer_writer;
grant select on note to bouncer_reader;
grant select, insert, update on note to bouncer_writer;
grant bouncer_reader, bouncer_writer to writ;
"""

MANIFEST = """
specVersion: 1
roles: { anonymous: bouncer_reader, writer: bouncer_writer }
commands:
  add: { sql: "insert into note (text) values (:text) returning id, text", returns: one, allow: [anonymous, writer] }
  change: { sql: "update note set text = :text where id = :id returning id, text, owner", returns: one,
      allow: [anonymous, writer] }
  find: { sql: "select id, text from note where text = :text", returns: optional, allow: [anonymous, writer] }
  many: { sql: "select i as n, i * 1.10 as price from generate_series(1, :n::int) i", allow: [anonymous, writer] }
  never: { check: "false", error: { code: NEVER }, allow: [anonymous, writer] }
  echo: { sql: "select :v as v", args: { v: jsonb }, returns: one, allow: [anonymous, writer] }
  who: { sql: "select current_user::text as role, current_setting('request.user') as user, pg_backend_pid() as pid",
      returns: one, allow: [anonymous, writer] }
  sleep: { sql: "select pg_sleep(:s)::text as x", args: { s: float8 }, returns: one, allow: [anonymous, writer] }
"""


@pytest.fixture(scope="module")
def bouncer(postgres):
    # Three connections for all: every worker gets another one for every transaction.
    with harness.PgBouncer(postgres, default_pool_size=3) as bouncer:
        yield bouncer


@pytest.fixture(scope="module")
def site(database, bouncer):
    source = {"conninfo": bouncer.conninfo(database.name), "prepared": False}
    with harness.Site(database, MANIFEST, datasources={"default": source}, workers=6, inside_workers=2,
                      timeout_ms=5000 * harness.PATIENCE) as site:
        yield site


def test_commands_and_references(site, database):
    for i in range(5):
        answer = site.client.set(("add", {"text": f"a{i}"}, "a"),
                                 ("change", {"id": {"$ref": "a.id"}, "text": f"b{i}"}, "b"), ("many", {"n": 3}, "m"),
                                 ("echo", {"v": {"id": {"$ref": "b.id"}, "price": [{"$ref": "m.2.price"}]}}),
                                 role="writer", user=f"user{i}")
        added, changed, _, echoed = answer.results
        assert changed == {"id": added["id"], "text": f"b{i}", "owner": f"user{i}"}
        assert f'{{"id": {added["id"]}, "price": [3.30]}}' in answer.text
    assert database.one("select count(*) from note where text like 'b_'") == 5


def test_errors_undo_everything(site, database):
    before = database.one("select count(*) from note")
    assert site.client.command("add", {"text": "there"}, role="writer").status == 200
    for commands, code in (
        ([("add", {"text": "x"}), ("never",), ("add", {"text": "y"})], "NEVER"),
        ([("add", {"text": "x"}), ("add", {"text": "there"})], "UNIQUE_VIOLATION"),
        ([("add", {"text": "x"}), ("find", {"text": "nobody"}, "f"), ("change", {"id": {"$ref": "f.id"}, "text": "z"})],
         "BAD_REFERENCE"),
        ([("add", {"text": "x"}), ("change", {"id": -1, "text": "z"})], "NOT_FOUND"),
    ):
        for _ in range(4):
            answer = site.client.set(*commands, role="writer")
            assert answer.code == code and answer.json["index"] == len(commands) - (2 if code == "NEVER" else 1)
    assert site.client.set(("add", {"text": "x"}), role="anonymous").code == "FORBIDDEN"
    assert site.client.command("add", {"text": "dry"}, role="writer", headers={"Prefer": "tx=rollback"}).status == 200
    assert database.one("select count(*) from note") == before + 1


def test_nothing_of_one_caller_is_left_for_the_next(site):
    seen = set()
    for i in range(40):
        role, user = (("writer", f"u{i}"), (None, None))[i % 2]
        result = site.client.command("who", role=role, user=user).result
        assert (result["role"], result["user"]) == (("bouncer_writer", f"u{i}"), ("bouncer_reader", ""))[i % 2]
        seen.add(result["pid"])
    assert len(seen) <= 3


def test_many_clients(site, database):
    """More clients than workers, more workers than connections."""
    clients, each, failures, ids = 12, 15, [], []

    def run(number):
        for i in range(each):
            text = f"client {number} {i}"
            answer = site.client.set(("add", {"text": text}, "a"),
                                     ("change", {"id": {"$ref": "a.id"}, "text": text + "!"}), role="writer",
                                     user=str(number))
            if answer.status != 200 or answer.results[1] != {"id": answer.results[0]["id"], "text": text + "!",
                                                             "owner": str(number)}:
                failures.append(answer)
            else:
                ids.append(answer.results[0]["id"])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * harness.PATIENCE)
    assert not failures, failures[:3]
    assert len(set(ids)) == clients * each
    assert database.one("select count(*) from note where text like 'client %%!'") == clients * each


def test_nothing_is_prepared(database, site):
    assert site.client.command("who").status == 200
    assert database.one("select count(*) from pg_prepared_statements") == 0  # of this very connection, but also:
    assert "prepared statement" not in site.writ.log()


def test_restart_of_pgbouncer(site, bouncer, database):
    """While it is away 503, and nothing is changed; then it goes on by itself, the first requests without an error."""
    assert site.client.command("add", {"text": "before"}, role="writer").status == 200
    bouncer.stop()
    before = database.one("select count(*) from note")
    for i in range(8):
        answer = site.client.command("add", {"text": f"away {i}"}, role="writer")
        assert (answer.code, answer.status) == ("DATABASE_UNAVAILABLE", 503), answer
    assert site.inside.get("/readyz").status == 503
    assert database.one("select count(*) from note") == before
    bouncer.start()
    answers = [site.client.set(("add", {"text": f"back {i}"}, "a"),
                               ("change", {"id": {"$ref": "a.id"}, "text": f"back again {i}"}), role="writer")
               for i in range(20)]
    assert [answer.status for answer in answers] == [200] * 20, answers
    assert site.inside.get("/readyz").status == 200
    assert database.one("select count(*) from note") == before + 20


def test_quick_restart_of_pgbouncer(site, bouncer, database):
    """The workers' connections died while they were idle: nobody notices."""
    before = database.one("select count(*) from note")
    bouncer.restart()
    answers = [site.client.command("add", {"text": f"quick {i}"}, role="writer") for i in range(12)]
    assert [answer.status for answer in answers] == [200] * 12, answers
    assert database.one("select count(*) from note") == before + 12


def test_timeout_cancels_through_pgbouncer(database, bouncer):
    source = {"conninfo": bouncer.conninfo(database.name), "prepared": False}
    with harness.Site(database, MANIFEST, datasources={"default": source}, workers=1,
                      timeout_ms=700 * harness.PATIENCE) as site:
        answer = site.client.set(("add", {"text": "slow"}), ("sleep", {"s": 3600}), role="writer")
        assert answer.status in (500, 504), answer
        assert answer.code in ("TIMEOUT", "COMMIT_UNKNOWN")
        assert database.one("select count(*) from note where text = 'slow'") == 0
        assert site.client.command("find", {"text": "nobody"}).result is None
        harness.wait_until(lambda: not database.one(
            "select count(*) from pg_stat_activity where usename = 'writ' and query like '%pg_sleep%' "
            "and state = 'active'"),
            "the statement to be cancelled")


def test_a_connection_cut_in_front_of_a_session_pooler(postgres, database):
    """Session pooling keeps prepared statements, but an end of file on its unix socket does not tell what PostgreSQL did."""
    with harness.PgBouncer(postgres, pool_mode="session") as pooler, harness.Proxy(pooler) as proxy:
        with harness.Site(database, MANIFEST, datasources={"default": proxy.conninfo(database.name)}, workers=1) as site:
            assert site.client.command("add", {"text": "session 1"}, role="writer").status == 200
            assert site.client.command("who").status == 200
            proxy.ask("rule", way="to_client", bytes=0, action="cut")  # PostgreSQL has it all and gets to the end of it
            answer = site.client.set(("sleep", {"s": 0.3}), ("add", {"text": "session 2"}), role="writer")
            assert (answer.status, answer.code) == (500, "COMMIT_UNKNOWN"), answer
            harness.wait_until(lambda: database.one("select count(*) from note where text like 'session _'") == 2, "it")


def test_a_session_pooler_that_loses_its_server(workspace_cluster):
    """PgBouncer says FATAL in its own name: it does not know either."""
    cluster, database = workspace_cluster
    with harness.PgBouncer(cluster, pool_mode="session") as pooler:
        with harness.Site(database, MANIFEST, datasources={"default": pooler.conninfo(database.name)}, workers=1) as site:
            answers = []
            thread = threading.Thread(target=lambda: answers.append(site.client.command("sleep", {"s": 20})))
            thread.start()
            busy = "select pid from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid() and state = 'active'"
            ((pid,),) = harness.wait_until(lambda: database.execute(busy), "the statement")
            os.kill(pid, signal.SIGKILL)
            thread.join(30)
            assert (answers[0].status, answers[0].code) == (500, "COMMIT_UNKNOWN"), answers


@pytest.fixture
def workspace_cluster():
    """A cluster of its own: PostgreSQL starts anew when a backend is killed. It is stopped when it has: in the midst of its recovery
    PostgreSQL 15 may not hear it."""
    with harness.Postgres() as cluster:
        yield cluster, harness.Database(cluster, "killed", SCHEMA)
        harness.wait_until(cluster.ready, "the recovery", 10 * harness.PATIENCE)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_connection_cut_behind_the_pooler(postgres, database, mode):
    """PostgreSQL has got everything and commits; the pooler has lost it and says ERROR. That is no certain failure."""
    with harness.Proxy(postgres) as proxy, harness.PgBouncer(proxy, pool_mode=mode) as pooler:
        source = {"conninfo": pooler.conninfo(database.name), "prepared": mode == "session"}
        with harness.Site(database, MANIFEST, datasources={"default": source}, workers=1) as site:
            assert site.client.command("add", {"text": f"behind {mode} 1"}, role="writer").status == 200
            proxy.ask("rule", way="to_client", bytes=0, action="cut")
            # It sleeps so that all of the flight has come to it when it gives its first answer.
            answer = site.client.set(("sleep", {"s": 0.3}), ("add", {"text": f"behind {mode} 2"}), role="writer")
            assert (answer.status, answer.code) == (500, "COMMIT_UNKNOWN"), answer
            count = f"select count(*) from note where text like 'behind {mode} _'"
            harness.wait_until(lambda: database.one(count) == 2, "the commit")
            assert site.client.command("add", {"text": f"behind {mode} 3"}, role="writer").status == 200
