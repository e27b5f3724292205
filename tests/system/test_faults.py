"""Accidents: workers, backends and PostgreSQL die, connections break at any byte, bodies do not come.

What holds through all of them: a transaction is there whole or not at all; what was answered 200 is there, what was
answered 503 is not, COMMIT_UNKNOWN (and nginx's 502, where a worker died) may be either; the next request works; nothing
is left over."""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import threading
import time

import psycopg
import pytest

import fastcgi
import harness
from crowd import Crowd, Later
from faulty import build_with_faults, faulty_site

SEED = int(os.environ.get("WRIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

SCHEMA = """
create table part (key text not null, n integer not null, primary key (key, n));
create table slow_part (key text not null, n integer not null);
create function at_leisure() returns trigger language plpgsql as $$
begin perform pg_sleep(1); return null; end $$;
create constraint trigger slow_commit after insert on slow_part deferrable initially deferred
  for each row execute function at_leisure();
grant select, insert on part, slow_part to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add_part: { allow: [anonymous], sql: "insert into part values (:key, :n)" }
  commit_slowly: { allow: [anonymous], sql: "insert into slow_part values (:key, 1)" }
  pause: { allow: [anonymous], sql: "select pg_sleep(:seconds)::text as slept", args: { seconds: float8 }, returns: one }
  nothing: { allow: [anonymous], sql: select 1 as one, returns: one }
"""

PARTS = 3


@pytest.fixture(scope="module")
def cluster():
    """These tests break PostgreSQL: it is theirs alone. Durable as the real one, as far as a crash of processes goes."""
    with harness.Postgres(restart_after_crash="on") as server:
        yield server


@pytest.fixture(scope="module")
def base(cluster):
    return harness.Database(cluster, "faults", SCHEMA)


def patient(call):
    """A look at a database that may just be starting."""
    def attempt():
        try:
            return [call()]
        except psycopg.Error:
            return None
    return harness.wait_until(attempt, "PostgreSQL to answer", 30)[0]


def commands(key, middle=(), last=()):
    return [("add_part", {"key": key, "n": 1}), ("add_part", {"key": key, "n": 2}), *middle,
            ("add_part", {"key": key, "n": 3}), *last]


PAUSE = [("pause", {"seconds": 1})]
SLOW_COMMIT = [("commit_slowly", {"key": "x"})]


def parts(database, key):
    return patient(lambda: database.one("select count(*) from part where key = %s", (key,)))


def judge(answer, count):
    """Does the database agree with what was answered?"""
    assert count in (0, PARTS), f"a part of a transaction: {count} rows, after {answer}"
    if answer is None:  # nobody read the answer
        return
    code = "OK" if answer.status == 200 else answer.code
    if code == "OK":
        assert count == PARTS, f"answered 200, and it is not there: {answer}"
    elif code == "DATABASE_UNAVAILABLE":
        assert count == 0, f"answered 503, and it is there: {answer}"
        assert answer.status == 503 and answer.json["retryable"] is True and answer.header("retry-after")
    elif code == "COMMIT_UNKNOWN":
        assert answer.status == 500 and answer.json["retryable"] is False
    else:
        assert (answer.status, code) == (502, "BAD_GATEWAY"), answer


def judge_all(database, outcomes, prefix):
    counts = dict(patient(lambda: database.execute("select key, count(*) from part where key like %s group by key",
                                                   (prefix + "%",))))
    for number, answer in outcomes:
        judge(answer, counts.pop(f"{prefix}{number}", 0))
    assert not counts, f"nobody was told of these: {counts}"


def recovers(site, key, seconds=20):
    """The next request works (or, while PostgreSQL is still starting, one soon after it)."""
    answer = site.client.set(*commands(key))
    deadline = time.monotonic() + seconds * harness.PATIENCE
    while answer.status != 200:
        assert answer.code in ("DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"), answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
        key += "'"
        answer = site.client.set(*commands(key))
    assert parts(site.database, key) == PARTS


def works_at_once(site, key):
    answer = site.client.set(*commands(key))
    assert answer.status == 200, answer
    assert parts(site.database, key) == PARTS


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def border_workers(site):
    return sorted(pid for pid in site.writ.workers() if comm(pid) == "writd border")


def backend(database, event="PgSleep"):
    """The process of PostgreSQL that serves the statement which waits there."""
    return harness.wait_until(lambda: database.one(
        "select max(pid) from pg_stat_activity where wait_event = %s and datname = current_database()", (event,)), event)


def committing(database):
    """The same, once it commits: the query shown is COMMIT, or the last statement of an implicit transaction."""
    return harness.wait_until(lambda: database.one(
        "select max(pid) from pg_stat_activity where wait_event = 'PgSleep' and query not ilike '%%pg_sleep%%' "
        "and datname = current_database()"), "a COMMIT under way")


BOTH_FORMS = pytest.mark.parametrize("isolation", [None, "read_committed"], ids=["implicit", "with BEGIN"])


def settle(database):
    """Until no statement runs any more: a backend goes on for a while when its client has died."""
    harness.wait_until(lambda: patient(lambda: database.one(
        "select count(*) from pg_stat_activity where usename = 'writ' and datname = current_database() "
        "and state <> 'idle'")) == 0, "statements to end", 15)


def terminate(database, pid):
    assert database.one("select pg_terminate_backend(%s)", (pid,))


def kill(_database, pid):
    os.kill(pid, signal.SIGKILL)  # PostgreSQL then ends all its backends, and recovers


TO_DIE = pytest.mark.parametrize("die", [terminate, kill], ids=["terminated", "kill -9"])


@pytest.fixture
def site(base):
    with harness.Site(base, MANIFEST, workers=1) as site:
        before = border_workers(site)
        site.leaves_workers_alone = True
        yield site
        if site.leaves_workers_alone:
            assert border_workers(site) == before, "a worker was lost"
            assert "worker-end" not in site.writ.log()
        count = len(site.writ.workers())
        harness.wait_until(lambda: patient(lambda: base.one(
            "select count(*) from pg_stat_activity where usename = 'writ' and datname = current_database()")) <= count,
            "no more connections than workers")


# ---- a worker dies


def test_kill_9_of_a_worker_in_a_transaction(base, site):
    site.leaves_workers_alone = False
    for round, middle in enumerate((PAUSE, [])):
        key = f"worker killed {round}"
        later = Later(site.client.set, *commands(key, middle, () if middle else SLOW_COMMIT))
        backend(base)
        (worker,) = border_workers(site)
        os.kill(worker, signal.SIGKILL)
        answer = later.get()
        assert (answer.status, answer.code) == (502, "BAD_GATEWAY"), answer
        works_at_once(site, key + ", next")
        settle(base)  # what the dead worker had sent may still be done
        judge(answer, parts(base, key))


def test_workers_killed_under_load(base, site):
    site.writ.write(workers=4)
    site.writ.reload()
    harness.wait_until(lambda: len(border_workers(site)) == 4, "four workers")
    site.leaves_workers_alone = False
    chance = random.Random(SEED)
    with Crowd(6, lambda number: site.client.set(*commands(f"killed under load {number}"))) as crowd:
        for _ in range(8):
            crowd.wait_for(chance.randrange(5, 40))
            workers = border_workers(site)
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
    settle(base)
    judge_all(base, crowd.outcomes, "killed under load ")
    assert sum(answer.status == 200 for _, answer in crowd.outcomes) >= 40
    works_at_once(site, "after being killed under load")
    harness.wait_until(lambda: len(border_workers(site)) == 4, "four workers again", 15)


# ---- a backend dies


@TO_DIE
def test_the_backend_dies_while_idle(base, site, die):
    """Nothing was under way: nobody is to notice, unless PostgreSQL is just starting again."""
    works_at_once(site, f"before idle {die.__name__}")
    for pid, in base.execute("select pid from pg_stat_activity where usename = 'writ' and datname = current_database()"):
        die(base, pid)
        if die is kill:
            break  # the others go with it
    if die is terminate:
        harness.wait_until(lambda: base.one("select count(*) from pg_stat_activity where usename = 'writ' "
                                            "and datname = current_database()") == 0, "the backends to be gone")
        works_at_once(site, "idle, next")
    else:
        recovers(site, "idle and killed, next")


@TO_DIE
@BOTH_FORMS
def test_the_backend_dies_in_a_statement(base, site, die, isolation):
    key = f"in a statement {die.__name__} {isolation}"
    later = Later(site.client.set, *commands(key, PAUSE), isolation=isolation)
    die(base, backend(base))
    answer = later.get()
    assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE"), answer
    recovers(site, key + ", next") if die is kill else works_at_once(site, key + ", next")
    settle(base)
    assert parts(base, key) == 0
    judge(answer, 0)


@TO_DIE
@BOTH_FORMS
def test_the_backend_dies_at_commit(base, site, die, isolation):
    """The worker has seen that all statements were fine, and cannot know what became of the COMMIT."""
    key = f"at commit {die.__name__} {isolation}"
    later = Later(site.client.set, *commands(key, last=SLOW_COMMIT), isolation=isolation)
    die(base, committing(base))
    answer = later.get()
    assert (answer.status, answer.code) == (500, "COMMIT_UNKNOWN"), answer
    recovers(site, key + ", next") if die is kill else works_at_once(site, key + ", next")
    settle(base)
    judge(answer, parts(base, key))
    assert "writ_unknown_outcomes_total 1\n" in site.inside.get("/metrics").text


@TO_DIE
def test_backends_die_under_load(base, die):
    """At any moment of a transaction; each request knows what became of its own, or says that it does not."""
    prefix = f"load {die.__name__} "
    rounds = int(os.environ.get("WRIT_ROUNDS", "0")) or {terminate: 20, kill: 3}[die]
    with harness.Site(base, MANIFEST, workers=4) as site:
        workers = sorted(site.writ.workers())
        with Crowd(6, lambda number: site.client.set(*commands(f"{prefix}{number}"))) as crowd:
            for _ in range(rounds):
                crowd.wait_for(20)
                harness.wait_until(lambda: site.client.command("nothing").status == 200, "PostgreSQL to be back", 20)
                for pid, in patient(lambda: base.execute(
                        "select pid from pg_stat_activity where usename = 'writ' and datname = current_database() "
                        "order by random() limit %s", (1 if die is kill else 2,))):
                    try:
                        die(base, pid)
                    except (ProcessLookupError, psycopg.Error, AssertionError):
                        pass  # it has gone by itself
        settle(base)
        judge_all(base, crowd.outcomes, prefix)
        recovers(site, prefix + "next")
        assert sorted(site.writ.workers()) == workers
        assert "worker-end" not in site.writ.log()
        harness.wait_until(lambda: base.one("select count(*) from pg_stat_activity where usename = 'writ' "
                                            "and datname = current_database()") <= 5, "one connection for each worker")


# ---- PostgreSQL itself


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_postgresql_restarted_under_load(cluster, base, site, how):
    prefix = f"restart {how.name} "
    slow = Later(site.client.set, *commands(prefix + "slow", [("pause", {"seconds": 25})]))
    backend(base)
    outcomes = []
    with harness.Site(base, MANIFEST, workers=4) as busy:
        workers = sorted(busy.writ.workers())
        with Crowd(6, lambda number: busy.client.set(*commands(f"{prefix}{number}"))) as crowd:
            crowd.wait_for(30)
            cluster.process.send_signal(how)
            cluster.process.wait(20)
            crowd.wait_for(10)  # answered while nothing is there
            cluster.start()
            harness.wait_until(lambda: busy.client.command("nothing").status == 200, "writd to find it", 20)
            crowd.wait_for(30)
        outcomes = crowd.outcomes
        assert sorted(busy.writ.workers()) == workers
        assert "worker-end" not in busy.writ.log()
    answer = slow.get()
    assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE"), answer
    judge(answer, parts(base, prefix + "slow"))
    judge_all(base, outcomes, prefix)
    assert {answer.status for _, answer in outcomes} <= {200, 503, 500}
    assert any(answer.status == 503 for _, answer in outcomes)
    recovers(site, prefix + ", next")


def test_a_standby_is_left(cluster, base, site):
    """25006 after a failover: what answers here has become read-only; a new connection may find the new primary."""
    works_at_once(site, "before read only")
    base.execute("alter database faults set default_transaction_read_only = on")
    for pid, in base.execute("select pid from pg_stat_activity where usename = 'writ' and datname = current_database()"):
        terminate(base, pid)
    with base.connect() as admin:
        admin.execute("set default_transaction_read_only = off")
        answer = site.client.set(*commands("read only"))
        assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE"), answer
        admin.execute("alter database faults reset default_transaction_read_only")
    works_at_once(site, "read only, next")  # on a new connection: the old one would refuse still
    judge(answer, parts(base, "read only"))


# ---- the network breaks at any byte


def measured(site, proxy, send):
    """How many bytes one request takes in either direction, once the connection is there and has what it keeps."""
    assert send(0).status == 200
    assert send(1).status == 200
    proxy.reset()
    assert send(2).status == 200
    stats = proxy.stats()
    return {way: stats[way] for way in ("to_server", "to_client")}


class Tcp:
    """A port on the loopback in front of a unix socket: writd must not trust an end of file that came over a network."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.target))
            except OSError:
                client.close()
                continue
            for source, to in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, to), daemon=True).start()

    @staticmethod
    def pump(source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.mark.parametrize("kind", ["pooler", "tcp"])
def test_connections_cut_at_any_byte(cluster, base, kind):
    """kind: how writd is told that what it speaks to is not PostgreSQL's own unix socket."""
    print(f"WRIT_SEED={SEED}")
    chance = random.Random(f"{SEED} {kind}")
    rounds = int(os.environ.get("WRIT_ROUNDS", "40")) // (4 if harness.VALGRIND else 1)
    with harness.Proxy(cluster) as proxy, Tcp(proxy.folder / ".s.PGSQL.5432") as tcp:
        conninfo = proxy.conninfo("faults") if kind == "pooler" else \
            f"host=127.0.0.1 port={tcp.port} dbname=faults user=writ"
        with harness.Site(base, MANIFEST, workers=1, timeout_ms=10000, datasources={
                "default": {"conninfo": conninfo, "prepared": kind == "tcp"}}) as site:
            worker = border_workers(site)
            send = lambda number: site.client.set(*commands(f"cut {kind} {number}"))
            sizes = measured(site, proxy, send)
            outcomes, seen = [], set()
            for number in range(3, 3 + rounds):
                way = chance.choice(["to_server", "to_client"])
                # Mostly within the request; some of it beyond, which is the next one's, and some at its very ends.
                place = chance.choice([0, 1, sizes[way] - 1, chance.randrange(sizes[way] + 50), chance.randrange(sizes[way])])
                proxy.ask("rule", way=way, bytes=place, action="cut")
                answer = send(number)
                proxy.ask("clear")
                seen.add("OK" if answer.status == 200 else answer.code)
                outcomes.append((number, answer))
                again = site.client.command("nothing")
                if again.status != 200:  # the cut came when the request was over: seen only when the connection is used
                    assert again.code in ("DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"), again
                works_at_once(site, f"after {kind} cut {number}")
            settle(base)
            counts = dict(base.execute("select key, count(*) from part where key like %s group by key", (f"cut {kind} %",)))
            for number, answer in outcomes:
                judge(answer, counts.get(f"cut {kind} {number}", 0))
            assert "COMMIT_UNKNOWN" in seen
            assert border_workers(site) == worker
            assert proxy.stats()["fired"] > rounds / 2
            harness.wait_until(lambda: proxy.stats()["open"] <= 2, "connections to be closed")


def test_a_stalled_connection(cluster, base):
    """Nothing comes and nothing goes: the deadline ends it, and it is not told as a certain outcome."""
    with harness.Proxy(cluster) as proxy:
        with harness.Site(base, MANIFEST, workers=1, timeout_ms=700, datasources={
                "default": {"conninfo": proxy.conninfo("faults"), "prepared": False}}) as site:
            works_at_once(site, "before the stall")
            proxy.ask("stall")
            answer = Later(site.client.set, *commands("stalled")).get()
            proxy.ask("resume")
            assert answer.status in (500, 503, 504), answer
            works_at_once(site, "after the stall")
            settle(base)
            count = parts(base, "stalled")
            assert count in (0, PARTS)
            if answer.code != "COMMIT_UNKNOWN":
                assert count == 0, answer


# ---- the body


def test_a_body_cut_short(base, site):
    body = json.dumps({"key": "cut short", "n": 1}).encode()
    params = fastcgi.post("/command/add_part", body)
    for sent in (0, 1, len(body) - 1):
        with fastcgi.connect(site.writ.border_socket) as connection:  # the stream ends too early
            connection.sendall(fastcgi.head(params) + fastcgi.stream(fastcgi.STDIN, body[:sent]))
            answer = fastcgi.read_answer(connection)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST"), answer
        with fastcgi.connect(site.writ.border_socket) as connection:  # the web server goes away
            connection.sendall(fastcgi.head(params) + fastcgi.stream(fastcgi.STDIN, body[:sent], end=False))
        with fastcgi.connect(site.writ.border_socket) as connection:  # in the middle of a record
            connection.sendall(fastcgi.head(params) + fastcgi.stream(fastcgi.STDIN, body, end=False)[:8 + sent])
    with fastcgi.connect(site.writ.border_socket) as connection:  # all of it, but not the word that it is all
        connection.sendall(fastcgi.head(params) + fastcgi.stream(fastcgi.STDIN, body, end=False))
        connection.shutdown(socket.SHUT_WR)
        answer = fastcgi.read_answer(connection)
    assert answer is None or answer.status == 400, answer
    works_at_once(site, "after the bodies cut short")
    assert parts(base, "cut short") == 0


def test_a_body_longer_than_it_says(base, site):
    body = json.dumps({"key": "too long", "n": 1}).encode()
    for length in (0, len(body) - 1, 2):
        params = {**fastcgi.post("/command/add_part", body), "CONTENT_LENGTH": str(length)}
        answer = fastcgi.ask(site.writ.border_socket, params, body)
        assert answer.status == 400, answer
    assert parts(base, "too long") == 0


def test_a_client_that_sends_half_a_body(base, site):
    """nginx reads the body first: no worker hears of this client."""
    mark = site.writ.log_mark()
    for _ in range(5):
        with site.client.connect() as connection:
            connection.sendall(b"POST /command/add_part HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                               b'Content-Length: 100\r\n\r\n{"key": "half a body", "n": 1}')
    works_at_once(site, "after half a body")
    assert parts(base, "half a body") == 0
    assert site.writ.log_since(mark).count(" request ") == 1


def test_a_slow_body(base, site):
    """Through nginx a slow client holds no worker; without its buffer it holds one, but gets its answer."""
    body = json.dumps({"key": "slow body", "n": 1}).encode()
    with site.client.connect() as connection:
        connection.sendall(b"POST /command/add_part HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 8):
            connection.sendall(body[at:at + 8])
            assert site.client.command("nothing").status == 200  # the only worker is free
        assert harness.read_answer(connection).json == {"result": 1}

    body = json.dumps({"key": "slow body", "n": 2}).encode()
    with fastcgi.connect(site.writ.border_socket) as connection:
        connection.sendall(fastcgi.head(fastcgi.post("/command/add_part", body)))
        for at in range(0, len(body), 8):
            time.sleep(0.05)  # slowness is what is tested
            connection.sendall(fastcgi.record(fastcgi.STDIN, body[at:at + 8]))
        connection.sendall(fastcgi.record(fastcgi.STDIN))
        assert fastcgi.read_answer(connection).json == {"result": 1}


# ---- nginx dies


def test_kill_9_of_nginx(base, site):
    """Its requests are cancelled as those of callers that hang up; the workers wait for the next nginx."""
    later = Later(try_to, site.client.set, *commands("nginx killed", PAUSE))
    backend(base)
    site.nginx.kill()
    later.get()
    settle(base)
    assert parts(base, "nginx killed") == 0
    site.nginx.socket.unlink()
    site.nginx.inside_http.unlink()
    site.nginx.start()
    works_at_once(site, "nginx killed, next")


def try_to(call, *arguments):
    """What call gives, or None where the connection breaks."""
    try:
        return call(*arguments)
    except (OSError, http.client.HTTPException):
        return None


# ---- named places in the program


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults: WRIT_BUILD_FAULTS=FOLDER")
@pytest.mark.parametrize("place, expected", [
    ("before-commit", {0}),              # COMMIT was never sent
    ("after-send", {0, PARTS}),          # PostgreSQL may get there without us
    ("after-commit", {PARTS}),           # committed, and nobody was told
])
def test_a_worker_dies_at_a_place(base, place, expected):
    with faulty_site(base, MANIFEST, workers=1) as site:
        works_at_once(site, f"before {place}")
        for middle in ([], PAUSE):
            key = f"died {place} {len(middle)}"
            fault = site.writ.die_at(place)
            answer = site.client.set(*commands(key, middle))
            assert (answer.status, answer.code) == (502, "BAD_GATEWAY"), answer
            assert not fault.exists()
            works_at_once(site, f"{key}, next")
            settle(base)
            assert parts(base, key) in expected
            assert "signal=SIGKILL" in site.writ.log()
