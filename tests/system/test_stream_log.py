"""GET /events as a stream, with the real log; and streams that hear of changes by the streamer's pipe alone."""

import contextlib
import http.client
import json
import os
import threading
import uuid

import pytest

import harness
import sse

SCHEMA = "create table note (text text); grant select, insert on note to writ;"

MANIFEST = """
specVersion: 1
event_log: { readers: [auditor] }
commands:
  note:
    allow: [anonymous]
    sql: "insert into note (text) values (:text) returning text"
    returns: one
    events: [{ name: noted, key: $args.text, payload: { text: $args.text } }]
  forget:
    allow: [anonymous]
    sql: "select :text::text as text"
    returns: one
    events: [{ name: forgotten, key: $args.text }]
  refuse: { allow: [anonymous], check: "select false" }
"""

# Nobody looks by itself within the time of a test: what comes was told of.
TOLD_ONLY = {"most": 200, "poll_ms": 3600000, "heartbeat_s": 1}


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, streams=TOLD_ONLY, runners=1) as site:
        yield site


@pytest.fixture(autouse=True)
def empty_log(database):
    database.execute("truncate writ.event, writ.event_new; update writ.event_tail set position = 0")


def note(site, text, command="note"):
    assert site.client.command(command, {"text": text}).status == 200


def texts(events):
    return [event.json["key"] for event in events]


def test_events_as_they_are_committed(site):
    with sse.open(site.client, "/events", role="auditor") as stream:
        assert stream.status == 200 and stream.header("Content-Type") == "text/event-stream"
        note(site, "a")
        event = stream.next()
        assert (event.id, event.type) == ("1", "message")
        assert event.json["name"] == "noted" and event.json["payload"] == {"text": "a"} and event.json["position"] == 1
        refused = site.client.set(("note", {"text": "never"}), ("refuse", {}))
        assert refused.status == 422
        note(site, "b")
        assert texts([stream.next()]) == ["b"]
    page = site.client.get("/events", {"Test-Role": "auditor"})
    assert page.header("content-type") == "application/json"
    assert page.json["events"][0] == event.json  # the same, as a page


def test_resume_by_last_event_id_and_after(site):
    for i in range(250):
        note(site, str(i))
    harness.wait_until(lambda: site.database.one("select count(*) from writ.event") == 250, "positions")
    with sse.open(site.client, "/events", role="auditor") as stream:  # several pages
        assert texts(stream.take(250)) == [str(i) for i in range(250)]
    with sse.open(site.client, "/events?after=100", role="auditor") as stream:
        assert stream.next().id == "101"
    with sse.open(site.client, "/events?after=100", last="240", role="auditor") as stream:
        assert [event.id for event in stream.take(10)] == [str(n) for n in range(241, 251)]
        note(site, "new")
        assert stream.next().id == "251"


def test_events_that_were_erased_are_passed_over(site):
    for i in range(60):
        note(site, str(i))
    harness.wait_until(lambda: site.database.one("select count(*) from writ.event") == 60, "positions")
    site.database.execute("delete from writ.event where position in (2, 59) or position between 5 and 50")
    with sse.open(site.client, "/events", role="auditor") as stream:
        assert [event.id for event in stream.take(12)] == [str(n) for n in (1, 3, 4, *range(51, 59), 60)]
        note(site, "new")
        assert stream.next().id == "61"


def test_filters(site):
    for text in ("a", "b", "a"):
        note(site, text)
        note(site, text, command="forget")
    with sse.open(site.client, "/events?name=forgotten", role="auditor") as stream:
        assert [event.id for event in stream.take(3)] == ["2", "4", "6"]
        note(site, "c")
        note(site, "c", command="forget")
        assert stream.next().id == "8"
    with sse.open(site.client, "/events?key=a", role="auditor") as stream:
        assert [event.id for event in stream.take(4)] == ["1", "2", "5", "6"]
    with sse.open(site.client, "/events?key=a&name=noted&after=1", role="auditor") as stream:
        assert stream.next().id == "5"
    with sse.open(site.client, "/events?name=none", role="auditor") as stream:  # its id goes on all the same
        stream.heartbeat()
        while stream.last_id != "8":
            assert stream.response.readline() or pytest.fail("it ended")
            line = stream.response.readline().decode()
            if line.startswith("id: "):
                stream.last_id = line[4:].strip()


def test_who_may_read(site, database):
    def code(**options):
        with sse.open(options.pop("client", site.client), "/events", **options) as stream:
            return 200 if stream.status == 200 else json.loads(stream.read())["code"]

    assert code() == code(last="x") == "UNAUTHENTICATED"
    assert code(role="customer") == code(role="customer", last="x") == "FORBIDDEN"  # ahead of what is asked for
    assert code(role="auditor") == code(client=site.inside) == 200


def test_positions_that_are_not_there(site, database):
    def code(query, last=None):
        with sse.open(site.client, "/events" + query, last=last, role="auditor") as stream:
            return 200 if stream.status == 200 else json.loads(stream.read())["code"]

    note(site, "a")
    harness.wait_until(lambda: database.one("select count(*) from writ.event") == 1, "a position")
    assert code("?after=7") == code("", last="7") == "EVENTS_AHEAD"
    assert code("?after=x") == code("", last="x") == code("?what=1") == code("?name=%zz") == code("", last="1/end") == "BAD_REQUEST"
    database.execute("delete from writ.event; update writ.event_tail set position = 1")
    assert code("?after=0") == "EVENTS_GONE" and code("?after=1") == 200


def test_every_event_once_through_kills(site, database):
    import signal
    from test_stream import streamer

    seen = []

    def follow():
        for event in sse.follow(site.client, "/events", role="auditor"):
            seen.append(event)
            if event.json["key"] == "last":
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for i in range(60):
        note(site, str(i))
        if i % 20 == 10:
            harness.wait_until(lambda: streamer(site), "a streamer")
            os.kill(streamer(site), signal.SIGKILL)
    note(site, "last")
    thread.join(60 * harness.PATIENCE)
    assert not thread.is_alive() and texts(seen) == [str(i) for i in range(60)] + ["last"]


def test_a_reader_of_the_log_that_pauses(database):
    """It is not sent more than it reads, and loses nothing."""
    with harness.Site(database, MANIFEST, streams={**TOLD_ONLY, "buffer_bytes": 20000}, runners=1) as site:
        big = "x" * 5000
        for i in range(300):
            note(site, f"{i} {big}")
        with sse.open(site.client, "/events", role="auditor") as stream:
            assert [int(event.id) for event in stream.take(300)] == list(range(1, 301))


def fill(database, n, payload="'{}'::jsonb"):
    """Events with positions, behind those that there are; nobody is told."""
    database.execute(f"""insert into writ.event (position, seq, name, key, payload, at, command, role, mutation)
        select i + (select coalesce(max(position), 0) from writ.event), i, 'noted', 'k' || i, {payload}, now(), 'note', 'x', gen_random_uuid()
        from generate_series(1, {n}) i""")


def test_a_long_key_is_asked_for_as_it_stands_in_the_log(site):
    key = "k" * 300
    note(site, key)
    with sse.open(site.client, f"/events?key={key}", role="auditor") as stream:
        assert stream.next().json["payload"] == {"text": key}
    with sse.open(site.client, f"/events?key={key}&name=noted", role="auditor") as stream:
        assert stream.next().id == "1"


@pytest.mark.plain
def test_large_events_are_not_held_by_the_hundred(database):
    """docs/limits.md: what a stream holds for a reader is streams.buffer_bytes and an event."""
    from test_stream import peak, streamer

    with harness.Site(database, MANIFEST, streams={**TOLD_ONLY, "buffer_bytes": 20000}, runners=1) as site:
        fill(database, 120, "to_jsonb(repeat('x', 500000))")
        with sse.open(site.client, "/events?after=120", role="auditor") as quiet:
            quiet.heartbeat()
            before = peak(streamer(site))
        with sse.open(site.client, "/events", role="auditor") as stream:
            assert [int(event.id) for event in stream.take(120)] == list(range(1, 121))
        assert not harness.is_plain() or peak(streamer(site)) < before + 40000, "kB: a hundred of them would be 50 MB"


@pytest.mark.plain
def test_large_events_for_many_readers_at_once(database):
    """There is no more in memory than what readers hold back, one event for each, and each comes to it."""
    from test_stream import LARGE, metric, peak, streamer, unread

    many = 40
    with harness.Site(database, MANIFEST, streams={**TOLD_ONLY, "stuck_s": 600}, runners=1) as site:
        fill(database, 1)
        with sse.open(site.client, "/events", role="auditor") as stream:
            assert stream.next().id == "1"
        fill(database, 2, f"to_jsonb(repeat('x', {LARGE}))")
        before = peak(streamer(site))
        with unread(site, many, "/events", HTTP_LAST_EVENT_ID="1", WRIT_ROLE="auditor"):
            harness.wait_until(lambda: metric(site, "writ_stream_events_total") > many, "an event for each", 60)
            assert not harness.is_plain() or peak(streamer(site)) < before + (many + 16) * 1024


def test_each_reader_has_its_turn(database):
    """Many that begin at the beginning do not keep one from its event who has been there before them."""
    from test_stream import metric, streamer

    def files():
        return len(os.listdir(f"/proc/{streamer(site)}/fd"))

    def drain():
        with contextlib.suppress(OSError, http.client.HTTPException), sse.open(site.client, "/events", role="auditor") as stream:
            while not over.is_set() and stream.response.read1(65536):
                pass

    over = threading.Event()
    with harness.Site(database, MANIFEST, streams={**TOLD_ONLY, "most": 500, "poll_ms": 50}, runners=1) as site:
        fill(database, 300)  # which nginx takes off the streamer, whoever reads
        with sse.open(site.client, "/events?after=300", role="auditor") as early, database.connect(autocommit=False) as holder:
            early.heartbeat()
            before = files()
            holder.execute("lock writ.event_tail")  # no question is answered until this is over
            threads = [threading.Thread(target=drain, daemon=True) for _ in range(400)]
            for thread in threads:
                thread.start()
            harness.wait_until(lambda: files() >= before + 400, "all to be there")
            fill(database, 1)
            holder.commit()
            assert early.next().id == "301"
            sent = metric(site, "writ_stream_events_total")
            over.set()
    assert sent < 400 * 301 / 2, "most of them have got all of theirs ahead of it"


def test_a_request_with_a_mutation_id_can_be_followed(site):
    mutation = str(uuid.uuid4())
    answer = site.client.command("note", {"text": "told"}, headers={"Mutation-Id": mutation})
    assert answer.status == 200, answer
    with sse.open(site.client, f"/mutation/{mutation}/events") as stream:
        assert stream.until("end")[-1].json == {"status": "complete"}


def test_a_mutation_in_the_background_is_followed(database):
    with harness.Site(database, MANIFEST, streams=TOLD_ONLY, runners=1, background_runners=1) as site:
        with database.connect(autocommit=False) as connection:
            connection.execute("lock table note in access exclusive mode")  # its step has to wait
            commands = [{"command": "note", "args": {"text": str(i)}} for i in range(3)]
            answer = site.client.post("/command/execute_command_set", {"commands": commands, "on_complete": []},
                                      {"Prefer": "respond-async"})
            assert answer.status == 202, answer
            with sse.open(site.client, answer.header("location") + "/events") as stream:
                assert stream.next().type == "state"
                connection.rollback()
                events = stream.until("end")
        ids = [int(event.id) for event in events[:-1]]
        assert ids == list(range(ids[0], ids[0] + len(ids))) and events[-1].json == {"status": "complete"}
        names = [event.json["event"]["name"] for event in events[:-1]]
        assert names[-1] == "MUTATION_COMPLETED" and names.count("TRANSACTION_COMPLETED") >= 2
