"""A FastCGI client that sends what it is told, sensible or not: for tests that speak to writd's sockets without nginx.

    connection = fastcgi.connect(site.writ.border_socket)
    connection.sendall(fastcgi.request(fastcgi.post("/command/add_note"), b'{"text": "hello"}'))
    answer = fastcgi.read_answer(connection)         # a harness.Answer; None: closed without one

FastCGI specification 1.0, sections 3.3 (records) and 3.4 (name-value pairs).
"""

import os
import socket
import struct

import harness

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
RESPONDER = 1


def record(kind, content=b"", number=1, version=1):
    return struct.pack(">BBHHBB", version, kind, number, len(content), 0, 0) + content


def stream(kind, content, end=True, piece=60000):
    """content as records of one kind, and the empty one that ends them."""
    records = b"".join(record(kind, content[at:at + piece]) for at in range(0, len(content), piece))
    return records + (record(kind) if end else b"")


def length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 0x80000000)


def pairs(params):
    """params: a dict or a list of pairs, of str or bytes."""
    encoded = b""
    for name, value in params.items() if isinstance(params, dict) else params:
        name, value = (os.fsencode(text) if isinstance(text, str) else text for text in (name, value))
        encoded += length(len(name)) + length(len(value)) + name + value
    return encoded


def begin(role=RESPONDER, keep=False):
    return record(BEGIN, struct.pack(">HB5x", role, 1 if keep else 0))


def head(params, keep=False):
    return begin(keep=keep) + stream(PARAMS, pairs(params))


def request(params, body=b"", keep=False):
    return head(params, keep) + stream(STDIN, body)


def post(path, body=b"", **more):
    """The parameters that nginx sends for a POST of JSON."""
    return {"REQUEST_METHOD": "POST", "DOCUMENT_URI": path, "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)), **more}


def connect(path, timeout=30):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout * harness.PATIENCE)
    connection.connect(str(path))
    return connection


def read_all(connection):
    """Everything until the other side closes."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def parse(data):
    """What stands in STDOUT of these records; None where no request was answered."""
    text, at, ended = b"", 0, False
    while at + 8 <= len(data):
        _, kind, _, size, padding, _ = struct.unpack_from(">BBHHBB", data, at)
        if kind == STDOUT:
            text += data[at + 8:at + 8 + size]
        ended |= kind == END
        at += 8 + size + padding
    if not text or not ended:
        return None
    top, _, body = text.partition(b"\r\n\r\n")
    headers = [tuple(line.decode().split(": ", 1)) for line in top.split(b"\r\n")]
    headers = [(name.lower(), value) for name, value in headers]
    return harness.Answer(int(dict(headers)["status"].split()[0]), headers, body)


def read_answer(connection):
    return parse(read_all(connection))


def ask(path, params, body=b"", timeout=30):
    """One request on a connection of its own."""
    with connect(path, timeout) as connection:
        connection.sendall(request(params, body))
        return read_answer(connection)
