#!/usr/bin/python3
"""The program behind create_user, with nothing but Python's own library.

    users.py SOCKET INSIDE MAILS

SOCKET: the unix socket to listen on; INSIDE: that of nginx's inside listener; MAILS: a folder for the mails, in place of a
mail server. WEBHOOK_SECRET is in the environment, as it is in writd's.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import re
import socket
import socketserver
import sys
import time

ADDRESS = re.compile(r"[^@\s]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


class Refused(Exception):
    """An answer that is an error: status, body as bytes."""

    def __init__(self, status, body):
        super().__init__(status)
        self.status, self.body = status, body


def refuse(status, code, message):
    raise Refused(status, json.dumps({"code": code, "message": message}).encode())


class InsideConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call_back(inside, call, command, args):
    """Runs a command inside, on behalf of whoever called create_user. What it refuses is refused."""
    connection = InsideConnection(inside, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **({"Writ-Call": call} if call else {})}
        connection.request("POST", f"/command/{command}", json.dumps(args), headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(response.status, body)
    return json.loads(body)


def create_user(server, request):
    args, config = request["args"], request["config"]
    address = ADDRESS.fullmatch(args["email"])
    if not address:
        refuse(422, "BAD_EMAIL", "That is no e-mail address.")
    if address.group(1).lower() in config["refused_domains"]:
        refuse(422, "BAD_EMAIL", "Give an address that you keep.")
    answer = call_back(server.inside, request.get("call"), "transactional_command_set", {"commands": [
        {"command": "unique_username", "args": {"username": args["username"]}},
        {"command": "add_user", "args": {"username": args["username"], "email": args["email"]}}]})
    return answer["results"][1]["result"]


def is_signed(headers, body):
    """As the Standard Webhooks specification says; a message older than five minutes is a replay."""
    message, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > 300:
        return False
    key = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
    wanted = "v1," + base64.b64encode(hmac.new(key, f"{message}.{sent}.".encode() + body, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(wanted, given) for given in headers.get("webhook-signature", "").split())


def verification(server, message, user):
    """One mail for a message, however often it is delivered: a file of its name."""
    text = f"To: {user['email']}\nSubject: Welcome\n\nDear {user['username']}, is this address yours?\n"
    name = hashlib.sha256(message.encode()).hexdigest()
    (server.mails / f".{name}").write_text(text)
    (server.mails / f".{name}").rename(server.mails / f"{name}.eml")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.path == "/create_user":
                self.answer(200, json.dumps({"result": create_user(self.server, json.loads(body))}).encode())
            elif self.path == "/verification" and is_signed(self.headers, body):
                verification(self.server, self.headers["webhook-id"], json.loads(body)["result"])
                self.answer(204, b"")
            else:
                refuse(404 if self.path != "/verification" else 401, "NO", "There is nothing here.")
        except Refused as refusal:
            self.answer(refusal.status, refusal.body)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path, inside, mails):
        self.inside, self.mails = inside, pathlib.Path(mails)
        pathlib.Path(path).unlink(missing_ok=True)
        super().__init__(path, Handler)

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    Server(*sys.argv[1:]).serve_forever()
