"""A client of server-sent events (HTML standard, section 9.2): reads one stream, says exactly what it was sent.

    with sse.open(site.client, f"/mutation/{uuid}/events", role="admin") as stream:
        event = stream.next()                       # an Event; None: the stream has ended
        events = stream.until("end")                # all of them up to one of that type
"""

import collections
import http.client
import json
import socket
import time

import harness


class Event(collections.namedtuple("Event", "id type data")):
    """id: the last id that was sent, this event's or of one before."""

    @property
    def json(self):
        return json.loads(self.data)


class Ended(Exception):
    pass


class Stream:
    """An open answer. status and headers as of harness.Answer; retry in milliseconds; comments: how many there were."""

    def __init__(self, connection, request):
        self.connection = connection
        connection.sendall(request)
        self.response = http.client.HTTPResponse(connection)
        self.response.begin()
        self.status = self.response.status
        self.retry, self.comments, self.last_id = None, 0, ""

    def header(self, name):
        return self.response.getheader(name)

    def read(self):
        """All there is, of an answer that is no stream."""
        return self.response.read()

    def next(self, timeout=20):
        """The next event; None: the end."""
        deadline = time.monotonic() + timeout * harness.PATIENCE
        kind, data = "", []
        while True:
            assert time.monotonic() < deadline, f"no event within {timeout} s, {self.comments} heartbeats"
            self.connection.settimeout(timeout * harness.PATIENCE)
            try:
                line = self.response.readline()
            except http.client.IncompleteRead:  # cut off
                return None
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if not line:
                if data:
                    return Event(self.last_id, kind or "message", "\n".join(data))
                kind = ""
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "":
                self.comments += 1
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last_id = value
            elif name == "retry":
                self.retry = int(value)

    def take(self, n):
        events = [self.next() for _ in range(n)]
        assert all(events), events
        return events

    def until(self, kind):
        events = []
        while not events or events[-1].type != kind:
            event = self.next()
            assert event, events
            events.append(event)
        return events

    def heartbeat(self, timeout=20):
        """Reads until another heartbeat has come; events between are lost."""
        before, deadline = self.comments, time.monotonic() + timeout * harness.PATIENCE
        while self.comments == before:
            assert time.monotonic() < deadline, "no heartbeat"
            line = self.response.readline()
            assert line, "it ended"
            self.comments += line.startswith(b":")

    def close(self):
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open(client, path, last=None, headers=(), role=None, user=None, claims=None, method="GET", timeout=30):
    """client: a harness.Client. last: the Last-Event-ID."""
    connection = client.connect()
    connection.settimeout(timeout * harness.PATIENCE)
    pairs = [("Accept", "text/event-stream"), *headers]
    told = (("Role", role), ("User", user), ("Claims", claims))
    pairs += [(f"{client.prefix}-{name}", value) for name, value in told if value is not None]
    if last is not None:
        pairs.append(("Last-Event-ID", last))
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"] + [f"{name}: {value}" for name, value in pairs]
    return Stream(connection, "\r\n".join(lines).encode() + b"\r\n\r\n")


def follow(client, path, last=None, **options):
    """As a browser does: connects again, with the last id, until the answer is 204. Gives events; the timeouts are the stream's."""
    while True:
        try:
            stream = open(client, path, last, **options)
        except (ConnectionError, FileNotFoundError, http.client.HTTPException, socket.timeout):
            time.sleep(0.05)  # nginx itself is away
            continue
        with stream:
            if stream.status == 204:
                return
            assert stream.status == 200, (stream.status, stream.read())
            while True:
                try:
                    event = stream.next()
                except ConnectionError:
                    break
                if event is None:
                    break
                last = event.id
                yield event
        last = stream.last_id or last
        time.sleep(0.05)
