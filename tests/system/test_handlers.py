"""Handlers: commands whose logic is a service, which calls back on the inside listener through real nginx."""

import base64
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from harness import SITE, Client, Site, environment, wait_until, writ
from service import Cut, Service

SCHEMA = """
create table person (id bigint generated always as identity primary key, name text unique, by text);
grant select, insert on person to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  sign_up:
    allow: [anonymous, member]
    args: {{ name: text, price: {{ type: numeric, default: 1.10 }}, extra: {{ default: null }} }}
    http: {{ url: "{0}/sign_up", timeout_ms: 15000, config: {{ domain: example.org, price: 2.50 }} }}
  untyped:
    allow: [anonymous]
    http: "{0}/untyped"
  again:
    allow: [anonymous]
    args: {{ n: int }}
    http: {{ url: "{0}/again", timeout_ms: 25000 }}
  asked_first:
    allow: [anonymous]
    args: {{ name: text }}
    http: "{0}/sign_up"
    hooks: {{ before: {{ h: {{ url: "{0}/hook", changes: true }} }} }}
  guarded:
    allow: [anonymous]
    args: {{ name: text }}
    mutex: "person:$args.name"
    http: {{ url: "{0}/guarded", timeout_ms: 20000 }}
  permitted:
    allow: [anonymous, member]
    args: {{ name: text }}
    http: "{0}/guarded"
    permissions: {{ is_new: "not exists (select from person where name = :name)", is_member: ":role = 'member'" }}
  add_guarded:
    mutex: "person:$args.name"
    args: {{ name: text }}
    commands: [ add_person: {{ name: $args.name }} ]
  add_person:
    sql: insert into person (name, by) values (:name, current_setting('request.user')) returning id, name, by
    returns: one
  keep:
    allow: [anonymous]
    sql: insert into person (name) values (:name) returning id, name
    returns: one
  slow:
    sql: select pg_sleep(:seconds), 1 as one
  whoami:
    allow: [anonymous]
    sql: >
      select current_setting('request.role') as role, current_setting('request.user') as user,
             current_setting('request.jwt.claims') as claims
    returns: one
  count_people:
    allow: [anonymous]
    sql: select count(*) as n from person
    returns: one
"""


@pytest.fixture(scope="module")
def running(database):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), workers=4, inside_workers=2) as site:
            yield site, service


@pytest.fixture
def site(running):
    return running[0]


@pytest.fixture
def service(running, database):
    service = running[1]
    service.forget()
    service.paths.clear()
    for path in ("/sign_up", "/untyped", "/again", "/hook", "/guarded"):
        service.at(path, lambda request: None)
    database.execute("truncate person")
    return service


def people(site):
    return site.database.one("select count(*) from person")


def back(site, request, name, args=None, **options):
    """A call of a handler's own, by the token that it was given."""
    return site.inside.command(name, args, headers={"Writ-Call": request.headers["writ-call"]}, **options)


# ---- permissions of a handler --------------------------------------------------------------------------------------------


def test_permissions_are_asked_ahead_of_the_program(site, service, database):
    service.at("/guarded", lambda r: {"result": back(site, r, "add_person", {"name": r.json["args"]["name"]}).result["name"]})
    assert site.client.command("permitted", {"name": "ada"}, role="member").result == "ada"
    again = site.client.command("permitted", {"name": "ada"}, role="member")
    assert (again.status, again.code, again.json["command"]) == (403, "PERMISSION_DENIED", "permitted")
    assert "is_new" in again.json["detail"]
    assert "is_member" in site.client.command("permitted", {"name": "tom"}).json["detail"]
    assert len(service.calls("/guarded")) == 1 and people(site) == 1


def test_permissions_of_a_handler_within_an_execute_set(site, service):
    service.at("/guarded", lambda r: {"result": 1})
    site.client.command("keep", {"name": "ada"})
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "permitted", "args": {"name": "tom"}}, {"command": "permitted", "args": {"name": "ada"}}]}, role="member")
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("PERMISSION_DENIED", 1, 1)
    assert len(service.calls("/guarded")) == 1


def test_permissions_of_a_handler_that_is_keyed(site, service):
    service.at("/guarded", lambda r: {"result": 7})
    headers = {"Idempotency-Key": "permitted-1"}
    assert site.client.command("permitted", {"name": "tom"}, headers=headers).code == "PERMISSION_DENIED"
    assert site.client.command("permitted", {"name": "tom"}, role="member", headers=headers).result == 7
    site.client.command("keep", {"name": "tom"})
    replay = site.client.command("permitted", {"name": "tom"}, role="member", headers=headers)
    assert replay.result == 7 and replay.header("idempotent-replay") == "true"


# ---- what a handler gets and gives --------------------------------------------------------------------------------------


def test_what_a_handler_is_sent(site, service):
    service.at("/sign_up", lambda r: {"result": {"done": True}})
    answer = site.client.post("/command/sign_up", '{"name": "tom", "extra": {"$ref": "data.here", "n": [1.10]}}', role="member",
                              user="7", claims='{"role":"member","n":1.50}', headers={"X-Request-Id": "r-7"})
    assert answer.result == {"done": True}
    request, = service.requests
    sent = request.json
    assert sent["command"] == "sign_up" and sent["request_id"] == "r-7" and len(sent["mutation"]) == 36
    assert '"args":{"name":"tom","price":1.10,"extra":{"$ref":"data.here","n":[1.10]}}' in request.text
    assert sent["caller"] == {"role": "member", "user": "7", "claims": {"role": "member", "n": 1.5}}
    assert '"config":{"domain":"example.org","price":2.50}' in request.text
    assert sent["call"] == request.headers["writ-call"] and request.headers["x-request-id"] == "r-7"
    assert "hook" not in sent


@pytest.mark.parametrize("given, result", [
    (None, "null"), ({}, "null"), ((204, None), "null"), ((201, '{"result": 5}'), "5"), ({"result": None}, "null"),
    ((200, '{"result": {"b": 1.10, "a": [12345678901234567890.10, -0, 1e5], "t": "\\u00e4\\n"}}'),
     '{"b":1.10,"a":[12345678901234567890.10,-0,1e5],"t":"\u00e4\\n"}')])
def test_results_keep_their_digits(site, service, given, result):
    service.at("/untyped", lambda r: given)
    assert site.client.command("untyped").text == f'{{"result":{result}}}'


BROKEN = {
    "500": lambda r: (500, {"code": "NO", "message": "secret"}),
    "no result": lambda r: {"id": 5, "secret": 1},
    "more than a result": lambda r: {"result": 5, "secret": 1},
    "no object": lambda r: (200, "[5]"),
    "no JSON": lambda r: (200, "secret"),
    "twice": lambda r: (200, '{"result":1,"result":2}'),
    "redirect": lambda r: (302, None, {"Location": "/sign_up"}),
    "too large": lambda r: {"result": "x" * 2_000_000},
    "refusal without a code": lambda r: (403, {"secret": 1}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_handlers(site, service, kind):
    service.at("/untyped", BROKEN[kind])
    mark = site.writ.log_mark()
    answer = site.client.command("untyped")
    assert (answer.status, answer.code) == (502, "HANDLER_FAILED")
    assert "secret" not in answer.text and answer.json["command"] == "untyped"
    assert "handler untyped" in site.writ.log_since(mark)
    assert not service.calls("/sign_up")


def test_errors_of_a_handler_are_the_callers(site, service):
    service.at("/untyped", lambda r: (409, {"code": "NAME_TAKEN", "message": "Taken."}))
    answer = site.client.command("untyped")
    assert (answer.status, answer.code, answer.json["detail"]) == (409, "NAME_TAKEN", "Taken.")


def test_server_that_dies_in_the_middle(site, service):
    def die(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"resu")
        raise Cut

    service.at("/untyped", die)
    assert site.client.command("untyped").code == "HANDLER_FAILED"
    assert len(service.requests) == 1  # not sent again: it may have done its work

    def silent_death(request):
        raise Cut

    service.at("/untyped", silent_death)
    assert site.client.command("untyped").code == "HANDLER_FAILED"
    assert len(service.requests) == 2


def test_arguments_are_judged_first(site, service):
    for args in ({}, {"name": "x", "other": 1}, {"name": {"no": "text"}}, {"name": "x", "price": True}):
        assert site.client.command("sign_up", args).code == "BAD_ARGUMENT", args
    assert site.client.command("sign_up", {"name": "x"}, role="stranger").status == 403
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "keep", "args": {"name": "a"}}, {"command": "sign_up", "args": {"name": {"no": "text"}}}]})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("BAD_ARGUMENT", 1, 0)
    assert not service.requests and people(site) == 0


def test_before_hook_of_a_handler(site, service):
    service.at("/hook", lambda r: {"args": {"name": "changed"}})
    service.at("/sign_up", lambda r: {"result": r.json["args"]})
    assert site.client.command("asked_first", {"name": "x"}).result == {"name": "changed"}
    service.at("/hook", lambda r: (403, {"code": "NO"}))
    service.forget()
    assert site.client.command("asked_first", {"name": "x"}).code == "NO"
    assert not service.calls("/sign_up")


def test_deadline(database):
    done = threading.Event()
    with Service() as service:
        service.at("/untyped", lambda r: done.wait(60) and None)
        with Site(database, MANIFEST.format(service.url("")), timeout_ms=700) as site:
            answer = site.client.command("untyped")
            assert (answer.status, answer.code) == (504, "TIMEOUT")
            done.set()


# ---- in sets ------------------------------------------------------------------------------------------------------------


def test_transactional_sets_take_no_handler(site, service):
    answer = site.client.set(("keep", {"name": "a"}), ("sign_up", {"name": "b"}))
    assert (answer.status, answer.code, answer.json["index"]) == (400, "NOT_TRANSACTIONAL", 1)
    assert not service.requests and people(site) == 0


def test_execute_set_with_references_both_ways(site, service):
    service.at("/sign_up", lambda r: (200, '{"result": {"n": 1.50, "name": "new-%s", "list": ["x"]}}' % r.json["args"]["name"]))
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "keep", "args": {"name": "tom"}, "as": "first"},
        {"command": "sign_up", "args": {"name": {"$ref": "first.name"}, "extra": {"id": {"$ref": "first.id"}}}, "as": "second"},
        {"command": "sign_up", "args": {"name": "x", "price": {"$ref": "second.n"}, "extra": {"$ref": "second"}}},
        {"command": "keep", "args": {"name": {"$ref": "second.name"}}}]})
    assert answer.status == 200, answer
    first, second = service.calls("/sign_up")
    assert first["args"]["name"] == "tom" and first["args"]["extra"] == {"id": answer.results[0]["id"]}
    assert '"price":1.50,"extra":{"n":1.50,"name":"new-tom","list":["x"]}' in service.requests[1].text
    assert answer.results[3]["name"] == "new-tom" and second["mutation"] == first["mutation"]


def test_reference_to_what_a_handler_did_not_give(site, service):
    service.at("/sign_up", lambda r: {"result": {"a": 1}})
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "sign_up", "args": {"name": "x"}, "as": "s"}, {"command": "keep", "args": {"name": {"$ref": "s.b"}}}]})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("BAD_REFERENCE", 1, 1)


def test_failure_in_an_execute_set(site, service):
    service.at("/untyped", lambda r: (403, {"code": "NO"}))
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "keep", "args": {"name": "a"}}, {"command": "untyped"}, {"command": "keep", "args": {"name": "b"}}]})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("NO", 1, 1)
    assert people(site) == 1


def test_dry_runs_are_refused(site, service):
    dry = {"Prefer": "tx=rollback"}
    assert site.client.command("untyped", headers=dry).status == 501
    answer = site.client.command("execute_command_set", {"commands": [
        {"command": "keep", "args": {"name": "a"}}, {"command": "untyped"}]}, headers=dry)
    assert (answer.status, answer.code, answer.json["index"]) == (501, "NOT_IMPLEMENTED", 1)
    assert not service.requests and people(site) == 0


# ---- calling back -------------------------------------------------------------------------------------------------------


def test_only_the_handler_can_reach_what_has_no_allow(site, service):
    assert site.client.command("add_person", {"name": "x"}).code == "UNKNOWN_COMMAND"
    service.at("/sign_up", lambda r: {"result": back(site, r, "add_person", {"name": r.json["args"]["name"]}).result})
    assert site.client.command("sign_up", {"name": "tom"}, role="member", user="7").result["by"] == "7"
    assert people(site) == 1


def test_token_restores_the_caller(site, service):
    told = []

    def call(request):
        told.append(back(site, request, "whoami").result)
        told.append(back(site, request, "whoami", role="admin", user="root", claims='{"role":"admin"}').result)

    service.at("/untyped", call)
    claims = '{"role":"anonymous", "n":1.50,"\u00e4":"\\u00e4 \\"$\\""}'
    assert site.client.command("untyped", user="7\u00fc", claims=claims).status == 200
    assert told == [{"role": "anonymous", "user": "7\u00fc", "claims": claims}] * 2  # to the byte; headers beside it do not count


def test_plain_inside_calls_are_as_they_were(site):
    assert site.inside.command("whoami", role="admin", user="9").result["user"] == "9"
    assert site.inside.command("whoami", headers={"Writ-Call": ""}).result["role"] == "anonymous"


def test_forged_and_stolen_tokens(site, service, database):
    tokens = []
    service.at("/untyped", lambda r: tokens.append(r.headers["writ-call"]))
    site.client.command("untyped", user="7")
    site.client.command("untyped", user="8")
    seven, eight = tokens
    payload, signature = seven.rsplit(".", 1)
    other, other_signature = eight.rsplit(".", 1)
    fields = json.loads(base64.b64decode(payload))
    fields["user"], fields["role"] = "1", "admin"
    forged = base64.b64encode(json.dumps(fields).encode()).decode()
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    for token in (f"{forged}.{signature}", f"{payload}.{other_signature}", f"{payload}.{flipped}", payload, f"{payload}.",
                  f".{signature}", signature, "x", f"{payload}.{signature.upper()}" if signature != signature.upper() else "y",
                  f"{seven}.{seven}", f" {seven}x", "A" * 7000):
        answer = site.inside.command("add_person", {"name": "x"}, headers={"Writ-Call": token})
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), token
    with Site(database, MANIFEST.format(service.url(""))) as stranger:  # another writd has another secret
        assert stranger.inside.command("whoami", headers={"Writ-Call": seven}).status == 403
    assert people(site) == 0
    assert site.inside.command("whoami", headers={"Writ-Call": seven}).result["user"] == "7"


def test_token_ends_with_its_deadline(database):
    tokens = []
    with Service() as service:
        service.at("/untyped", lambda r: tokens.append(r.headers["writ-call"]))
        with Site(database, MANIFEST.format(service.url("")), timeout_ms=3000) as site:
            assert site.client.command("untyped", user="7").status == 200

            def status():
                return site.inside.command("whoami", headers={"Writ-Call": tokens[0]}).status

            wait_until(lambda: status() == 403, "the token to be of no use", 20)
            assert site.inside.command("whoami").status == 200


def test_token_ends_with_the_time_that_the_handler_has(database):
    """A program that nobody waits for any more does nothing more: its mutexes are another's by then."""
    tokens = []

    def late(request):
        tokens.append(request.headers["writ-call"])
        time.sleep(1)

    with Service() as service:
        service.at("/guarded", late)
        manifest = MANIFEST.format(service.url("")).replace("timeout_ms: 20000", "timeout_ms: 300")
        with Site(database, manifest, timeout_ms=60000) as site:
            assert site.client.command("guarded", {"name": "ada"}).code == "HANDLER_FAILED"
            headers = {"Writ-Call": tokens[0]}
            wait_until(lambda: site.inside.command("whoami", headers=headers).status == 403, "the token to be of no use", 20)
            assert site.inside.command("add_guarded", {"name": "ada"}, headers=headers).code == "FORBIDDEN"


def test_deadline_depth_and_mutation_go_along(site, service):
    service.at("/again", count_down(site))
    assert site.client.command("again", {"n": 1}).result == []
    first, second = [json.loads(base64.b64decode(r.headers["writ-call"].split(".")[0])) for r in service.requests]
    assert second["deadline"] == first["deadline"] and second["mutation"] == first["mutation"]
    assert (first["depth"], second["depth"]) == (1, 2)
    assert service.requests[0].json["mutation"] == service.requests[1].json["mutation"] == first["mutation"]


def test_reload_in_the_middle_of_a_call(database):
    """The old worker waits for its handler; what that calls comes to new ones, which take its token."""
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), drain_ms=30000) as site:
            def call(request):
                mark, before = site.writ.log_mark(), set(site.writ.workers())
                site.writ.reload()
                wait_until(lambda: "reload who=supervisor" in site.writ.log_since(mark), "the reload", 20)
                wait_until(lambda: len(set(site.writ.workers()) - before) == 3, "new workers", 20)
                return {"result": back(site, request, "whoami").result["user"]}

            service.at("/untyped", call)
            assert site.client.command("untyped", user="7").result == "7"


def test_border_never_reads_a_token(database):
    """Not even where nginx is so wrongly configured that it passes one on."""
    wrong = SITE.replace("include writ/writ.conf;", "include writ/writ.conf;\n fastcgi_param WRIT_CALL $http_writ_call if_not_empty;")
    tokens = []
    with Service() as service:
        service.at("/untyped", lambda r: tokens.append(r.headers["writ-call"]))
        for http in (SITE, wrong):
            with Site(database, MANIFEST.format(service.url("")), http=http) as site:
                site.client.command("untyped", user="7")
                answer = site.client.command("whoami", headers={"Writ-Call": tokens[-1]})
                assert answer.result["user"] == ""
                assert site.client.command("add_person", {"name": "x"}, headers={"Writ-Call": tokens[-1]}).code == "UNKNOWN_COMMAND"
                assert site.client.command("whoami", headers={"Writ-Call": "forged"}).status == 200


# ---- workers that wait for each other -----------------------------------------------------------------------------------


@pytest.mark.parametrize("inside_workers", [1, 2])
def test_every_border_worker_in_a_handler(database, inside_workers):
    """Nobody's handler comes back before all are in theirs, and each calls back."""
    border = 6
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), workers=border, inside_workers=inside_workers) as site:
            all_in = threading.Barrier(border, timeout=20)

            def call(request):
                all_in.wait()
                return {"result": back(site, request, "whoami").result["user"]}

            service.at("/untyped", call)
            answers = [None] * border

            def ask(i):
                answers[i] = site.client.command("untyped", user=str(i))

            threads = [threading.Thread(target=ask, args=(i,)) for i in range(border)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert [answer.result for answer in answers] == [str(i) for i in range(border)]


def count_down(site):
    def call(request):
        n = request.json["args"]["n"]
        if n == 0:
            return {"result": []}
        answer = back(site, request, "again", {"n": n - 1})
        if answer.status != 200:
            return {"result": [answer.code, answer.header("retry-after")]}
        return {"result": answer.result}
    return call


@pytest.mark.parametrize("inside_workers, deep, n, result", [
    (1, 8, 0, []), (1, 8, 1, ["HANDLERS_BUSY", "1"]), (2, 8, 1, []), (2, 8, 2, ["HANDLERS_BUSY", "1"]), (4, 8, 3, []),
    (4, 2, 1, []), (4, 2, 2, ["CALLS_TOO_DEEP", None]), (4, 1, 1, ["CALLS_TOO_DEEP", None])])
def test_handlers_in_handlers(database, inside_workers, deep, n, result):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), inside_workers=inside_workers, limits={"calls_deep": deep}) as site:
            service.at("/again", count_down(site))
            for _ in range(3):  # the places are given back
                assert site.client.command("again", {"n": n}).result == result


def test_many_endless_handlers_never_get_stuck(database):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), workers=4, inside_workers=3) as site:
            service.at("/again", count_down(site))
            answers = []
            threads = [threading.Thread(target=lambda: answers.extend(site.client.command("again", {"n": 1000}) for _ in range(10)))
                       for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(300)
            assert len(answers) == 80
            assert {tuple(answer.result) for answer in answers} <= {("HANDLERS_BUSY", "1"), ("CALLS_TOO_DEEP", None)}
            wait_until(lambda: 'writ_workers_busy{pool="border"} 0' in site.inside.get("/metrics").text, "nobody to be at work")
            assert "writ_handlers_busy_total 0\n" not in site.inside.get("/metrics").text


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def test_killed_worker_gives_its_place_back(database):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), inside_workers=2) as site:
            entered, done = threading.Event(), threading.Event()

            def block(request):
                entered.set()
                done.wait(30)

            service.at("/untyped", block)
            inside = Client(site.nginx.inside_http, prefix="Writ")
            thread = threading.Thread(target=lambda: inside.command("untyped"))
            thread.start()
            assert entered.wait(10)
            assert site.inside.command("again", {"n": 0}).code == "HANDLERS_BUSY"
            for pid in site.writ.workers():
                if name_of(pid) == "writd inside":
                    os.kill(pid, signal.SIGKILL)
            thread.join(20)
            service.at("/again", lambda r: {"result": "in"})
            wait_until(lambda: site.inside.command("again", {"n": 0}).status == 200, "the place to be free", 20)
            done.set()


# ---- keys and mutexes ---------------------------------------------------------------------------------------------------


def test_keyed_handler_is_answered_once(site, service):
    service.at("/sign_up", lambda r: {"result": [len(service.requests), back(site, r, "add_person", {"name": "tom"}).result["name"]]})
    key = {"Idempotency-Key": "k-once"}
    first = site.client.command("sign_up", {"name": "tom"}, headers=key)
    again = site.client.command("sign_up", {"name": "tom"}, headers=key)
    assert first.result == [1, "tom"] and again.body == first.body
    assert again.header("idempotent-replay") == "true" and first.header("idempotent-replay") is None
    assert len(service.requests) == 1 and people(site) == 1
    assert site.client.command("sign_up", {"name": "other"}, headers=key).code == "IDEMPOTENCY_MISMATCH"


def test_keyed_handler_at_once(site, service):
    """Who comes second waits for the first, and gets its answer: the program runs once."""
    service.at("/sign_up", lambda request: time.sleep(0.5) or {"result": 1})
    key, answers = {"Idempotency-Key": "k-at-once"}, []
    service.forget()

    def ask():
        answers.append(Client(site.nginx.socket).command("sign_up", {"name": "tom"}, headers=key))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.calls("/sign_up")) == 1
    assert [answer.result for answer in answers] == [1, 1]
    assert sorted(answer.header("idempotent-replay") or "" for answer in answers) == ["", "true"]


def test_keyed_handler_that_takes_long(site, service):
    """Longer than the second may wait."""
    done = threading.Event()
    service.at("/sign_up", lambda request: done.wait(20) and {"result": 1})
    key, first = {"Idempotency-Key": "k-long"}, []
    service.forget()
    thread = threading.Thread(target=lambda: first.append(
        Client(site.nginx.socket).command("sign_up", {"name": "tom"}, headers=key)))
    thread.start()
    wait_until(lambda: service.calls("/sign_up"), "the first call")
    assert site.client.command("sign_up", {"name": "tom"}, headers=key).code == "IDEMPOTENCY_CONFLICT"
    done.set()
    thread.join()
    assert first[0].result == 1 and len(service.calls("/sign_up")) == 1
    assert site.client.command("sign_up", {"name": "tom"}, headers=key).header("idempotent-replay") == "true"


def test_what_a_keyed_handler_ran_is_done_once_though_it_failed(site, service):
    """It dies behind its first set; the repeat runs it again from the start."""
    told = []

    def call(request):
        told.append(back(site, request, "add_person", {"name": "one"}))
        if len(told) == 1:
            raise Cut
        told.append(site.inside.command("add_person", {"name": "two"}, headers={
            "Writ-Call": request.headers["writ-call"], "Idempotency-Key": "second"}))
        return {"result": told[-1].result["name"]}

    service.at("/untyped", call)
    key = {"Idempotency-Key": "k-died"}
    assert site.client.command("untyped", headers=key).code == "HANDLER_FAILED"
    assert people(site) == 1
    assert site.client.command("untyped", headers=key).result == "two"
    assert told[0].body == told[1].body and told[1].header("idempotent-replay") == "true"
    assert people(site) == 2 and site.client.command("untyped", headers=key).result == "two" and len(told) == 3


def test_keys_within_a_call_are_its_own(site, service):
    """Without a key of the call, too: no other call's "add" is this one's."""
    def call(request):
        headers = {"Writ-Call": request.headers["writ-call"], "Idempotency-Key": "add"}
        args = {"name": request.json["args"]["name"]}
        first, again = [site.inside.command("add_person", args, headers=headers) for _ in range(2)]
        return {"result": [first.result["name"], again.body == first.body, again.header("idempotent-replay")]}

    service.at("/sign_up", call)
    for name in ("a", "b"):
        assert site.client.command("sign_up", {"name": name}).result == [name, True, "true"]
    for name in ("c", "d"):
        answer = site.client.command("sign_up", {"name": name}, headers={"Idempotency-Key": f"k-{name}"})
        assert answer.result == [name, True, "true"]
    assert people(site) == 4


def test_without_any_key_a_call_may_do_the_same_twice(site, service):
    service.at("/untyped", lambda r: {"result": [back(site, r, "count_people").result["n"],
                                                 back(site, r, "keep", {"name": "x"}).status,
                                                 back(site, r, "count_people").result["n"]]})
    assert site.client.command("untyped").result == [0, 200, 1]


def test_hooks_are_not_asked_for_a_replay(site, service):
    service.at("/sign_up", lambda r: {"result": 1})
    for _ in range(2):
        assert site.client.command("asked_first", {"name": "x"}, headers={"Idempotency-Key": "k-hook"}).result == 1
    assert len(service.calls("/hook")) == 1 and len(service.calls("/sign_up")) == 1


def test_mutex_is_held_for_the_whole_call(database):
    """Another call for the same name waits, and is refused; what the handler itself runs under that name is let in."""
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), workers=4, inside_workers=2, mutex_wait_ms=200) as site:
            database.execute("truncate person")
            entered, done = threading.Event(), threading.Event()

            def call(request):
                entered.set()
                assert done.wait(30)
                return {"result": back(site, request, "add_guarded", request.json["args"]).status}

            service.at("/guarded", call)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(site.client.command("guarded", {"name": "a"})))
            thread.start()
            assert entered.wait(10)
            assert site.client.command("guarded", {"name": "a"}).code == "MUTEX_BUSY"
            assert site.inside.command("add_guarded", {"name": "a"}).code == "MUTEX_BUSY"
            assert site.inside.command("add_guarded", {"name": "b"}).status == 200
            done.set()
            thread.join(30)
            assert answers[0].result == 200
            assert site.client.command("guarded", {"name": "a"}).result == 409  # that name is there now; the mutex is free


@pytest.mark.parametrize("inside_workers", [1, 3])
def test_who_waits_for_a_handlers_mutex_does_not_keep_it_from_calling(database, inside_workers):
    """Strangers on the inside want the mutex that the handler holds, for as long as they may wait; it comes through all the same."""
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), inside_workers=inside_workers, waiting_workers=100,
                  mutex_wait_ms=300000, timeout_ms=300000) as site:
            database.execute("truncate person")
            strangers = []

            def call(request):
                for _ in range(inside_workers):
                    strangers.append(threading.Thread(target=lambda: codes.append(
                        site.inside.command("add_guarded", {"name": "a"}).status)))
                    strangers[-1].start()
                wait_until(lambda: 409 in codes, "a stranger to be refused", 20)  # the others wait
                return {"result": back(site, request, "add_guarded", {"name": "a"}).status}

            codes = []
            service.at("/guarded", call)
            assert site.client.command("guarded", {"name": "a"}).result == 200
            for stranger in strangers:
                stranger.join(60)
            assert len(codes) == inside_workers and set(codes) == {409}  # busy, or that name is there


# ---- books and tools ----------------------------------------------------------------------------------------------------


def metric(site, name):
    return float(next(line for line in site.inside.get("/metrics").text.splitlines() if line.startswith(name + " ")).split()[-1])


def test_log_and_metrics(site, service):
    before = {o: metric(site, f'writ_handlers_total{{outcome="{o}"}}') for o in ("done", "refused", "failed")}
    mark = site.writ.log_mark()
    site.client.command("untyped")
    assert " handler_ms=" in site.writ.log_since(mark) and "hook_ms=" not in site.writ.log_since(mark)
    service.at("/untyped", lambda r: (403, {"code": "NO"}))
    site.client.command("untyped")
    service.at("/untyped", lambda r: (500, None))
    site.client.command("untyped")
    after = {o: metric(site, f'writ_handlers_total{{outcome="{o}"}}') for o in before}
    assert {o: after[o] - before[o] for o in before} == {"done": 1, "refused": 1, "failed": 1}
    assert metric(site, "writ_handler_seconds_total") > 0


def test_tools(site, service):
    service.at("/sign_up", lambda r: {"result": {"call": r.json.get("call"), "role": r.json["caller"]["role"]}})
    done = writ("-c", site.writ.file, "run", "--role", "member", "sign_up", '{"name":"x"}', env=environment())
    assert json.loads(done.stdout) == {"result": {"call": None, "role": "member"}}  # no token: nobody would take it
    assert "mutex person:$args.name" in writ("-c", site.writ.file, "explain", "guarded", '{"name":"x"}').stdout
    text = writ("-c", site.writ.file, "explain", "asked_first", '{"name":"x"}').stdout
    assert "asked_first.h" in text and "handler asked_first: POST http://127.0.0.1:" in text
    assert len(service.requests) == 1
    assert writ("-c", site.writ.file, "check").returncode == 0
