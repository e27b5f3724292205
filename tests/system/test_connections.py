"""Connections: many at once, idle ones, and ones that nobody closes. No request waits for another's idle connection.

The time limits here only tell a request that waits for ever from one that does not; how long requests take is for bench/."""

import os
import time

import pytest

import fastcgi
import harness
from crowd import Later, at_once

SCHEMA = """
create table visit (id bigint generated always as identity primary key, number integer not null unique);
grant select, insert on visit to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  visit: { allow: [anonymous], sql: insert into visit (number) values (:number) returning number, returns: one }
  pause: { allow: [anonymous], sql: "select pg_sleep(:seconds)::text as slept", args: { seconds: float8 }, returns: none }
"""

# As an operator might write it who wants kept connections at any price.
KEEPS = """
  upstream kept { server unix:BORDER; keepalive 16; }
  server {
    listen unix:FOLDER/http.sock;
    include writ/problems.conf;
    location / { include writ/errors.conf; include writ/params.conf; fastcgi_pass kept; }
  }
"""

HANG = 8  # seconds: nginx and writ themselves give up after 10 and more


class KeepingNginx(harness.Nginx):
    def __init__(self, border_socket):
        super().__init__(KEEPS.replace("BORDER", str(border_socket)), border_socket)
        assert "fastcgi_keep_conn on;" in (self.folder / "writ" / "params.conf").read_text()


def test_256_connections_at_once_against_8_workers(database):
    with harness.Site(database, MANIFEST, workers=8) as site:
        calls = [lambda number=number: site.client.command("visit", {"number": number}) for number in range(256)]
        answers = at_once(calls)
        assert [answer.status for answer in answers] == [200] * 256
        assert [answer.result for answer in answers] == [{"number": number} for number in range(256)]
        assert database.one("select count(*) from visit where number < 256") == 256
        assert len(site.writ.workers()) == 9
        assert "worker-end" not in site.writ.log()


def test_256_connections_at_once_to_the_socket_itself(database):
    """The backlog takes them all: none is refused, whoever connects."""
    with harness.Site(database, MANIFEST, workers=8) as site:
        def call(number):
            body = b'{"number": %d}' % number
            return fastcgi.ask(site.writ.border_socket, fastcgi.post("/command/visit", body), body, 60)

        answers = at_once([lambda number=number: call(number) for number in range(1000, 1256)])
        assert [answer.status for answer in answers] == [200] * 256


@pytest.fixture
def one_worker(database):
    with harness.Site(database, MANIFEST, workers=1) as site:
        yield site


def answered(client, number):
    """A request that must not be held up by anybody."""
    begun = time.monotonic()
    answer = Later(client.command, "visit", {"number": number}).get(HANG)
    assert answer.status == 200, answer
    return time.monotonic() - begun


def keep_alive(client, number):
    """A connection of HTTP/1.1 with one request answered on it, and left open."""
    connection = client.connect()
    body = b'{"number": %d}' % number
    connection.sendall(b"POST /command/visit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    answer = b""
    while b'{"number":%d}}' % number not in answer:
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
    return connection


@pytest.mark.parametrize("keeping", [False, True], ids=["as shipped", "told to keep connections"])
def test_two_nginx_in_front_of_one_worker(database, one_worker, keeping):
    """One worker serves one connection at a time: an nginx that kept its own would starve the other."""
    first = KeepingNginx(one_worker.writ.border_socket) if keeping else harness.Nginx(
        harness.SITE, one_worker.writ.border_socket, one_worker.writ.inside_socket)
    base = 2000 + 100 * keeping
    with first:
        client = harness.Client(first.socket)
        with keep_alive(client, base):  # and now this nginx is idle, its client's connection open
            for number in range(base + 1, base + 20, 2):
                answered(one_worker.client, number)
                answered(client, number + 1)
        pid = first.pid
        assert harness.process_state(pid) not in ("Z", None)
    assert database.one("select count(*) from visit where number between %s and %s", (base, base + 20)) == 21


def test_a_connection_that_says_nothing(one_worker):
    """Whoever may connect is trusted, but may be ill: a silent peer holds a worker for a moment only."""
    with fastcgi.connect(one_worker.writ.border_socket):
        answered(one_worker.client, 3000)
    with fastcgi.connect(one_worker.writ.border_socket) as connection:
        connection.sendall(fastcgi.begin() + b"\x01")  # and stops in the middle of a record
        answered(one_worker.client, 3001)


def test_connections_that_come_and_go(one_worker):
    """Connections without a request cost nothing that lasts."""
    (worker,) = [pid for pid in one_worker.writ.workers() if comm(pid) == "writd border"]
    answered(one_worker.client, 3100)
    before = open_files(worker)
    for _ in range(50):
        fastcgi.connect(one_worker.writ.border_socket).close()
    answered(one_worker.client, 3101)
    assert open_files(worker) == before
    assert "worker-end" not in one_worker.writ.log()


def test_a_worker_in_a_long_request_does_not_hold_the_others(database):
    with harness.Site(database, MANIFEST, workers=2) as site:
        long = Later(site.client.command, "pause", {"seconds": 2})
        harness.wait_until(lambda: database.one(
            "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"), "sleep")
        for number in range(3200, 3220):
            answered(site.client, number)
        assert long.get().status == 200


def comm(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
