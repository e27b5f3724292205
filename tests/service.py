"""A small real HTTP server for hooks and handlers to call: what stands at a path is a function of a test.

    with Service() as service:
        service.at("/hook", lambda request: {"args": {"email": request.json["args"]["email"].lower()}})
        ... service.url("/hook") ...

A function gives a dict (200 and JSON), None (200, no body), a tuple (status, body[, headers]), or raises Cut to end the
connection as it is; it may write to request.connection before.
"""

import collections
import http.server
import json
import os
import socket
import socketserver
import threading


class Cut(Exception):
    """Closes the connection without another byte."""


class Request(collections.namedtuple("Request", "path headers body connection")):
    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body, self.connection)
        self.server.service.requests.append(request)
        try:
            answer = self.server.service.paths[self.path](request)
        except Cut:
            self.close_connection = True
            return
        self.answer(answer if isinstance(answer, tuple) else (200, answer))

    do_GET = do_POST

    def answer(self, answer):
        status, body, headers = (*answer, {})[:3]
        if body is None:
            body = b""
        elif not isinstance(body, bytes):
            headers = {"Content-Type": "application/json" if status < 400 else "application/problem+json", **headers}
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the other side had enough

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        os.chmod(self.server_address, 0o777)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)


class Service:
    def __init__(self, path=None):
        """path: of a unix socket; None: a port on the loopback."""
        self.paths, self.requests, self.path = {}, [], path
        self.server = UnixServer(str(path), Handler) if path else Server(("127.0.0.1", 0), Handler)
        self.server.service = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def at(self, path, do):
        self.paths[path] = do
        return self

    def url(self, path):
        return f"http://unix:{self.path}:{path}" if self.path else f"http://127.0.0.1:{self.server.server_port}{path}"

    def calls(self, path):
        """The bodies of the requests to a path."""
        return [request.json for request in self.requests if request.path == path]

    def forget(self):
        self.requests.clear()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
