"""The other end of hooks: a small real HTTP server on a unix socket, a process of its own, so that it can be killed.

    with Webhook() as hook:
        manifest = f"... url: {hook.url('/welcome')} ..."
        hook.answer("/welcome", status=500)       # from now on, until told otherwise
        hook.received("/welcome")                 # requests so far, in the order of their arrival

What it has received is in a file, which survives it.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import sys
import time

if __name__ != "__main__":
    import harness


class Request(dict):
    """path, headers (lower-case names), text (the body as it came), at."""

    @property
    def json(self):
        return json.loads(self["text"])

    @property
    def id(self):
        return self["headers"]["webhook-id"]


class Webhook(harness.Server if __name__ != "__main__" else object):
    name = "webhook"

    def __init__(self):
        super().__init__()
        self.program = self.folder / "webhook.py"
        shutil.copyfile(__file__, self.program)
        self.socket = self.folder / "socket"
        self.plans, self.serial = {}, 0
        self.write()

    def command(self):
        return [sys.executable, self.program, self.folder]

    def ready(self):
        return harness.listening(self.socket)

    def url(self, path="/"):
        return f"http://unix:{self.socket}:{path}"

    def write(self):
        new = self.folder / "plans.new"
        new.write_text(json.dumps(self.plans))
        new.rename(self.folder / "plans")

    def answer(self, path, status=200, body="{}", seconds=0, headers=None, **more):
        """seconds: it thinks so long. more: `statuses`, a list: one for each request from now on, the last one
        stays."""
        self.serial += 1
        self.plans[path] = {"serial": self.serial, "status": status, "body": body, "seconds": seconds,
                            "headers": headers or {}, **more}
        self.write()

    def received(self, path=None):
        file = self.folder / "received"
        lines = file.read_text().splitlines() if file.exists() else []
        requests = [Request(json.loads(line)) for line in lines]
        return [request for request in requests if path is None or request["path"] == path]

    def wait(self, path, n=1, timeout=20):
        """Until n requests have come to path; gives all there are."""
        harness.wait_until(lambda: len(self.received(path)) >= n, f"{n} requests to {path}", timeout * harness.PATIENCE)
        return self.received(path)


def signatures(secret, request):
    """What webhook-signature must hold for this secret: Standard Webhooks, done anew, without a line of writ."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{request['headers']['webhook-id']}.{request['headers']['webhook-timestamp']}.{request['text']}"
    return "v1," + base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        plan = json.loads((self.server.folder / "plans").read_text()).get(self.path, {})
        headers = {name.lower(): value for name, value in self.headers.items()}
        count = self.server.note((self.path, plan.get("serial")), headers, text)
        time.sleep(plan.get("seconds", 0))
        statuses = plan.get("statuses") or [plan.get("status", 200)]
        body = plan.get("body", "{}").encode("latin-1")
        self.send_response(statuses[min(count, len(statuses)) - 1])
        for name, value in plan.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class HttpServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder):
        self.folder = folder
        self.counts = {}
        self.file = os.open(folder / "received", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        (folder / "socket").unlink(missing_ok=True)
        super().__init__(str(folder / "socket"), Handler)

    def note(self, plan, headers, text):
        """Gives how many have met this plan, this one included."""
        line = json.dumps({"path": plan[0], "headers": headers, "text": text, "at": time.time()})
        os.write(self.file, line.encode() + b"\n")
        self.counts[plan] = self.counts.get(plan, 0) + 1
        return self.counts[plan]


if __name__ == "__main__":
    HttpServer(pathlib.Path(sys.argv[1])).serve_forever()
