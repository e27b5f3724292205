"""Before-hooks: real services over HTTP, asked before anything of a set runs."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time

import pytest

from harness import Site, environment, wait_until, workspace, writ
from service import Cut, Service

SCHEMA = """
create table person (id bigint generated always as identity primary key, email text, amount numeric, data json);
create table pet (id bigint generated always as identity primary key, owner bigint, name text);
grant select, insert, update on person, pet to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add_person:
    allow: [anonymous, member]
    args: {{ email: text, amount: {{ type: numeric, default: 1.10 }}, data: {{ type: json, default: null }} }}
    sql: insert into person (email, amount, data) values (:email, :amount, :data) returning id, email, amount, data
    returns: one
    hooks:
      before:
        normalise: {{ url: "{0}/normalise", timeout_ms: 3000, changes: true, secrets: [$env.NEW_SECRET, $env.OLD_SECRET],
                     config: {{ domain: $env.DOMAIN, list: [1.10, {{ deep: $$x }}] }} }}
        allowed: "{0}/allowed"
  plain_person:
    allow: [anonymous]
    sql: insert into person (email) values (:email) returning id, email
    returns: one
  add_pet:
    allow: [anonymous]
    sql: insert into pet (owner, name) values (:owner, :name) returning id, owner, name
    returns: one
    hooks: {{ before: {{ named: {{ url: "{0}/named", changes: true }} }} }}
  sign_up:
    allow: [anonymous]
    args: {{ email: text, pet: text }}
    commands:
      - add_person: {{ email: $args.email }}
        as: person
      - add_pet: {{ owner: $person.id, name: $args.pet }}
    result: {{ person: $person, told: $args.email }}
    hooks: {{ before: {{ checked: {{ url: "{0}/checked", changes: true }} }} }}
  count_people:
    allow: [anonymous]
    sql: select count(*) as n from person
    returns: one
"""

PATHS = ("/normalise", "/allowed", "/named", "/checked")
NEW, OLD = b"n" * 32, b"o" * 24
ENVIRONMENT = {"NEW_SECRET": "whsec_" + base64.b64encode(NEW).decode(), "OLD_SECRET": "whsec_" + base64.b64encode(OLD).decode(),
               "DOMAIN": "example.org"}


@pytest.fixture(scope="module")
def running(database):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), environment=ENVIRONMENT, timeout_ms=20000) as site:
            yield site, service


@pytest.fixture
def site(running):
    return running[0]


@pytest.fixture
def service(running, database):
    service = running[1]
    service.forget()
    for path in PATHS:
        service.at(path, lambda request: None)
    database.execute("truncate person, pet")
    return service


def people(site):
    return site.client.command("count_people").result["n"]


def refuse(**problem):
    return lambda request: (403, problem)


# ---- what a hook is told ------------------------------------------------------------------------------------------------


def test_what_a_hook_is_sent(site, service):
    answer = site.client.command("add_person", {"email": "A@B", "data": {"n": 12345678901234567890.5, "r": "$"}}, role="member",
                                 user="7", claims='{"role":"member","org":[1.50]}', headers={"X-Request-Id": "r-1"})
    assert answer.status == 200, answer
    sent, = service.calls("/normalise")
    assert sent["hook"] == "add_person.normalise" and sent["command"] == "add_person"
    assert sent["args"]["email"] == "A@B" and sent["args"]["data"]["r"] == "$"
    assert sent["caller"] == {"role": "member", "user": "7", "claims": {"role": "member", "org": [1.5]}}
    assert sent["request_id"] == "r-1" and len(sent["mutation"]) == 36
    assert sent["config"] == {"domain": "example.org", "list": [1.1, {"deep": "$x"}]}
    request = next(r for r in service.requests if r.path == "/normalise")
    assert '"amount":1.10' in request.text and '"org":[1.50]' in request.text  # digits intact, defaults there
    assert request.headers["content-type"].startswith("application/json") and request.headers["x-request-id"] == "r-1"
    other, = service.calls("/allowed")
    assert "config" not in other and other["mutation"] == sent["mutation"]


def test_signature_of_both_keys(site, service):
    site.client.command("add_person", {"email": "a@b"})
    request = next(r for r in service.requests if r.path == "/normalise")
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (NEW, OLD)]
    assert request.headers["webhook-signature"] == " ".join("v1," + w for w in wanted)
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 300
    unsigned = next(r for r in service.requests if r.path == "/allowed")
    assert "webhook-signature" not in unsigned.headers


def test_unix_socket(database):
    with Service(workspace().root / "hook.sock") as service:
        service.at("/x/y", refuse(code="NO", message="no"))
        manifest = f"""
specVersion: 1
commands:
  c:
    allow: [anonymous]
    sql: select 1 as one
    hooks: {{ before: {{ h: "{service.url('/x/y')}" }} }}
"""
        with Site(database, manifest) as site:
            answer = site.client.command("c")
            assert (answer.status, answer.code) == (403, "NO")
            assert len(service.requests) == 1


# ---- refusals -----------------------------------------------------------------------------------------------------------


def test_refusal_reaches_the_caller_and_nothing_runs(site, service):
    service.at("/allowed", lambda r: (418, {"code": "NOT_TODAY", "message": "Come back tomorrow.", "retryable": True},
                                      {"Retry-After": "60"}))
    answer = site.client.command("add_person", {"email": "a@b"})
    assert (answer.status, answer.code) == (418, "NOT_TODAY")
    assert answer.json["detail"] == "Come back tomorrow." and answer.json["command"] == "add_person"
    assert answer.json["retryable"] is True and answer.header("retry-after") == "60"
    assert "index" not in answer.json
    assert people(site) == 0


@pytest.mark.parametrize("given, status, code, detail", [
    ((403, {"code": "A_b9", "detail": "From detail."}), 403, "A_b9", "From detail."),
    ((400, {"code": "X", "message": "m", "status": 409}), 409, "X", "m"),
    ((422, {"code": "X"}), 422, "X", "The command was refused."),
    ((404, {"code": "NOT_FOUND", "detail": "d"}), 404, "NOT_FOUND", "d"),
    ((409, {"code": "SERIALIZATION_FAILURE", "detail": "d"}), 409, "SERIALIZATION_FAILURE", "d"),
])
def test_refusals(site, service, given, status, code, detail):
    service.at("/allowed", lambda r: given)
    answer = site.client.command("add_person", {"email": "a@b"})
    assert (answer.status, answer.code, answer.json["detail"]) == (status, code, detail)
    assert people(site) == 0


BROKEN = {
    "500": lambda r: (500, {"code": "NO", "message": "secret"}),
    "503": lambda r: (503, None),
    "404 of a wrong URL": lambda r: (404, b"<html>", {"Content-Type": "text/html"}),
    "no code": lambda r: (403, {"message": "secret"}),
    "odd code": lambda r: (403, {"code": "a b", "message": "secret"}),
    "long code": lambda r: (403, {"code": "A" * 64}),
    "status 200": lambda r: (403, {"code": "NO", "status": 200}),
    "status 500": lambda r: (403, {"code": "NO", "status": 500}),
    "status text": lambda r: (403, {"code": "NO", "status": "403"}),
    "code of ours that is no refusal": lambda r: (409, {"code": "COMMIT_UNKNOWN", "message": "x"}),
    "long message": lambda r: (403, {"code": "NO", "message": "x" * 1001}),
    "no object": lambda r: (403, [1]),
    "no JSON in a refusal": lambda r: (403, b'{"code":"NO"', {"Content-Type": "application/json"}),
    "twice": lambda r: (403, b'{"code":"NO","code":"YES"}', {"Content-Type": "application/json"}),
    "text as consent": lambda r: (200, b"ok", {"Content-Type": "text/plain"}),
    "a list as consent": lambda r: (200, []),
    "something else as consent": lambda r: (200, {"ok": True}),
    "redirect": lambda r: (302, None, {"Location": "/named"}),
    "redirect with JSON": lambda r: (307, {"code": "NO"}, {"Location": "/named"}),
    "100 MB of headers": lambda r: (200, None, {f"X-{i}": "y" * 8000 for i in range(500)}),
    "10 MB": lambda r: (200, b"{" + b" " * 10_000_000 + b"}"),
    "10 MB of refusal": lambda r: (403, b'{"code":"NO","message":"' + b"x" * 10_000_000 + b'"}'),
    "changes without the right": lambda r: {"args": {"email": "x"}},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_hooks(site, service, kind):
    service.at("/allowed", BROKEN[kind])
    mark = site.writ.log_mark()
    answer = site.client.command("add_person", {"email": "a@b"})
    assert (answer.status, answer.code) == (502, "HANDLER_FAILED"), answer
    assert "secret" not in answer.text and "allowed" not in answer.text  # the reason is the operator's
    assert answer.json["command"] == "add_person" and answer.json["retryable"] is False
    assert "hook add_person.allowed" in site.writ.log_since(mark)
    assert people(site) == 0
    assert not service.calls("/named")


def test_cut_answer(site, service):
    def cut(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        raise Cut

    service.at("/allowed", cut)
    assert site.client.command("add_person", {"email": "a@b"}).code == "HANDLER_FAILED"
    assert people(site) == 0


def test_service_that_is_not_there(database):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with Site(database, MANIFEST.format(url), environment=ENVIRONMENT) as site:
            assert site.client.command("add_person", {"email": "a@b"}).code == "HANDLER_FAILED"
            assert people(site) == 0


def test_silent_and_dripping_hooks_end_with_their_timeout(site, service):
    done = threading.Event()

    def silent(request):
        done.wait(30)
        raise Cut

    def drip(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not done.wait(0.05):
                request.connection.sendall(b" ")
        except OSError:
            pass
        raise Cut

    try:
        for hook in (silent, drip):
            service.at("/normalise", hook)  # timeout_ms: 3000
            assert site.client.command("add_person", {"email": "a@b"}).code == "HANDLER_FAILED"
            assert people(site) == 0
    finally:
        done.set()


def test_deadline_of_the_request_ends_the_wait(database):
    done = threading.Event()
    with Service() as service:
        for path in PATHS:
            service.at(path, lambda r: done.wait(60) and None)
        with Site(database, MANIFEST.format(service.url("")), environment=ENVIRONMENT, timeout_ms=700) as site:
            answer = site.client.command("sign_up", {"email": "a", "pet": "b"})
            assert (answer.status, answer.code) == (504, "TIMEOUT")
            done.set()
            assert people(site) == 0


def test_hang_up_of_the_caller_ends_the_wait(site, service):
    there, done = threading.Event(), threading.Event()

    def slow(request):
        there.set()
        done.wait(30)

    service.at("/allowed", slow)
    mark = site.writ.log_mark()
    body = json.dumps({"email": "a@b"})
    with site.client.connect() as connection:
        connection.sendall(f"POST /command/add_person HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert there.wait(10)
    wait_until(lambda: "status=499" in site.writ.log_since(mark), "the request to be given up")
    done.set()
    assert people(site) == 0


# ---- changed arguments --------------------------------------------------------------------------------------------------


def test_changed_argument(site, service):
    service.at("/normalise", lambda r: {"args": {"email": r.json["args"]["email"].lower()}})
    assert site.client.command("add_person", {"email": "Tom@Example.ORG"}).result["email"] == "tom@example.org"


def test_changed_digits_and_json(site, service):
    service.at("/normalise", lambda r: (200, '{"args": {"email":"x","amount":12345678901234567890.1230,"data":{"a":[1.10,null]}}}'))
    answer = site.client.command("add_person", {"email": "y"})
    assert '"amount":12345678901234567890.1230' in answer.text and '1.10' in answer.text, answer


def test_changes_reach_the_members_of_a_composite(site, service):
    service.at("/checked", lambda r: {"args": {"email": "new@x", "pet": "Rex"}})
    service.at("/normalise", lambda r: {})  # of the member: nothing to change
    result = site.client.command("sign_up", {"email": "old@x", "pet": "?"}).result
    assert result["person"]["email"] == "new@x" and result["told"] == "new@x"
    assert service.calls("/normalise")[0]["args"]["email"] == "old@x"  # all are asked at once
    assert service.calls("/named")[0]["args"] == {"owner": {"$ref": "add_person.id"}, "name": "?"}
    assert site.database.one("select name from pet") == "Rex"


def test_a_members_hook_has_the_last_word_on_its_own_argument(site, service):
    service.at("/checked", lambda r: {"args": {"email": "composite@x"}})
    service.at("/normalise", lambda r: {"args": {"email": "member@x"}})
    assert site.client.command("sign_up", {"email": "old", "pet": "p"}).result == {
        "person": {"id": site.database.one("select max(id) from person"), "email": "member@x", "amount": 1.1, "data": None},
        "told": "composite@x"}


def test_changes_in_a_set_reach_what_refers_to_them(site, service):
    service.at("/checked", lambda r: {"args": {"email": "n@x"}} if r.json["args"]["email"] == "a" else {})
    results = site.client.set(("sign_up", {"email": "a", "pet": "p"}, "s"), ("plain_person", {"email": {"$ref": "s.told"}}),
                              ("plain_person", {"email": {"$ref": "s.person.email"}})).results
    assert [results[1]["email"], results[2]["email"]] == ["n@x", "n@x"]


def test_references_are_shown_and_may_come_back(site, service):
    service.at("/named", lambda r: {"args": {"owner": r.json["args"]["owner"], "name": "Rex"}})
    results = site.client.set(("plain_person", {"email": "a"}, "who"), ("add_pet", {"owner": {"$ref": "who.id"}, "name": "x"})).results
    assert results[1]["name"] == "Rex" and results[1]["owner"] == results[0]["id"]
    assert service.calls("/named")[0]["args"]["owner"] == {"$ref": "who.id"}


def test_data_that_looks_like_a_reference(site, service):
    service.at("/normalise", lambda r: {"args": {"data": r.json["args"]["data"]}})
    data = {"$ref": "who.id"}
    assert site.client.command("add_person", {"email": "a", "data": data}).result["data"] == data
    assert service.calls("/normalise")[0]["args"]["data"] == {"$literal": data}
    service.at("/normalise", lambda r: {"args": {"data": {"$literal": {"$ref": "x", "y": 1}}}})
    assert site.client.command("add_person", {"email": "a"}).result["data"] == {"$ref": "x", "y": 1}


@pytest.mark.parametrize("args", [
    {"owner": 1}, {"owner": {"$ref": "who.email"}}, {"owner": {"$literal": 5}}, {"name": {"$ref": "who.id"}}, {"other": 1},
    {"name": [{"$ref": "who.id"}]}, {"name": {"object": "is no text"}}, [], "text"])
def test_wrong_changes_are_the_hooks_fault(site, service, args):
    service.at("/named", lambda r: {"args": args})
    mark = site.writ.log_mark()
    answer = site.client.set(("plain_person", {"email": "a"}, "who"), ("add_pet", {"owner": {"$ref": "who.id"}, "name": "x"}))
    assert (answer.status, answer.code) == (502, "HANDLER_FAILED")
    assert answer.json["index"] == 1 and answer.json["command"] == "add_pet"
    assert "hook" in site.writ.log_since(mark)
    assert people(site) == 0


def test_arguments_are_judged_before_a_hook_is_asked(site, service):
    for args in ({"email": {"no": "text"}}, {"other": 1}, {}):
        assert site.client.command("add_person", args).code == "BAD_ARGUMENT"
    assert site.client.set(("add_person", {"email": "a"}), ("add_pet", {"owner": {"no": 1}, "name": "x"})).code == "BAD_ARGUMENT"
    assert site.client.command("add_person", {"email": "a"}, role="stranger").status == 403
    assert not service.requests


# ---- sets ---------------------------------------------------------------------------------------------------------------


def test_all_hooks_of_a_set_are_asked_at_once_and_before_it(site, service):
    """Each waits until all are there: they can only pass together; and nothing is written yet."""
    barrier = threading.Barrier(6, timeout=10)
    seen = []

    def together(request):
        barrier.wait()
        seen.append(site.database.one("select count(*) from person"))

    for path in PATHS:
        service.at(path, together)
    answer = site.client.set(("sign_up", {"email": "a", "pet": "p"}), ("add_person", {"email": "b"}))
    assert answer.status == 200, answer  # sign_up: checked, normalise, allowed, named; add_person: normalise, allowed
    assert len(service.requests) == 6 and seen == [0] * 6


def test_first_refusal_in_the_order_of_the_set_is_told(site, service):
    service.at("/named", refuse(code="SECOND", message="2"))
    service.at("/allowed", refuse(code="FIRST", message="1"))
    answer = site.client.set(("plain_person", {"email": "x"}), ("add_person", {"email": "b"}), ("add_pet", {"owner": 1, "name": "p"}))
    assert (answer.code, answer.json["index"], answer.json["path"]) == ("FIRST", 1, "/commands/1")
    assert people(site) == 0


def test_execute_set_asks_command_by_command(site, service):
    seen = []
    service.at("/named", lambda r: seen.append((people(site), r.json["args"])) or {"args": {"name": "Rex"}})
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "plain_person", "args": {"email": "a"}, "as": "who"},
        {"command": "add_pet", "args": {"owner": {"$ref": "who.id"}, "name": "x"}, "as": "pet"},
        {"command": "plain_person", "args": {"email": {"$ref": "pet.name"}}}]})
    ids = [entry["result"]["id"] for entry in answer.json["results"]]
    assert seen == [(1, {"owner": ids[0], "name": "x"})]  # what is known is a value
    assert answer.results[1]["name"] == "Rex" and answer.results[2]["email"] == "Rex"


def test_refusal_in_an_execute_set(site, service):
    service.at("/named", refuse(code="NO", message="no"))
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "plain_person", "args": {"email": "a"}}, {"command": "add_pet", "args": {"owner": 1, "name": "x"}},
        {"command": "plain_person", "args": {"email": "b"}}]})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("NO", 1, 1)
    assert people(site) == 1


def test_dry_run_asks_no_hook(site, service):
    answer = site.client.command("add_person", {"email": "a"}, headers={"Prefer": "tx=rollback"})
    assert answer.status == 200 and not service.requests
    assert people(site) == 0


def test_retries_do_not_ask_again(site, service, database):
    """Serialization failures, provoked by two transactions that read and write the same."""
    manifest = f"""
specVersion: 1
commands:
  grow:
    allow: [anonymous]
    commands: [ grow_it: ]
    isolation: serializable
    hooks: {{ before: {{ h: "{service.url('/allowed')}" }} }}
  grow_it: {{ sql: "insert into pet (owner) select count(*) from pet" }}
"""
    with Site(database, manifest, workers=4, retries=20) as busy:
        threads = [threading.Thread(target=lambda: [busy.client.command("grow") for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics = busy.inside.get("/metrics").text
        assert int(next(l for l in metrics.splitlines() if l.startswith("writ_retries_total ")).split()[1]) > 0
    assert len(service.requests) == 80


# ---- books and tools ----------------------------------------------------------------------------------------------------


def metric(site, name):
    return float(next(l for l in site.inside.get("/metrics").text.splitlines() if l.startswith(name + " ")).split()[-1])


def test_log_and_metrics(site, service):
    before = {o: metric(site, f'writ_hooks_total{{outcome="{o}"}}') for o in ("passed", "refused", "failed")}
    mark = site.writ.log_mark()
    site.client.command("add_person", {"email": "a"})
    assert " hook_ms=" in site.writ.log_since(mark)
    service.at("/allowed", refuse(code="NO", message="no"))
    site.client.command("add_person", {"email": "a"})
    service.at("/allowed", lambda r: (500, None))
    site.client.command("add_person", {"email": "a"})
    after = {o: metric(site, f'writ_hooks_total{{outcome="{o}"}}') for o in before}
    assert {o: after[o] - before[o] for o in before} == {"passed": 4, "refused": 1, "failed": 1}
    assert metric(site, "writ_hook_seconds_total") > 0


def test_tools(site, service):
    env = environment(**ENVIRONMENT)
    run = writ("-c", site.writ.file, "run", "add_person", '{"email":"a"}', env=env)
    assert '"email":"a"' in run.stdout and len(service.requests) == 2
    text = writ("-c", site.writ.file, "explain", "sign_up", '{"email":"a","pet":"p"}', env=env).stdout
    for name in ("sign_up.checked", "add_person.normalise", "add_person.allowed", "add_pet.named"):
        assert name in text
    assert text.index("add_pet.named") < text.index("transaction on")
    assert len(service.requests) == 2  # explain asks nobody


def test_check_without_the_environment(site):
    done = writ("-c", site.writ.file, "check", "--offline")
    assert "warning" in done.stdout and "NEW_SECRET" in done.stdout
    assert writ("-c", site.writ.file, "run", "add_person", '{"email":"a"}', check=False).returncode == 1
