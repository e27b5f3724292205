"""Requests made of chance: never an undocumented answer, never a crash, never a hang.

Each run has a seed of its own, which is printed where a test fails; WRIT_SEED=N repeats a run, WRIT_ROUNDS=N makes it
longer."""

import json
import os
import random
import re
import socket
import struct

import pytest

import fastcgi
import harness
from crowd import Crowd

SEED = int(os.environ.get("WRIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
ROUNDS = int(os.environ.get("WRIT_ROUNDS", "1000")) // (5 if harness.VALGRIND else 1)

SCHEMA = """
create table thing (
  id bigint generated always as identity primary key, number integer, text text, extra jsonb, list integer[]);
grant select, insert on thing to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add_thing:
    allow: [anonymous]
    sql: insert into thing (number, text, extra, list) values (:number, :text, :extra, :list) returning id, text, extra
    args: { number: { type: integer, default: 1 }, text: text, extra: { type: jsonb, default: null },
            list: { type: "integer[]", default: null } }
    returns: one
  is_positive: { allow: [anonymous], check: ":number > 0", args: { number: integer } }
  both:
    allow: [anonymous]
    args: { number: integer, text: text }
    commands:
      - is_positive: { number: $args.number }
      - add_thing: { number: $args.number, text: $args.text }
        as: thing
    result: $thing
"""

GOOD = {"commands": [
    {"command": "add_thing", "as": "first", "args": {"text": "héllo \"w\"", "number": 12, "extra": {"a": [1.10, None, True]}}},
    {"command": "is_positive", "args": {"number": 3}},
    {"command": "both", "args": {"number": 4, "text": {"$ref": "first.text"}}}], "isolation": "serializable"}
PATHS = ["/command/add_thing", "/command/both", "/command/transactional_command_set", "/command/execute_command_set",
         "/command/is_positive", "/healthz", "/metrics", "/command/", "/"]

# docs/protocol.md: which codes may stand behind these. Nobody here is slow, and the database is there.
MAY_BE_5XX = {501: {"NOT_IMPLEMENTED"}}
HUNG_UP = {501: {"NOT_IMPLEMENTED"}, 504: {"TIMEOUT"}}  # where the client has closed its half of the connection


@pytest.fixture(scope="module")
def site(database):
    # What fails before nginx has chosen a location needs errors.conf in the server too: nginx-conf/errors.conf says so.
    http = harness.SITE.replace("include writ/problems.conf;", "include writ/problems.conf; include writ/errors.conf;")
    with harness.Site(database, MANIFEST, http=http, workers=2, timeout_ms=5000) as site:
        yield site


@pytest.fixture
def chance(request, site):
    """A generator of its own for each test, and a look at the site before and after."""
    print(f"WRIT_SEED={SEED}")
    harness.wait_until(lambda: len(site.writ.workers()) == 3, "three workers", 15)
    before = sorted(site.writ.workers())
    mark = site.writ.log_mark()
    yield random.Random(f"{SEED} {request.node.name}")
    for _ in range(4):
        answer = site.client.command("add_thing", {"text": "still well"})
        assert answer.status == 200, answer
    log = site.writ.log_since(mark)
    ends = [line for line in log.splitlines() if " worker-end " in line]
    if ends:  # only what too_long_for_libfcgi has not recognised, which is rare
        assert len(ends) == log.count("Malloc: Assertion `size == 0"), ends
    else:
        assert sorted(site.writ.workers()) == before
    for line in log.rstrip("\n").split("\n"):
        text = line.startswith("writd: fcgiapp.c:") or re.match(r"20\d\d-\d\d-\d\dT[^\x00-\x1f\x7f]*$", line)
        assert text, f"not one line of text for an event: {line!r}"


def judge(answer, what, may_be=MAY_BE_5XX):
    """None (the connection was closed) is fine where no request could be read."""
    if answer is None:
        return
    assert 100 <= answer.status <= 599, (answer, what)
    if answer.status >= 500:
        assert answer.code in may_be.get(answer.status, ()), (answer, what)
    elif answer.status >= 400:
        assert answer.code
    elif answer.header("content-type") == "application/json":
        assert answer.json


def mutate(chance, data):
    """Some bytes of data changed, lost, doubled or added."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at:at + 1] = chance.randbytes(1)
        elif kind == 1:
            del data[at:at + chance.choice([1, 1, 2, 10, 1000])]
        elif kind == 2:
            data[at:at] = data[at:at + chance.choice([1, 2, 20])]
        elif kind == 3:
            data[at:at] = chance.choice([b"\x00", b"\xff", b'"', b"{", b"]", b"\\u0000", b"\\ud800", b"1e400", b"-0", b"\xc0\x80",
                                         b"$ref", b"null", b",", b"[" * 70, b"9" * 400])
        else:
            del data[at:]
    return bytes(data)


def tokens(chance):
    """JSON that is well-formed, and means anything."""
    def value(depth):
        kind = chance.randrange(9 if depth < 5 else 6)
        if kind == 0:
            return chance.choice([None, True, False])
        if kind == 1:
            return chance.choice([0, -1, 1 << 31, 1 << 70, 1.5, 1e300, -0.0])
        if kind in (2, 3):
            return chance.choice(["", "first.id", "first", "add_thing", "user", "\U0001f600", "a" * 300, "\x01", "serializable"])
        if kind in (4, 5):
            return {"$ref": chance.choice(["first.id", "first", "first.extra.a.0", "later", "", ".", "first..x", "first.0"])}
        if kind == 6:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        names = ["commands", "command", "args", "as", "isolation", "on_complete", "$ref", "$literal", "text", "number", "extra",
                 "list", ""]
        return {name: value(depth + 1) for name in chance.sample(names, chance.randrange(5))}

    body = json.loads(json.dumps(GOOD)) if chance.random() < 0.7 else value(0)
    if isinstance(body, dict) and "commands" in body and isinstance(body["commands"], list) and body["commands"]:
        place = chance.choice(body["commands"])
        if isinstance(place, dict):
            place[chance.choice(["command", "args", "as", "more"])] = value(1)
            if isinstance(place.get("args"), dict):
                place["args"][chance.choice(["text", "number", "extra", "list"])] = value(1)
    return json.dumps(body).encode()


def name_of(chance):
    return chance.choice(["REQUEST_METHOD", "DOCUMENT_URI", "CONTENT_TYPE", "CONTENT_LENGTH", "QUERY_STRING", "WRIT_USER",
                          "WRIT_ROLE", "WRIT_CLAIMS", "HTTP_PREFER", "HTTP_ACCEPT", "HTTP_TRACEPARENT", "HTTP_X_REQUEST_ID",
                          "HTTP_IDEMPOTENCY_KEY", "WRIT_PREFIX", "X" * 200, ""])


# ---- through nginx


def test_bytes_to_nginx(site, chance):
    """What is no HTTP at all, and what was HTTP before some of its bytes were changed."""
    body = json.dumps(GOOD).encode()
    good = (b"POST /command/transactional_command_set HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nPrefer: tx=rollback\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    for _ in range(ROUNDS):
        data = chance.randbytes(chance.randrange(1, 500)) if chance.random() < 0.3 else mutate(chance, good)
        with site.client.connect() as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = fastcgi.read_all(connection)
        if answer.startswith(b"HTTP/"):
            status = int(answer.split()[1])
            assert status < 500 or status in (501, 505), (answer, data)  # 505: HTTP/7.1


def test_bodies_and_headers_through_nginx(site, chance):
    body = json.dumps(GOOD).encode()
    for _ in range(ROUNDS):
        kind = chance.randrange(4)
        data = [lambda: chance.randbytes(chance.randrange(200)), lambda: mutate(chance, body), lambda: tokens(chance),
                lambda: tokens(chance)][kind]()
        path = chance.choice(PATHS)
        if chance.random() < 0.2:
            path += "".join(f"%{byte:02X}" for byte in chance.randbytes(chance.randrange(1, 20)))
        headers = [("Content-Type", "application/json")]
        if chance.random() < 0.3:
            text = "".join(chr(chance.choice([*range(32, 127), *range(160, 255)])) for _ in range(chance.randrange(60)))
            headers.append((chance.choice(["Prefer", "Accept", "X-Request-Id", "traceparent", "Test-Role", "Test-User",
                                           "Test-Claims", "Idempotency-Key", "Content-Type", "Mutation-Id"]), text))
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        request = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data
        answer = site.client.raw(request)
        judge(answer, request)


def test_parameters_through_nginx(site, chance):
    """Every byte of role, user and claims, as far as a header can carry it."""
    for _ in range(ROUNDS // 2):
        value = bytes(byte for byte in chance.randbytes(chance.randrange(60)) if byte not in b"\r\n\0")
        header = chance.choice([b"Test-Role", b"Test-User", b"Test-Claims"])
        answer = site.client.raw(
            b"POST /command/is_positive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: %s\r\n"
            b'Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"number": 1}' % (header, value))
        judge(answer, (header, value))


# ---- to the FastCGI sockets


def speak(path, data):
    with fastcgi.connect(path) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has hung up already
        return fastcgi.read_all(connection)


def too_long_for_libfcgi(data):
    """A name and a value whose lengths overflow an int when added up: libfcgi ends the process then (see the last test)."""
    pieces, at = [], 0
    while at + 8 <= len(data):
        _, kind, number, size, padding, _ = struct.unpack_from(">BBHHBB", data, at)
        if number == 0 or kind == fastcgi.PARAMS:  # management records have pairs too, and some of them run on
            pieces.append((number, data[at + 8:at + 8 + size]))
        at += 8 + size + padding
    return any(has_long_pair(b"".join(piece for number, piece in pieces[first:] if number in numbers))
               for first in range(len(pieces)) for numbers in ({number for number, _ in pieces}, {pieces[first][0]}))


def has_long_pair(params):
    at = 0
    while at < len(params):
        pair = 0
        for _ in range(2):
            wide = at < len(params) and params[at] >= 128
            pair += int.from_bytes(params[at:at + 4], "big") & 0x7fffffff if wide else (params[at:at + 1] or b"\0")[0]
            at += 4 if wide else 1
        if pair + 2 > 0x7fffffff:
            return True
        at += pair
    return False


def both(site, chance):
    return chance.choice([site.writ.border_socket, site.writ.inside_socket])


def test_bytes_to_the_socket(site, chance):
    """What is no FastCGI: answered or not, it must end."""
    for _ in range(ROUNDS):
        speak(both(site, chance), chance.randbytes(chance.choice([1, 7, 8, 9, 100, 3000])))


def test_records_to_the_socket(site, chance):
    """Records with right heads and random types, ids, roles, lengths, contents."""
    for _ in range(ROUNDS):
        data = b""
        for _ in range(chance.randrange(1, 6)):
            kind = chance.choice([fastcgi.BEGIN, fastcgi.PARAMS, fastcgi.STDIN, chance.randrange(256)])
            content = chance.choice([b"", struct.pack(">HB5x", chance.choice([1, 1, 2, 3, 500]), chance.randrange(3)),
                                     chance.randbytes(chance.randrange(300)),
                                     fastcgi.pairs([(name_of(chance), chance.randbytes(chance.randrange(30)))])])
            data += fastcgi.record(kind, content, chance.choice([1, 1, 1, 0, 2, 65535]), chance.choice([1, 1, 1, 1, 0, 255]))
        if not too_long_for_libfcgi(data):
            judge(fastcgi.parse(speak(both(site, chance), data)), data, HUNG_UP)


def test_mutated_requests_to_the_socket(site, chance):
    body = json.dumps(GOOD).encode()
    good = fastcgi.request(fastcgi.post("/command/transactional_command_set", body), body)
    for _ in range(ROUNDS):
        data = mutate(chance, good)
        if not too_long_for_libfcgi(data):
            judge(fastcgi.parse(speak(both(site, chance), data)), data, HUNG_UP)


def test_random_parameters_to_the_socket(site, chance):
    """A right request whose parameters hold any bytes, NUL among them."""
    for _ in range(ROUNDS):
        body = tokens(chance)
        params = fastcgi.post(chance.choice(PATHS), body)
        for _ in range(chance.randrange(3)):
            params[name_of(chance)] = chance.randbytes(chance.choice([0, 1, 5, 30, 200, 20000]))
        data = fastcgi.request(params, body)
        if not too_long_for_libfcgi(data):
            judge(fastcgi.parse(speak(both(site, chance), data)), data, HUNG_UP)


@pytest.mark.parametrize("lengths", [(0x7ffffff0, 0x20), (0x40000000, 0x40000000), (0x7fffffff, 0x7fffffff), (0, 0x7fffffff)],
                         ids=str)
def test_lengths_that_do_not_fit(database, lengths):
    """A name and a value whose lengths are larger than an int together. libfcgi ends the process at some of these
    (fcgiapp.c, Malloc): nginx sends no such thing, and who else may connect is up to the socket's mode. So what counts is
    that one worker goes at most, in one line, that another takes its place, and that nobody else notices."""
    content = b"".join(struct.pack(">I", length | 0x80000000) for length in lengths) + b"x" * 3000
    site = harness.Site(database, MANIFEST, workers=2)
    site.writ.check_clean = lambda: None  # a sanitizer reports the size that libfcgi asks for
    with site:
        with Crowd(2, lambda number: site.client.command("add_thing", {"text": "meanwhile"})) as crowd:
            crowd.wait_for(5)
            data = fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, content) + fastcgi.stream(fastcgi.STDIN, b"")
            assert fastcgi.parse(speak(site.writ.border_socket, data)) is None
            crowd.wait_for(20)
        assert [answer.status for _, answer in crowd.outcomes] == [200] * len(crowd.outcomes)
        harness.wait_until(lambda: len(site.writ.workers()) == 3, "three workers", 15)
        ends = [line for line in site.writ.log().splitlines() if " worker-end " in line]
        assert len(ends) <= 1, ends
        for line in ends:
            assert re.search(r" error worker-end .* pool=border worker=\d+ (signal=SIGABRT|exit=\d+) ", line), line
            assert "in_request=0" in line, line
