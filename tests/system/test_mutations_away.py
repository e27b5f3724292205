"""Durable mutations whose steps are on two datasources, of two clusters: each step once, whoever dies, is stopped, or cannot be
reached, between the commit of a step and the home that is to hear of it."""

import contextlib
import json
import os
import signal
import uuid

import pytest

import harness
from faulty import build_with_faults, faulty_site
from harness import PATIENCE, wait_until
from service import Service

SCHEMA = """
create table note (id bigint generated always as identity primary key, text text);
create table gate (name text primary key);
create function pass(gate_name text) returns text language plpgsql volatile as $$
begin
  for i in 1..1200 loop
    perform from gate where name = gate_name;
    exit when found;
    perform pg_sleep(0.05);
  end loop;
  return 'passed';
end $$;
grant select, insert, update, delete on note, gate to writ;
"""

MANIFEST = """
specVersion: 1
state: { reducers: {} }
commands:
  add: { allow: [anonymous], sql: "insert into note (text) values (:text) returning id, text", returns: one }
  slow: { allow: [anonymous], sql: "insert into note (text) select 'slow ' || pass(:gate) returning text", returns: one }
  refuse: { allow: [anonymous], check: "select false", error: { code: NO, status: 409 } }
  far_add: { allow: [anonymous], datasource: far, sql: "insert into note (text) values (:text) returning id, text", returns: one }
  far_slow: { allow: [anonymous], datasource: far, sql: "insert into note (text) select 'slow ' || pass(:gate) returning text", returns: one }
  far_strict: { allow: [anonymous], datasource: far, isolation: serializable, args: { text: text }, commands: [ { far_add: { text: $args.text }, as: a } ], result: $a }
  far_twice: { allow: [anonymous], datasource: far, args: { text: text }, commands: [ { far_add: { text: $args.text }, as: a }, { far_add: { text: $args.text }, as: b } ], result: { first: $a.text } }
  far_open: { allow: [anonymous], datasource: far, check: "select exists (select from gate where name = :gate)", error: { code: SHUT, status: 409 } }
  far_told: { allow: [anonymous], datasource: far, sql: "insert into note (text) values (:text) returning text", returns: one, events: [ { name: noted, key: $args.text, payload: $args.text } ], hooks: { after: { told: "SERVICE/told" } } }
  far_program: { allow: [anonymous], datasource: far, http: "SERVICE/program", args: { text: text }, hooks: { after: { told: "SERVICE/told" } } }
"""


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        service.at("/program", lambda request: {"result": request.json["args"]["text"]}).at("/told", lambda request: None)
        yield service


@pytest.fixture(scope="module")
def abroad():
    """A cluster of its own, so that one of the two can be stopped."""
    with harness.Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def far(abroad):
    return harness.Database(abroad, "away_far", SCHEMA)


def settings(database, far, **more):
    background = {"lease_ms": 1000, "poll_ms": 50, **more.pop("background", {})}
    return {"background_runners": 1, "background": background, "inside_workers": 2, "timeout_ms": 60000,
            "datasources": {"default": database.conninfo, "far": far.conninfo}, **more}


def manifest_for(service, manifest=MANIFEST):
    return manifest.replace("SERVICE", service.url(""))


@pytest.fixture
def new_site(database, far, service):
    """Makes sites with these two databases."""
    def new(manifest=MANIFEST, **more):
        return harness.Site(database, manifest_for(service, manifest), **settings(database, far, **more))
    return new


@pytest.fixture
def site(new_site):
    with new_site() as site:
        yield site


@pytest.fixture(autouse=True)
def clean(database, far):
    for each in (database, far):
        each.execute("update writ.mutation set ended = now(), outcome = 'error', owner = null where ended is null")
        each.execute("truncate note, gate, writ.outbox, writ.event_new, writ.mutation_step")


def texts(database):
    return [text for (text,) in database.execute("select text from note order by id")]


def execute(site, commands, headers=(), **more):
    body = {"commands": [harness.as_command(c) for c in commands], **more}
    return site.client.command("execute_command_set", body, headers=headers)


ASYNC = {"Prefer": "respond-async"}


def accepted(answer):
    assert answer.status == 202, answer
    return answer.json["mutation"]


def row(database, mutation, columns="outcome"):
    return database.execute(f"select {columns} from writ.mutation where id = %s", [mutation])[0]


def ended(database, mutation, timeout=60):
    wait_until(lambda: row(database, mutation)[0] is not None, "the end of the mutation", timeout * PATIENCE)
    return row(database, mutation)[0]


def follower(database, mutation):
    ((found,),) = database.execute("select id::text from writ.mutation where parent = %s", [mutation])
    return found


def runners(site):
    return [pid for pid in site.writ.workers() if "backgroun" in open(f"/proc/{pid}/comm").read()]


def ref(path):
    return {"text": {"$ref": path}}


# ---- how it goes ----

def test_steps_alternate(site, database, far):
    mutation = accepted(execute(site, [("add", {"text": "1"}, "a"), ("far_add", ref("a.text"), "b"), ("add", ref("b.text"), "c"),
                                       ("far_strict", ref("c.text"), "d"), ("far_twice", ref("d.text"), "e"), ("add", ref("e.first"))],
                                headers=ASYNC))
    assert ended(database, mutation) == "complete"
    assert (texts(database), texts(far)) == (["1"] * 3, ["1"] * 4)
    answer, away, step = row(database, mutation, "answer, away, step")
    assert [entry["result"].get("text") for entry in json.loads(answer)["results"]] == ["1", "1", "1", "1", None, "1"]
    assert (away, step) == (None, 6)
    assert far.execute("select step, result is not null from writ.mutation_step order by step") == [(1, True), (3, True), (4, True)]
    assert database.one("select count(*) from writ.mutation_step") == 0
    assert far.one("select count(*) from writ.mutation") == 0


def test_the_state_tells_of_steps_elsewhere(site, database):
    mutation = accepted(execute(site, [("add", {"text": "1"}, "a"), ("far_add", {"text": "2"}, "b"), ("far_add", {"text": "3"}, "c")],
                                headers=ASYNC))
    wait_until(lambda: site.client.get(f"/mutation/{mutation}").json["status"] == "complete", "the state's end", 60 * PATIENCE)
    state = site.client.get(f"/mutation/{mutation}").json
    assert [(step["id"], step["status"]) for step in state["steps"]] == [("a", "finished"), ("b", "finished"), ("c", "finished")]
    names = [event["name"] for event in state["events"]]
    assert names.count("TRANSACTION_COMPLETED") == 3 and names[-1] == "MUTATION_COMPLETED"
    assert [entry["result"]["text"] for entry in state["result"]] == ["1", "2", "3"]


@pytest.mark.parametrize("last", ["add", "far_add"])
def test_a_caller_that_waits(site, database, far, last):
    key = {"Idempotency-Key": f"waits-{last}"}
    commands = [("far_add", {"text": "1"}, "a"), ("add", ref("a.text"), "b"), (last, ref("b.text"))]
    answers = [execute(site, commands, headers=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200] and answers[0].body == answers[1].body
    assert [result["text"] for result in answers[0].results] == ["1", "1", "1"]
    assert len(texts(database)) + len(texts(far)) == 3
    assert far.one("select count(*) from writ.mutation where key = %s", [f"waits-{last}"]) == 1 and database.one("select count(*) from writ.mutation_step") == len(texts(database))  # far is its home


def test_a_transactional_set_elsewhere(site, database, far):
    inner = {"commands": [{"command": "far_add", "as": "x", "args": {"text": "in"}}, {"command": "far_add", "args": ref("x.text")}],
             "isolation": "repeatable_read"}
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("transactional_command_set", inner, "t"), ("add", ref("t.1.text"))],
                                headers=ASYNC))
    assert ended(database, mutation) == "complete"
    assert (texts(database), texts(far)) == (["1", "in"], ["in", "in"])


def test_what_follows_finds_results_of_both(site, database, far):
    mutation = accepted(execute(site, [("add", {"text": "near"}, "n"), ("far_add", {"text": "far"}, "f")],
                                on_complete=[{"command": "far_add", "args": ref("n.text")}, {"command": "add", "args": ref("f.text")}]))
    assert ended(database, mutation) == "complete"
    assert ended(database, follower(database, mutation)) == "complete"
    assert (texts(database), texts(far)) == (["near", "far"], ["far", "near"])


def test_a_step_elsewhere_that_refuses_and_the_retry(site, database, far):
    mutation = accepted(execute(site, [("add", {"text": "1"}, "a"), ("far_add", ref("a.text"), "b"), ("far_open", {"gate": "r"}), ("far_add", ref("b.text"))],
                                on_error=[{"command": "far_add", "args": ref("error.code")}, {"command": "add", "args": ref("b.text")}]))
    assert ended(database, mutation) == "error"
    error, step = row(database, mutation, "error, step")
    assert (error["code"], error["index"], error["committed"], step) == ("SHUT", 2, 2, 2)
    assert ended(database, follower(database, mutation)) == "complete"
    assert (texts(database), texts(far)) == (["1", "1"], ["1", "SHUT"])
    far.execute("insert into gate values ('r')")
    fresh = harness.writ("-c", site.writ.file, "jobs", "retry", mutation).stdout.split()[-3]
    assert ended(database, fresh) == "complete"
    assert (texts(database), texts(far)) == (["1", "1"], ["1", "SHUT", "1"])


def test_what_is_told_of_a_step_is_told_where_it_is(site, database, far):
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("far_told", {"text": "t"}), ("far_program", {"text": "p"}, "p"), ("add", ref("p"))],
                                headers=ASYNC))
    assert ended(database, mutation) == "complete"
    assert texts(database) == ["1", "p"]
    assert [count for count in (far.one("select count(*) from writ.outbox"), far.one("select count(*) from writ.event_new"))] == [2, 1]
    assert database.one("select count(*) from writ.outbox") == 0


def test_it_is_cancelled_between_steps(site, database, far):
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("far_slow", {"gate": "c"}), ("far_add", {"text": "never"})],
                                on_error=[{"command": "add", "args": ref("error.code")}]))
    wait_until(lambda: row(database, mutation, "away")[0] == "far", "the step elsewhere", 60 * PATIENCE)
    assert site.client.request("DELETE", f"/mutation/{mutation}").status == 202
    far.execute("insert into gate values ('c')")
    assert ended(database, mutation) == "cancelled"
    assert ended(database, follower(database, mutation)) == "complete"
    assert (texts(database), texts(far)) == (["1", "CANCELLED"], ["slow passed"])


def test_a_step_longer_than_its_lease(site, database, far):
    """The row at home is not locked meanwhile: the lease is renewed."""
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("far_slow", {"gate": "l"}), ("add", {"text": "3"})], headers=ASYNC))
    wait_until(lambda: row(database, mutation, "away")[0] == "far", "the step elsewhere", 60 * PATIENCE)
    owner, due = row(database, mutation, "owner, due")
    wait_until(lambda: (row(database, mutation, "due")[0] - due).total_seconds() > 2, "three leases", 60 * PATIENCE)
    assert row(database, mutation, "owner")[0] == owner
    far.execute("insert into gate values ('l')")
    assert ended(database, mutation) == "complete"
    assert (texts(database), texts(far)) == (["1", "3"], ["slow passed"])


# ---- who dies, or is stopped ----

PLACES = ["away-begun", "away-committed", "away-told", "before-commit", "after-send", "after-commit"]


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with faults")
@pytest.mark.parametrize("last", ["far_add", "add"])
@pytest.mark.parametrize("place", PLACES)
def test_death_at_a_named_place(database, far, service, place, last):
    with faulty_site(database, manifest_for(service), **settings(database, far)) as site:
        commands = [("add", {"text": "0"}, "a0"), ("slow", {"gate": "go"}), ("far_add", ref("a0.text"), "a1"), ("add", ref("a1.text"), "a2"), (last, ref("a2.text"), "a3")]
        mutation = accepted(execute(site, commands, on_complete=[{"command": "far_add", "args": ref("a3.text")}]))
        wait_until(lambda: texts(database) == ["0"], "the first step", 60 * PATIENCE)
        fault = site.writ.die_at(place)
        database.execute("insert into gate values ('go')")
        assert ended(database, mutation) == "complete"
        assert ended(database, follower(database, mutation)) == "complete"
        assert not fault.exists()
        assert (texts(database), texts(far)) == (["0", "slow passed", "0"] + ["0"] * (last == "add"), ["0", "0"] + ["0"] * (last == "far_add"))
        assert len(json.loads(row(database, mutation, "answer")[0])["results"]) == 5


@contextlib.contextmanager
def stopped_ahead_of_its_step(site, database, mutation):
    """The runner of the site is stopped between its look at the lease and the step elsewhere that it is about to send."""
    (pid,) = runners(site)
    wait_until(lambda: texts(database)[-1:] == ["1"], "the first step", 60 * PATIENCE)
    with database.connect(autocommit=False) as lock:
        lock.execute("lock table writ.installation in access exclusive mode")
        database.execute("insert into gate values ('go')")
        wait_until(lambda: database.one("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%update writ.mutation set away%%' and usename = 'writ'"),
                   "that it looks at its lease", 60 * PATIENCE)
        os.kill(pid, signal.SIGSTOP)
        lock.rollback()
    try:
        wait_until(lambda: row(database, mutation, "away")[0] == "far", "that the home knows", 60 * PATIENCE)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def take_over(other):
    other.writ.write(background_runners=1)
    other.writ.reload()


BEFORE_THE_STEP = [("add", {"text": "1"}), ("slow", {"gate": "go"})]


def test_a_stopped_runner_comes_too_late(new_site, database, far):
    with new_site() as one, new_site(background_runners=0) as other:
        mutation = accepted(execute(one, [*BEFORE_THE_STEP, ("far_add", {"text": "2"}), ("add", {"text": "3"})], headers=ASYNC))
        with stopped_ahead_of_its_step(one, database, mutation):
            take_over(other)
            assert ended(database, mutation) == "complete"
        wait_until(lambda: "end=put_off" in one.writ.log() or "end=lost" in one.writ.log(), "what it makes of that", 60 * PATIENCE)
        assert (texts(database), texts(far)) == (["1", "slow passed", "3"], ["2"])


def test_a_stopped_runner_does_not_write_behind_the_end(new_site, database, far):
    """Cancelled meanwhile, and told to its caller as not done."""
    with new_site() as one, new_site(background_runners=0) as other:
        mutation = accepted(execute(one, [*BEFORE_THE_STEP, ("far_add", {"text": "2"}), ("add", {"text": "3"})], headers=ASYNC))
        with stopped_ahead_of_its_step(one, database, mutation):
            assert other.client.request("DELETE", f"/mutation/{mutation}").status == 202
            take_over(other)
            assert ended(database, mutation) == "cancelled"
            assert row(database, mutation, "step") == (2,)
        wait_until(lambda: "end=put_off" in one.writ.log() or "end=lost" in one.writ.log(), "what it makes of that", 60 * PATIENCE)
        assert (texts(database), texts(far)) == (["1", "slow passed"], [])


def test_a_stopped_runner_whose_step_is_under_way(new_site, database, far):
    """Its backend goes on without it: the new runner waits for that, and takes what it did."""
    with new_site() as one, new_site(background_runners=0) as other:
        mutation = accepted(execute(one, [("add", {"text": "1"}), ("far_slow", {"gate": "s"}, "s"), ("add", ref("s.text"))], headers=ASYNC))
        wait_until(lambda: far.one("select count(*) from pg_stat_activity where query like '%%pass(%%' and usename = 'writ' and state = 'active'"),
                   "the step elsewhere", 60 * PATIENCE)
        (pid,) = runners(one)
        os.kill(pid, signal.SIGSTOP)
        try:
            take_over(other)
            wait_until(lambda: far.one("select count(*) from pg_locks where not granted"), "that somebody waits for it", 60 * PATIENCE)
            far.execute("insert into gate values ('s')")
            assert ended(database, mutation) == "complete"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (texts(database), texts(far)) == (["1", "slow passed"], ["slow passed"])


def test_a_step_that_comes_late_is_refused(new_site, database, far):
    """When its row may have been cleaned away. Here far's clock goes wrong instead."""
    far.execute("create schema wrong; grant usage on schema wrong to writ; create function wrong.clock_timestamp() returns timestamptz "
                "language sql as $$ select pg_catalog.clock_timestamp() + interval '20 min' $$; "
                f"alter role writ in database {far.name} set search_path = wrong, pg_catalog, public")
    try:
        with new_site() as site:
            mutation = accepted(execute(site, [("add", {"text": "1"}), ("far_add", {"text": "2"}), ("add", {"text": "3"})], headers=ASYNC))
            wait_until(lambda: row(database, mutation, "attempts")[0] >= 1, "an attempt", 60 * PATIENCE)
            assert row(database, mutation, "error ->> 'code'") == ("DATABASE_UNAVAILABLE",) and "datasource far: its clock" in site.writ.log()
            assert (texts(far), far.one("select count(*) from writ.mutation_step")) == ([], 0)
            far.execute("drop schema wrong cascade")
            assert ended(database, mutation) == "complete"
    finally:
        far.execute(f"drop schema if exists wrong cascade; alter role writ in database {far.name} reset search_path")


# ---- what cannot be reached ----

@contextlib.contextmanager
def away(database):
    database.postgres.execute(f"alter database {database.name} with allow_connections false")
    database.postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database.name}'")
    try:
        yield
    finally:
        database.postgres.execute(f"alter database {database.name} with allow_connections true")


def test_one_that_is_down_for_a_while(site, database, far):
    mutation = accepted(execute(site, [*BEFORE_THE_STEP, ("far_add", {"text": "2"}), ("add", {"text": "3"})], headers=ASYNC))
    wait_until(lambda: texts(database) == ["1"], "the first step", 60 * PATIENCE)
    with away(far):
        database.execute("insert into gate values ('go')")
        wait_until(lambda: row(database, mutation, "attempts")[0] >= 2, "two attempts", 60 * PATIENCE)
        assert row(database, mutation, "error ->> 'code', away") == ("DATABASE_UNAVAILABLE", None)
    assert ended(database, mutation) == "complete"
    assert (texts(database), texts(far)) == (["1", "slow passed", "3"], ["2"])


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with faults")
def test_what_may_be_done_has_no_end_before_that_is_known(database, far, service):
    with faulty_site(database, manifest_for(service), **settings(database, far, background={"attempts": 2})) as site:
        mutation = accepted(execute(site, [*BEFORE_THE_STEP, ("far_add", {"text": "2"}), ("add", {"text": "3"})], headers=ASYNC))
        wait_until(lambda: texts(database) == ["1"], "the first step", 60 * PATIENCE)
        (pid,) = runners(site)
        site.writ.die_at("away-committed")
        with far.connect(autocommit=False) as lock:
            lock.execute("lock table note in exclusive mode")
            database.execute("insert into gate values ('go')")
            wait_until(lambda: row(database, mutation, "away")[0] == "far", "the step elsewhere", 60 * PATIENCE)
            lock.rollback()
        wait_until(lambda: texts(far) == ["2"] and pid not in runners(site), "the runner's death", 60 * PATIENCE)
        with away(far):
            wait_until(lambda: row(database, mutation, "attempts")[0] >= 4, "more attempts than there are", 120 * PATIENCE)
            assert row(database, mutation, "outcome, away") == (None, "far") and "mutation_dead" not in site.writ.log()
        assert ended(database, mutation) == "complete"
        assert (texts(database), texts(far)) == (["1", "slow passed", "3"], ["2"])


def test_the_home_is_down_when_it_should_hear(site, database, far, abroad):
    """Home is the cluster that can be stopped."""
    mutation = accepted(execute(site, [("far_add", {"text": "1"}), ("slow", {"gate": "d"}), ("far_add", {"text": "3"})], headers=ASYNC))
    wait_until(lambda: row(far, mutation, "away")[0] == "default", "the step elsewhere", 60 * PATIENCE)
    abroad.stop()
    try:
        database.execute("insert into gate values ('d')")
        wait_until(lambda: texts(database) == ["slow passed"], "the step's commit", 60 * PATIENCE)
    finally:
        abroad.start()
    assert ended(far, mutation) == "complete"
    assert (texts(database), texts(far)) == (["slow passed"], ["1", "3"])


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with faults")
@pytest.mark.parametrize("then", ["moved", "gone"])
def test_the_configuration_has_changed_in_between(new_site, database, far, service, then):
    """The command has moved home: it is asked where the step was begun. There is no such datasource any more: nobody knows."""
    near = MANIFEST.replace("datasource: far, ", "")
    with faulty_site(database, manifest_for(service), **settings(database, far)) as site:
        mutation = accepted(execute(site, [*BEFORE_THE_STEP, ("far_add", {"text": "2"}, "f"), ("add", ref("f.text"))],
                                    on_error=[{"command": "add", "args": ref("error.code")}]))
        wait_until(lambda: texts(database) == ["1"], "the first step", 60 * PATIENCE)
        site.writ.die_at("away-committed")
        (pid,) = runners(site)
        with far.connect(autocommit=False) as lock:
            lock.execute("lock table note in exclusive mode")
            database.execute("insert into gate values ('go')")
            wait_until(lambda: row(database, mutation, "away")[0] == "far", "the step elsewhere", 60 * PATIENCE)
            site.writ.process.send_signal(signal.SIGSTOP)  # no new runner
            lock.rollback()
        wait_until(lambda: harness.process_state(pid) == "Z", "the runner's death", 60 * PATIENCE)
        site.writ.kill()
        more = {"datasources": {"default": database.conninfo}} if then == "gone" else {}
        with new_site(near, **more):
            assert ended(database, mutation) == ("complete" if then == "moved" else "error")
            if then == "gone":
                assert row(database, mutation, "error ->> 'code', dead, step") == ("COMMIT_UNKNOWN", True, 2)
                assert ended(database, follower(database, mutation)) == "complete"
        site.writ.start()
    assert (texts(database), texts(far)) == (["1", "slow passed", "2" if then == "moved" else "COMMIT_UNKNOWN"], ["2"])


def test_rights_that_are_missing(site, database, far):
    far.execute("revoke all on writ.mutation_step from writ")
    try:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("far_add", {"text": "2"})], headers=ASYNC))
        wait_until(lambda: row(database, mutation, "attempts")[0] >= 1, "an attempt", 60 * PATIENCE)
        assert row(database, mutation, "error ->> 'code'") == ("DATABASE_UNAVAILABLE",)
        assert "datasource far: the login role may not use table writ.mutation_step: run `writ install`, with --grant" in site.writ.log()
        assert "writ.mutation_step" in harness.writ("-c", site.writ.file, "check", check=False).stdout
    finally:
        far.execute("grant all on writ.mutation_step to writ")
    assert ended(database, mutation) == "complete"
    assert texts(far) == ["2"]


def test_one_that_is_not_installed(new_site, database, far):
    plain = harness.Database(far.postgres, "away_plain", SCHEMA, install=False)
    try:
        site = new_site(datasources={"default": database.conninfo, "far": plain.conninfo})
        told = harness.writ("-c", site.writ.file, "check", check=False)
        assert told.returncode == 1 and "far" in told.stdout and "writ install" in told.stdout
    finally:
        plain.drop()


# ---- what is left behind ----

def test_rows_go_when_their_home_needs_them_no_more(new_site, database, far):
    with new_site(background_runners=2) as site:
        sweep(site, database, far)


def put(database, mutation, step, home, born=None, due="-1 s"):
    database.execute("insert into writ.mutation_step (mutation, step, home, born, attempt, due) values (%s, %s, %s, %s, 0, now() + %s::interval)",
                     [mutation, step, home, born or uuid.uuid4(), due])


def sweep(site, database, far):
    home = database.one("select id from writ.installation")
    done = accepted(execute(site, [("add", {"text": "1"}), ("far_add", {"text": "2"})], headers=ASYNC))
    assert ended(database, done) == "complete"
    assert far.one("select due > now() + interval '5 hours' from writ.mutation_step where mutation = %s", [done])
    waits = accepted(execute(site, [("add", {"text": "1"}), ("far_add", {"text": "2"}), ("slow", {"gate": "w"})], headers=ASYNC))
    wait_until(lambda: row(database, waits, "step")[0] == 2, "two steps", 60 * PATIENCE)
    born = row(database, waits, "born")[0]
    put(far, mutation=waits, step=3, home=home, born=born)  # of a step that the home has not heard of
    put(far, mutation=waits, step=4, home=home)  # of another that had this id
    put(far, mutation=uuid.uuid4(), step=8, home=uuid.uuid4())  # of nobody knows whom
    put(far, mutation=uuid.uuid4(), step=9, home=home)  # forgotten
    far.execute("update writ.mutation_step set due = now() - interval '1 s'")
    wait_until(lambda: far.one("select count(*) from writ.mutation_step where due < now()") == 0, "that it is swept", 60 * PATIENCE)
    assert [step for (step,) in far.execute("select step from writ.mutation_step order by step")] == [3, 8]
    database.execute("insert into gate values ('w')")
    assert ended(database, waits) == "complete"


def test_an_id_that_was_used_before(new_site, database, far):
    """The row of the first is still there, when the mutation itself is forgotten."""
    with new_site(background={"keep_s": 1}) as site:
        name = {**ASYNC, "Mutation-Id": str(uuid.uuid4())}
        for text in "12":
            mutation = accepted(execute(site, [("add", {"text": "x"}), ("far_add", {"text": text}, "f"), ("add", ref("f.text"))], headers=name))
            wait_until(lambda: texts(database)[-1:] == [text], "its end", 60 * PATIENCE)
            if text == "1":  # and nobody follows it any more
                wait_until(lambda: not database.execute("select 1 from writ.mutation where id = %s", [mutation]), "that it is forgotten", 60 * PATIENCE)
                for table in ("state", "state_change", "state_mark"):
                    database.execute(f"delete from writ.{table} where mutation = %s", [mutation])
    assert (texts(database), texts(far)) == (["x", "1", "x", "2"], ["1", "2"])


def test_rows_stay_while_their_home_cannot_be_asked(site, database, far, abroad):
    """Home is far, here."""
    home = far.one("select id from writ.installation")
    with away(far):
        put(database, uuid.uuid4(), 1, home)
        wait_until(lambda: database.one("select min(due) > now() + interval '1 hour' from writ.mutation_step"), "that it is put off", 60 * PATIENCE)
    database.execute("update writ.mutation_step set due = now()")
    wait_until(lambda: database.one("select count(*) from writ.mutation_step") == 0, "that it is gone", 60 * PATIENCE)
