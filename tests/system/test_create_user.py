"""examples/create_user as it is: its manifest, its program, real nginx."""

import base64
import hashlib
import hmac
import json
import shutil
import time

import pytest

import harness
from harness import Client, Server, Site, listening, workspace

EXAMPLE = harness.SOURCE / "examples" / "create_user"
SCHEMA = (EXAMPLE / "schema.sql").read_text()
KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Users(Server):
    name = "users"

    def __init__(self):
        super().__init__()
        self.environment["WEBHOOK_SECRET"] = SECRET
        self.socket, self.mails, self.inside = self.folder / "users.sock", workspace().folder("mails"), None
        self.program = self.folder / "users.py"  # a copy: who runs it may not be able to read the source
        shutil.copyfile(EXAMPLE / "users.py", self.program)

    def command(self):
        return ["/usr/bin/python3", self.program, self.socket, self.inside, self.mails]

    def ready(self):
        return listening(self.socket)


@pytest.fixture(scope="module")
def running(database):
    users = Users()
    environment = {"USERS_URL": f"http://unix:{users.socket}:/create_user", "WEBHOOK_SECRET": SECRET,
                   "VERIFICATION_URL": f"http://unix:{users.socket}:/verification"}
    with Site(database, (EXAMPLE / "manifest.yaml").read_text(), environment=environment) as site:
        users.inside = site.nginx.inside_http
        with users:
            yield site, users


@pytest.fixture
def site(running, database):
    database.execute("truncate app_user restart identity")
    return running[0]


def names(site):
    return [row[0] for row in site.database.execute("select username from app_user order by id")]


def test_a_user_is_made(site):
    answer = site.client.command("create_user", {"username": "tom", "email": "tom@example.org"})
    assert answer.result == {"id": 1, "username": "tom", "email": "tom@example.org"}
    assert names(site) == ["tom"]


@pytest.mark.parametrize("email", ["tom", "tom@", "a b@example.org", "tom@mailinator.com", "tom@MAILINATOR.com"])
def test_the_address_is_judged_outside_of_the_database(site, email):
    answer = site.client.command("create_user", {"username": "tom", "email": email})
    assert (answer.status, answer.code) == (422, "BAD_EMAIL")
    assert names(site) == []


def test_what_the_set_refuses_reaches_the_client(site):
    site.client.command("create_user", {"username": "tom", "email": "tom@example.org"})
    answer = site.client.command("create_user", {"username": "tom", "email": "other@example.org"})
    assert (answer.status, answer.code) == (409, "USERNAME_TAKEN")
    assert answer.json["detail"] == "That username is taken." and answer.json["command"] == "create_user"
    assert names(site) == ["tom"]


def test_add_user_has_no_other_way_in(site):
    args = {"username": "eve", "email": "eve@example.org"}
    assert site.client.command("add_user", args).code == "UNKNOWN_COMMAND"
    for built_in in ("transactional_command_set", "execute_command_set"):
        answer = site.client.command(built_in, {"commands": [{"command": "add_user", "args": args}]}, role="admin")
        assert (answer.status, answer.code) == (404, "UNKNOWN_COMMAND")
    for header in ("Writ-Call", "WRIT_CALL", "Writ-Role"):
        assert site.client.command("add_user", args, headers={header: "x"}).code == "UNKNOWN_COMMAND"
    assert names(site) == []
    assert site.client.command("create_user", args).status == 200
    assert names(site) == ["eve"]


def test_the_mail(running):
    """The service that the after-hook names takes what is signed, once."""
    users = running[1]
    client = Client(users.socket)
    body = json.dumps({"result": {"id": 1, "username": "tom", "email": "tom@example.org"}})

    def deliver(key=KEY, sent=None, message="m1"):
        sent = str(int(time.time()) if sent is None else sent)
        signature = base64.b64encode(hmac.new(key, f"{message}.{sent}.{body}".encode(), hashlib.sha256).digest()).decode()
        return client.post("/verification", body, headers={
            "webhook-id": message, "webhook-timestamp": sent, "webhook-signature": f"v1,other v1,{signature}"}).status

    def mails():
        return sorted(users.mails.glob("*.eml"))

    before = len(mails())
    assert deliver(key=b"x" * 32) == 401 and deliver(sent=int(time.time()) - 3600) == 401 and len(mails()) == before
    assert deliver() == 204 and deliver() == 204
    assert len(mails()) == before + 1 and "To: tom@example.org" in mails()[-1].read_text() + mails()[0].read_text()
