"""Streams of server-sent events, /mutation/UUID/events: the streamer behind nginx, on states that the tests write themselves with
the functions of schema writ."""

import contextlib
import json
import os
import signal
import threading
import uuid

import pytest

import fastcgi
import harness
import sse

MANIFEST = """
specVersion: 1
commands:
  one: { allow: [anonymous], sql: select 1 as one, returns: one }
"""

STREAMS = {"most": 200, "poll_ms": 50, "heartbeat_s": 1}


class State:
    """A mutation's state, as a worker would write it."""

    def __init__(self, database, caller=None, steps=2, rules=None):
        self.database, self.id, self.rules = database, str(uuid.uuid4()), json.dumps(rules or {})
        steps = [{"id": str(i), "status": "pending"} for i in range(steps)]
        self.sql("select writ.state_new(%s, %s, %s, %s)", self.id, caller, json.dumps(steps), self.rules)

    def sql(self, text, *values, through=None):
        return (through or self.database).execute(text, values)

    def event(self, name, payload=None, through=None):
        """through: a connection; psycopg cannot open one when the process has a thousand descriptors."""
        self.sql("select writ.state_event(%s, 1, %s, %s, %s)", self.id, name,
                 None if payload is None else json.dumps(payload), self.rules, through=through)

    def many(self, n, size=0):
        """n events, each a transaction of its own."""
        with self.database.connect() as connection:
            for i in range(n):
                connection.execute("select writ.state_event(%s, 1, 'TICK', %s, %s)",
                                   (self.id, json.dumps({"i": i, "fill": "x" * size}), self.rules))

    def end(self, result=None):
        self.event("MUTATION_COMPLETED", {"result": result})

    @property
    def version(self):
        return self.database.one("select version from writ.state where mutation = %s", [self.id])

    @property
    def path(self):
        return f"/mutation/{self.id}/events"


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, streams=STREAMS) as site:
        yield site


def streamer(site):
    """The process id; None: it is not there."""
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/comm") as comm:
                if comm.read().strip() == "writd streamer":
                    return pid
    return None


def metric(site, name):
    text = site.inside.get("/metrics").text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


# ---- the life of a stream


def test_the_state_at_once_then_each_change_then_the_end(site, database):
    state = State(database)
    with sse.open(site.client, state.path) as stream:
        assert stream.status == 200
        assert stream.header("Content-Type") == "text/event-stream"
        assert stream.header("Cache-Control") == "no-store"
        assert stream.header("X-Request-Id")
        assert stream.header("Content-Encoding") is None and stream.header("X-Accel-Buffering") is None
        first = stream.next()
        assert (first.id, first.type) == ("1", "state")
        assert first.json["status"] == "pending" and first.json["uuid"] == state.id and len(first.json["steps"]) == 2
        assert 1000 <= stream.retry < 2000
        state.event("TRANSACTION_CREATED", {"step": "0"})
        change = stream.next()
        assert (change.id, change.type) == ("2", "change")
        assert change.json["event"]["name"] == "TRANSACTION_CREATED" and change.json["set"]["status"] == "running"
        state.event("MY_OWN", {"text": "line\nline", "unicode": "\u2028 ü"})
        assert stream.next().json["event"]["payload"] == {"text": "line\nline", "unicode": "\u2028 ü"}
        state.end({"n": 1})
        last, end = stream.take(2)
        assert last.json["set"]["status"] == "complete" and last.json["set"]["result"] == {"n": 1}
        assert (end.type, end.id, end.json) == ("end", "4/end", {"status": "complete"})
        assert stream.next() is None


def test_who_has_seen_the_end_is_told_not_to_come_again(site, database):
    state = State(database)
    state.end()
    with sse.open(site.client, state.path, last="2/end") as stream:
        assert stream.status == 204
    with sse.open(site.client, state.path, last="2") as stream:  # all but the last event
        assert [event.type for event in stream.until("end")] == ["end"]
        assert stream.next() is None
    with sse.open(site.client, state.path) as stream:
        assert [event.type for event in stream.until("end")] == ["state", "end"]


@pytest.mark.parametrize("name, status", [("MUTATION_ERROR", "error"), ("MUTATION_CANCELLED", "cancelled")])
def test_other_ends(site, database, name, status):
    state = State(database)
    with sse.open(site.client, state.path) as stream:
        stream.next()
        state.event(name, {"error": {"code": "X"}})
        change, end = stream.take(2)
        assert change.json["set"]["status"] == status and end.json == {"status": status}


def test_resume_without_loss_or_repeat(site, database):
    state = State(database)
    state.many(10)
    with sse.open(site.client, state.path, last="4") as stream:
        events = stream.take(7)
        assert [event.id for event in events] == [str(n) for n in range(5, 12)]
        assert {event.type for event in events} == {"change"}
        assert [event.json["event"]["payload"]["i"] for event in events] == list(range(3, 10))


def test_changes_that_are_gone_are_replaced_by_the_whole_state(site, database):
    state = State(database, rules={"changes": 3})
    state.many(10)
    for last in ("2", "99", "junk", "-1", "1/end/end", "99999999999999999999"):
        with sse.open(site.client, state.path, last=last) as stream:
            event = stream.next()
            assert (event.type, event.id) == ("state", "11"), last
    with sse.open(site.client, state.path, last="8") as stream:
        assert [event.id for event in stream.take(3)] == ["9", "10", "11"]
    with sse.open(site.client, state.path, last="11") as stream:
        state.event("NEXT")
        assert stream.next().id == "12"


def test_a_reader_who_was_overtaken_gets_the_whole_state(site, database):
    """While it was following: the streamer has looked at 1, and then at a state whose changes up to 17 are gone."""
    state = State(database, rules={"changes": 3})
    with sse.open(site.client, state.path) as stream:
        stream.next()
        pid = streamer(site)
        os.kill(pid, signal.SIGSTOP)
        try:
            state.many(20)
        finally:
            os.kill(pid, signal.SIGCONT)
        event = stream.next()
        assert (event.type, event.id) == ("state", "21")
        state.event("NEXT")
        assert stream.next().id == "22"


def test_many_changes_in_quick_order(site, database):
    state = State(database, rules={"changes": 10000, "events": 5})
    writers = [threading.Thread(target=state.many, args=(100,)) for _ in range(4)]
    with sse.open(site.client, state.path) as one, sse.open(site.client, state.path) as two:
        assert one.next().id == two.next().id == "1"
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        state.end()
        for stream in (one, two):
            events = stream.until("end")
            assert [event.id for event in events] == [str(n) for n in range(2, 403)] + ["402/end"]


def test_several_streams_at_different_places(site, database):
    state = State(database)
    state.many(5)
    with sse.open(site.client, state.path, last="2") as one, sse.open(site.client, state.path) as two:
        assert [event.id for event in one.take(4)] == ["3", "4", "5", "6"]
        assert two.next().type == "state"
        state.event("NEXT")
        assert one.next().id == two.next().id == "7"
        two.close()
        state.event("NEXT")
        assert one.next().id == "8"


def test_heartbeats(site, database):
    state = State(database)
    with sse.open(site.client, state.path) as stream:
        stream.next()
        stream.heartbeat()
        stream.heartbeat()
        state.event("NEXT")
        assert stream.next().id == "2"


def test_a_state_that_is_cleaned_away_ends_its_streams(site, database):
    state = State(database)
    with sse.open(site.client, state.path) as stream:
        stream.next()
        state.sql("delete from writ.state where mutation = %s", state.id)
        assert stream.next() is None
    with sse.open(site.client, state.path, last="1") as stream:
        assert stream.status == 404


def test_head(site, database):
    state = State(database)
    answer = site.client.request("HEAD", state.path)
    assert answer.status == 200 and answer.header("content-type") == "text/event-stream" and answer.body == b""


def test_the_client_leaves(site, database):
    state = State(database)
    with contextlib.ExitStack() as stack:
        before = metric(site, "writ_streams_open")
        for _ in range(20):
            stack.enter_context(sse.open(site.client, state.path)).next()
        assert metric(site, "writ_streams_open") == before + 20
    harness.wait_until(lambda: metric(site, "writ_streams_open") <= before, "streams to be closed")


# ---- who may read


def answer_of(site, state, client=None, **options):
    with sse.open(client or site.client, state.path, **options) as stream:
        if stream.status == 200:
            return 200
        problem = json.loads(stream.read())
        assert stream.header("Content-Type") == "application/problem+json" and problem["status"] == stream.status
        assert problem["request_id"] == stream.header("X-Request-Id")
        return problem["code"]


def digest(database, role, user):
    return database.one("select sha256(convert_to(%s, 'utf8') || '\\x00' || convert_to(%s, 'utf8') || '\\x00')",
                        [role, f"user {user}"])


def test_only_its_caller_may_read(site, database):
    state = State(database, caller=digest(database, "customer", "7"))
    assert answer_of(site, state, role="customer", user="7") == 200
    for other in ({}, {"role": "customer"}, {"role": "customer", "user": "8"}, {"role": "admin", "user": "7"}):
        assert answer_of(site, state, **other) == "NOT_FOUND", other
    unknown = State(database)
    unknown.sql("delete from writ.state where mutation = %s", unknown.id)
    assert answer_of(site, unknown, role="customer", user="7") == "NOT_FOUND"


def test_the_inside_may_read_all(site, database):
    state = State(database, caller=digest(database, "customer", "7"))
    assert answer_of(site, state, client=site.inside) == 200


def test_a_client_cannot_say_that_it_is_inside(site, database):
    state = State(database, caller=digest(database, "customer", "7"))
    for name in ("Writ-Inside", "WRIT_INSIDE", "Writ_Inside", "Writ-Role", "Writ-User"):
        assert answer_of(site, state, headers=[(name, "1")]) == "NOT_FOUND", name
    assert answer_of(site, state, headers=[("Writ-Role", "customer"), ("Writ-User", "7")]) == "NOT_FOUND"


def test_without_a_known_caller_the_uuid_is_enough(site, database):
    state = State(database)
    assert answer_of(site, state) == answer_of(site, state, role="customer", user="8") == 200


def test_identity_that_cannot_be_used(site, database):
    state = State(database)
    assert answer_of(site, state, claims="{") == "BAD_REQUEST"
    twice = {"REQUEST_METHOD": "GET", "DOCUMENT_URI": state.path}
    answer = fastcgi.ask(site.writ.stream_socket, [*twice.items(), ("WRIT_ROLE", "a"), ("WRIT_ROLE", "b")])
    assert (answer.status, answer.code) == (500, "INTERNAL")


# ---- requests that are no streams


@pytest.mark.parametrize("path", ["/mutation/x/events", "/mutation//events", "/mutation/%00/events", "/mutation/" + "a" * 36 + "/events",
                                  "/mutation/00000000-0000-0000-0000-00000000000/events", "/x/mutation/y/events",
                                  "/mutation/00000000-0000-0000-0000-00000000000g/events"])
def test_paths_that_lead_nowhere(site, path):
    with sse.open(site.client, path) as stream:
        assert stream.status in (400, 403, 404), stream.status


def test_methods(site, database):
    state = State(database)
    for method in ("POST", "DELETE", "PUT"):
        answer = site.client.request(method, state.path)
        assert (answer.status, answer.code, answer.header("allow")) == (405, "METHOD_NOT_ALLOWED", "GET, HEAD"), method


def test_accept(site, database):
    state = State(database)
    answer = site.client.get(state.path, {"Accept": "application/json"})
    assert (answer.status, answer.code) == (406, "NOT_ACCEPTABLE")
    for accept in ("*/*", "text/*", "text/event-stream;q=0.5, text/html"):
        with sse.open(site.client, state.path, headers=[("Accept", accept)]) as stream:
            assert stream.status == 200, accept


def test_under_a_prefix(database):
    http = harness.SITE.replace("location / {", "location /api/ {\n      set $writ_prefix /api;")
    state = State(database)
    with harness.Site(database, MANIFEST, http=http, streams=STREAMS) as site:
        with sse.open(site.client, "/api" + state.path) as stream:
            assert stream.next().type == "state"
        assert site.client.command.__self__.get("/mutation/x/events").status == 404


# ---- PostgreSQL, writd, the streamer: away and back


def follow_in_background(site, state):
    events = []
    thread = threading.Thread(target=lambda: events.extend(sse.follow(site.client, state.path)), daemon=True)
    thread.start()
    return events, thread


def check_whole(state, events, thread):
    """Every version once, in order: as a change, or as part of a state with which the stream began."""
    thread.join(60 * harness.PATIENCE)
    assert not thread.is_alive(), events[-3:]
    assert events[0].type == "state" and events[-1].type == "end"
    ids = [int(event.id) for event in events if event.type != "end"]
    assert ids == list(range(ids[0], state.version + 1))


def test_kill_9_of_the_streamer(site, database):
    state = State(database)
    events, thread = follow_in_background(site, state)
    for _ in range(5):
        state.many(10)
        harness.wait_until(lambda: streamer(site), "a streamer")
        os.kill(streamer(site), signal.SIGKILL)
        state.many(10)
    state.end()
    check_whole(state, events, thread)


def test_restart_and_reload_of_writd(database):
    state = State(database)
    with harness.Site(database, MANIFEST, streams=STREAMS) as site:
        events, thread = follow_in_background(site, state)
        harness.wait_until(lambda: events, "the first event")
        state.many(10)
        site.writ.restart()
        state.many(10)
        before = streamer(site)
        site.writ.reload()
        harness.wait_until(lambda: streamer(site) not in (None, before), "the new streamer")
        state.many(10)
        site.writ.kill()
        state.many(10)
        with sse.open(site.client, state.path) as stream:  # nobody there: a browser shall come again
            assert (stream.status, stream.header("Content-Type")) == (200, "text/event-stream")
            assert stream.next() is None and stream.retry == 2000
        site.writ.start()
        state.end()
        check_whole(state, events, thread)


def test_restart_of_postgresql():
    """The stream stays open, with heartbeats, and goes on; one that comes meanwhile is told to come again."""
    with harness.Postgres() as postgres:
        database = harness.Database(postgres, "restart")
        state = State(database)
        with harness.Site(database, MANIFEST, streams=STREAMS) as site, sse.open(site.client, state.path) as stream:
            assert stream.next().id == "1"
            postgres.stop()
            stream.heartbeat()
            stream.heartbeat()
            with sse.open(site.client, state.path) as other:
                assert other.status == 200 and other.next() is None and 2000 <= other.retry < 4000
            postgres.start()
            state.many(3)
            assert [event.id for event in stream.take(3)] == ["2", "3", "4"]
            with sse.open(site.client, state.path) as other:
                assert other.next().id == "4"


def test_the_database_hangs(database):
    """Nobody answers, and nobody closes: heartbeats go on."""
    with harness.Proxy(database.postgres) as proxy:
        state = State(database)
        sources = {"default": proxy.conninfo(database.name)}
        with harness.Site(database, MANIFEST, streams=STREAMS, datasources=sources) as site:
            with sse.open(site.client, state.path) as stream:
                assert stream.next().id == "1"
                proxy.ask("stall")
                stream.heartbeat()
                stream.heartbeat()
                proxy.ask("resume")
                state.event("NEXT")
                assert stream.next().id == "2"


# ---- readers that do not read


def peak(pid):
    """kB that it has had at most, since it began."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def rollup(pid, name="Pss"):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


@pytest.mark.plain
def test_a_slow_reader_is_dropped(database):
    """nginx does not read from the streamer what its client does not take. Others are not held up, and memory is bounded."""
    streams = {**STREAMS, "buffer_bytes": 100000, "stuck_s": 2}
    with harness.Site(database, MANIFEST, streams=streams) as site:
        state = State(database, rules={"changes": 10000, "events": 1})
        with sse.open(site.client, state.path) as fast, sse.open(site.client, state.path) as slow:
            fast.next()
            before = peak(streamer(site))
            writer = threading.Thread(target=state.many, args=(600, 10000))
            writer.start()
            assert [event.id for event in fast.take(600)] == [str(n) for n in range(2, 602)]
            writer.join()
            harness.wait_until(lambda: metric(site, "writ_streams_dropped_total") == 1, "the slow one to be dropped")
            assert metric(site, "writ_streams_open") == 1
            assert not harness.is_plain() or peak(streamer(site)) < before + 4000
            seen = []
            while event := slow.next():  # what was under way, and then the end
                seen.append(event)
            assert len(seen) < 600 and seen[0].type == "state"
            assert [int(event.id) for event in seen] == list(range(1, len(seen) + 1))
        assert "end=slow" in site.writ.log()
        with sse.open(site.client, state.path, last=seen[-1].id) as again:
            assert int(again.next().id) == int(seen[-1].id) + 1


def test_a_reader_that_pauses_loses_nothing(database):
    """Behind for a while, but not for too long: what was not sent meanwhile comes when it has read the rest."""
    with harness.Site(database, MANIFEST, streams={**STREAMS, "buffer_bytes": 50000}) as site:
        state = State(database, rules={"changes": 10000, "events": 1})
        with sse.open(site.client, state.path) as stream:
            state.many(300, 10000)
            state.end()
            events = stream.until("end")
        assert [event.id for event in events if event.type == "change"][-1] == "302"
        ids = [int(event.id) for event in events[:-1]]
        assert ids == list(range(ids[0], 303))
        assert metric(site, "writ_streams_dropped_total") == 0


LARGE = 900000


def enlarge(state, table):
    """As if the application's own members were large."""
    member = {"state": "state", "state_change": "change"}[table]
    state.sql(f"update writ.{table} set {member} = {member} || jsonb_build_object('fill', repeat('x', %s)) where mutation = %s",
              LARGE, state.id)


@contextlib.contextmanager
def unread(site, n, path, **parameters):
    """n streams at once that nobody reads, not even nginx. What comes of them is in the streamer's memory or in the sockets."""
    pid = streamer(site)
    with contextlib.ExitStack() as stack:
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(n):
                connection = stack.enter_context(fastcgi.connect(site.writ.stream_socket))
                connection.sendall(fastcgi.request(get(path, **parameters)))
        finally:
            os.kill(pid, signal.SIGCONT)
        yield


@pytest.mark.plain
@pytest.mark.skipif(not harness.is_plain(), reason="memory is measured")
def test_whole_states_that_are_asked_for_at_once(database):
    """There is no more in memory than what readers hold back, one for each."""
    many, state = 40, State(database)
    enlarge(state, "state")
    with harness.Site(database, MANIFEST, streams={**STREAMS, "stuck_s": 600}) as site:
        assert served(site, State(database)) == "state"
        before = peak(streamer(site))
        with unread(site, many, state.path):
            harness.wait_until(lambda: metric(site, "writ_stream_events_total") > many, "the state for each", 60)
            assert served(site, state) == "state"
            assert peak(streamer(site)) < before + (many + 12) * 1024


@pytest.mark.plain
@pytest.mark.skipif(not harness.is_plain(), reason="memory is measured")
def test_large_changes_that_are_asked_for_at_once(database):
    """For who does not read there are only as many in memory as may wait for that; who does gets them all."""
    many, state = 25, State(database, rules={"changes": 1000, "events": 1})
    state.many(many)
    enlarge(state, "state_change")
    with harness.Site(database, MANIFEST, streams={**STREAMS, "stuck_s": 600}) as site:
        assert served(site, State(database)) == "state"
        before = peak(streamer(site))
        with unread(site, 1, state.path, HTTP_LAST_EVENT_ID="1"):
            harness.wait_until(lambda: metric(site, "writ_stream_events_total") > 1, "the first of them", 60)
            with sse.open(site.client, state.path, last="1") as stream:
                assert [event.id for event in stream.take(many)] == [str(n) for n in range(2, many + 2)]
                state.event("NEXT")
                assert stream.next().id == str(many + 2)
        assert peak(streamer(site)) < before + many // 2 * 1024


# ---- hostile ones, at the streamer's own socket


def get(path, **more):
    return {"REQUEST_METHOD": "GET", "DOCUMENT_URI": path, "HTTP_ACCEPT": "text/event-stream", **more}


def served(site, state):
    """What a newcomer gets: "state", or else what it is told."""
    with sse.open(site.client, state.path) as stream:
        event = stream.next() if stream.status == 200 else None
        return event.type if event else f"status {stream.status}, to come again in {stream.retry} ms"


def test_bytes_that_are_no_request(site, database):
    state, pid = State(database), streamer(site)
    ends = [b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n" * 100, fastcgi.record(fastcgi.PARAMS, b"x"), fastcgi.begin(role=2),
            fastcgi.begin(role=3), fastcgi.begin() + fastcgi.begin(), fastcgi.record(fastcgi.BEGIN, b"123"),
            fastcgi.begin() + fastcgi.record(fastcgi.ABORT), fastcgi.begin() + fastcgi.record(9),
            fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"\x05\x7fx"),
            fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"\xff\xff\xff\xff\xff\xff\xff\xffx"),
            fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"\x80"),
            fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs({"WRIT_ROLE": "a\0b"})),
            fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, b"", number=7),
            fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"x" * 200000)]
    for data in ends:
        with fastcgi.connect(site.writ.stream_socket) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            assert fastcgi.read_all(connection) == b"", data[:40]
    assert served(site, state) == "state" and streamer(site) == pid


def test_a_request_in_single_bytes(site, database):
    state, got = State(database), b""
    with fastcgi.connect(site.writ.stream_socket) as connection:
        for byte in fastcgi.request(get(state.path)):
            connection.sendall(bytes([byte]))
        while b"event: state" not in got:  # and it stays open: the answer does not wait for the last bytes, which nobody needs
            part = connection.recv(100000)
            assert part, got
            got += part
    assert b"Status: 200" in got


def test_a_second_request_on_the_same_connection(site, database):
    state = State(database)
    with fastcgi.connect(site.writ.stream_socket) as connection:
        connection.sendall(fastcgi.request(get(state.path)) * 2)
        fastcgi.read_all(connection)  # it is closed
    with fastcgi.connect(site.writ.stream_socket) as connection:  # a body that nobody wants
        connection.sendall(fastcgi.head(get(state.path)) + fastcgi.stream(fastcgi.STDIN, b"x" * 3000000, end=False))
        assert b"event: state" in connection.recv(100000)
    assert served(site, state) == "state"


def test_huge_headers(site, database):
    state = State(database)
    with sse.open(site.client, state.path, last="9" * 7000, headers=[("X-Big", "x" * 7000)] * 2) as stream:
        assert stream.next().type == "state"
    answer = site.client.get(state.path, [("X-Big", "x" * 9000)])
    assert answer.status in (400, 431)  # nginx's own
    assert served(site, state) == "state"


def test_random_bytes(site, database):
    import random
    chance = random.Random(1)
    state, pid = State(database), streamer(site)
    whole = fastcgi.request(get(state.path))
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with fastcgi.connect(site.writ.stream_socket) as connection:
            connection.settimeout(0.02)
            connection.sendall(bytes(data))
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                connection.recv(65536)
    assert served(site, state) == "state" and streamer(site) == pid


def half_open(site, stack, n):
    for _ in range(n):
        connection = stack.enter_context(harness.socket.socket(harness.socket.AF_UNIX))
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # the queue of those that wait is full
            connection.connect(str(site.writ.stream_socket))
            connection.send(fastcgi.begin())


def test_ten_thousand_half_open(database):
    """More than there is room for: those that say nothing are sent away, those that are open stay, and new ones get in."""
    with harness.Site(database, MANIFEST, streams={**STREAMS, "most": 500}) as site:
        state, pid = State(database), streamer(site)

        def a_newcomer_is_served():
            told = []  # it may be told to come again: the streamer has not seen yet that there is room, or has not made it
            harness.wait_until(lambda: told.append(served(site, state)) or told[-1] == "state", told, 60 * harness.PATIENCE)

        with database.connect() as early, sse.open(site.client, state.path) as stream:
            assert stream.next().id == "1"
            with contextlib.ExitStack() as stack:
                half_open(site, stack, 10000)
                state.event("NEXT", through=early)
                assert stream.next().id == "2"
            a_newcomer_is_served()
            with contextlib.ExitStack() as stack:
                half_open(site, stack, 700)
                a_newcomer_is_served()
            state.event("NEXT", through=early)
            assert stream.next().id == "3"
        assert streamer(site) == pid


def test_more_streams_than_there_is_room_for(database):
    with harness.Site(database, MANIFEST, streams={**STREAMS, "most": 3}) as site:
        state = State(database)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                assert stack.enter_context(sse.open(site.client, state.path)).next().id == "1"
            with sse.open(site.client, state.path) as stream:
                assert stream.status == 200 and stream.next() is None and 2000 <= stream.retry < 4000
            assert metric(site, "writ_streams_later_total") == 1
        harness.wait_until(lambda: metric(site, "writ_streams_open") == 0, "room")
        assert served(site, state) == "state"


# ---- many

MANY = 5000
IDLE_KB = 40


@pytest.mark.plain
@pytest.mark.skipif(not harness.is_plain(), reason="memory is measured")
def test_five_thousand_idle_streams(database):
    """Each through nginx, as it would be: less than 40 kB of the streamer's memory for each, and all of them are served."""
    main = "worker_rlimit_nofile 16384;"
    with harness.Site(database, MANIFEST, main=main, connections=12288,
                      streams={**STREAMS, "most": MANY + 100, "poll_ms": 1000, "heartbeat_s": 5}) as site:
        states = [State(database) for _ in range(50)]
        with sse.open(site.client, states[0].path) as stream:  # what is there once is there
            stream.next()
        before = rollup(streamer(site))
        with database.connect() as early, contextlib.ExitStack() as stack:
            streams = [stack.enter_context(sse.open(site.client, states[i % 50].path)) for i in range(MANY)]
            for stream in streams:
                assert stream.next().id == "1"
            assert metric(site, "writ_streams_open") == MANY
            for stream in streams[::500]:
                stream.heartbeat()
            each = (rollup(streamer(site)) - before) / MANY
            print(f"{each:.2f} kB for each of {MANY} streams")
            assert each < IDLE_KB
            for state in states:
                state.event("NEXT", through=early)
            for stream in streams:
                assert stream.next().id == "2"


# ---- recipes: a stream is identified as any other request

RECIPES = """
  map $http_x_api_key $writ_key_role { default ""; secret customer; }
  map $http_x_api_key $writ_key_user { default ""; secret 7; }
  map $http_origin $writ_allowed_origin { default ""; "https://app.example.org" $http_origin; }
  server {
    listen unix:FOLDER/auth.sock;
    location / { add_header Writ-Role customer; add_header Writ-User $cookie_session; return 204; }
  }
  server {
    listen unix:FOLDER/http.sock;
    gzip on;
    gzip_types text/event-stream;
    gzip_proxied any;
    include writ/problems.conf;
    location = /writ-auth { internal; proxy_pass http://unix:FOLDER/auth.sock; }
    location /key/ { set $writ_prefix /key; include writ/cors.conf; include writ/api-key.conf; include writ/writ.conf; }
    location /cookie/ { set $writ_prefix /cookie; include writ/cors.conf; include writ/auth-request.conf; include writ/writ.conf; }
    location / { include writ/writ.conf; }
  }
  server { listen unix:FOLDER/inside-http.sock; include writ/inside.conf; }
"""


def test_identity_comes_from_the_recipe(database):
    state = State(database, caller=digest(database, "customer", "7"))
    with harness.Site(database, MANIFEST, http=RECIPES, streams=STREAMS) as site:
        def status(path, **headers):
            pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
            with sse.open(site.client, path + state.path, headers=pairs) as stream:
                assert stream.header("Content-Encoding") is None
                return stream.status, stream.header("Access-Control-Allow-Origin")

        origin = "https://app.example.org"
        assert status("/key", X_Api_Key="secret", Origin=origin, Accept_Encoding="gzip") == (200, origin)
        assert status("/cookie", Cookie="session=7", Origin=origin, Accept_Encoding="gzip") == (200, origin)
        assert status("/cookie", Cookie="session=8") == (404, None)
        assert status("/key") == status("") == (404, None)
        assert status("/key", X_Api_Key="wrong")[0] == 401
        site.writ.stop()
        assert status("/key", X_Api_Key="secret", Origin=origin) == (200, origin)  # come again
        assert status("/key", X_Api_Key="wrong")[0] == 401
        site.writ.start()
