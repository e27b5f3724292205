"""Commands whose logic is a shared object: what goes in and comes out, whose error it is, and what happens to a worker when a
module does what it must not. tests/module/test_module.c is the module; the example is built as a user would build it."""

import json
import os
import re
import subprocess

import pytest

import harness
from harness import Site, wait_until, writ

SCHEMA = """
create table note (id int generated always as identity primary key, text text not null unique, amount numeric);
grant select, insert, delete on note to writ;
"""


def compile_module(source, name="module.so", flags=()):
    """A shared object, in a folder of its own that everybody can read."""
    folder = harness.workspace().folder("module")
    libraries = subprocess.run(["pkg-config", "--cflags", "--libs", "jansson"], stdout=subprocess.PIPE, text=True, check=True)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-g", "-O1", *flags,
                    "-Wl,-z,defs", f"-I{harness.SOURCE}/include", "-o", folder / name, source, *libraries.stdout.split()],
                   check=True, timeout=120)
    return folder / name


@pytest.fixture(scope="module")
def shared_object():
    return compile_module(harness.SOURCE / "tests" / "module" / "test_module.c")


def compiled(text, flags=()):
    file = harness.workspace().folder("source") / "module.c"
    file.write_text("#include <writ-module.h>\n#include <stddef.h>\n" + text)
    return compile_module(file, flags=flags)


def manifest(module, more=""):
    def command(name, args="", function=""):
        return (f"  {name}: {{ allow: [anonymous, admin], args: {{ {args} }}, "
                f"module: {{ file: {module}{', function: ' + function if function else ''} }} }}\n")

    return f"""
specVersion: 1
commands:
  ping: {{ sql: select 1 as one, returns: one }}
  say: {{ sql: "select :x::int as x", returns: one }}
  add_note: {{ sql: "insert into note (text, amount) values (:text, :amount) returning id, amount", returns: one,
    args: {{ text: text, amount: {{ type: numeric, default: null }} }} }}
  add_another: {{ sql: "insert into note (text) values (:text::text || ' ' || gen_random_uuid()) returning id", returns: one }}
  is_free: {{ check: "not exists (select from note where text = :text)", error: {{ code: TAKEN, message: Somebody has it. }} }}
  who: {{ sql: "select current_setting('request.role') as role, current_setting('request.user') as u,
    current_setting('request.id') as id, current_setting('request.jwt.claims')::json as claims", returns: one }}
  wait_long: {{ sql: select pg_sleep(60)::text as slept, returns: one }}
""" + "".join([
        command("echo", "a: json, b: { type: json, default: { x: [1, two] } }"),
        command("call", "command: text, args: json, catch: { type: boolean, default: false }"),
        command("crash", "how: text, set: { type: json, default: null }"),
        command("stuck", "calls: { type: boolean, default: false }"),
        command("patient"),
        command("fail", "code: text, status: { type: int, default: 0 }, message: text"),
        command("undecided", "silent: { type: boolean, default: false }"),
        command("raw", "text: text"),
        command("twice", "text: text"),
        command("dispatch", "name: text, payload: text"),
        command("nest"),
        command("jansson", "a: json"),
        command("busy"),
        f"""  renamed: {{ allow: [admin], args: {{ a: json, b: json }},
    module: {{ file: {module}, function: echo, config: {{ deep: [1.10, {{ locale: $env.LC_ALL }}], price: $$5 }} }} }}
  count_one: {{ allow: [anonymous], module: {{ file: {module}, function: count, config: {{ greeting: hello }} }} }}
  count_two: {{ allow: [anonymous], module: {{ file: {module}, function: count, config: {{ greeting: [1.50] }} }} }}
""", more])


@pytest.fixture(scope="module")
def site(database, shared_object):
    with Site(database, manifest(shared_object), workers=1, timeout_ms=20000) as site:
        yield site


def raw(site, name, body, **who):
    return site.client.post(f"/command/{name}", body, **who)


def set_of(*commands):
    return {"commands": [{"command": name, "args": args} for name, args in commands]}


def last_end(site, mark):
    """How the worker ended that the log tells of."""
    return wait_until(lambda: re.search(r"worker-end .*", site.writ.log_since(mark)), "the end of a worker",
                      30 * harness.PATIENCE).group()


# ---- in and out -----------------------------------------------------------------------------------------------------


def test_all_that_a_module_learns(site):
    answer = site.client.command("echo", {"a": "tom"}, role="admin", user="u1", claims='{"role":"admin","x":[1,2]}',
                                 headers={"X-Request-Id": "the-id"})
    assert answer.result == {
        "command": "echo", "args": {"a": "tom", "b": {"x": [1, "two"]}}, "length": True, "config": None, "role": "admin",
        "user": "u1", "claims": {"role": "admin", "x": [1, 2]}, "id": "the-id", "in_time": True}
    nobody = site.client.command("echo", {"a": None}).result
    assert (nobody["role"], nobody["user"], nobody["claims"]) == ("anonymous", None, {"role": "anonymous"})
    assert nobody["args"] == {"a": None, "b": {"x": [1, "two"]}}


def test_digits_and_text_go_through_and_back(site):
    numbers = '[1.10, -0, 1e400, 12345678901234567890.123456789, 0.1000, {"n": 1E+2}]'
    answer = raw(site, "echo", '{"a": %s, "b": "\\u00e9\\ud83d\\ude00\\n\\"\\\\"}' % numbers)
    assert answer.status == 200, answer
    assert numbers.replace(" ", "") in answer.text
    assert answer.json["result"]["args"]["b"] == "\u00e9\U0001f600\n\"\\"
    for text in ("1.10", " [1e400 , 12345678901234567890.50]\n", "null", '"x"', '{"a":-0}'):
        answer = raw(site, "raw", {"text": text})
        assert answer.status == 200 and f'{{"result":{text}}}' == answer.text


def test_config_reaches_the_module_with_the_environment_in_it(site):
    answer = site.client.command("renamed", {"a": 1, "b": 2}, role="admin")
    assert answer.result["config"] == {"deep": [1.1, {"locale": "C.UTF-8"}], "price": "$5"}
    assert '"deep":[1.10,' in answer.text


def test_each_command_has_a_state_of_its_own(site):
    one = [site.client.command("count_one").result for _ in range(3)]
    two = site.client.command("count_two")
    assert [count["greeting"] for count in one] == ["hello"] * 3
    assert one[2]["calls"] == one[0]["calls"] + 2 and two.result["calls"] <= one[0]["calls"]
    assert '"greeting":[1.50]' in two.text
    assert re.search(r'module who=border pid=\d+ command=count_one id=- says="opened with \\"quotes\\"\\nand two lines"',
                     site.writ.log())


def test_arguments_are_judged_before_the_module_sees_them(site):
    for body, code in (({}, "BAD_ARGUMENT"), ({"a": 1, "c": 2}, "BAD_ARGUMENT"), ([], "BAD_REQUEST"), ("{", "BAD_JSON")):
        assert raw(site, "echo", body).code == code


# ---- sets -----------------------------------------------------------------------------------------------------------


def test_a_set_is_run_and_its_answer_comes_back(site):
    body = {"commands": [{"command": "is_free", "args": {"text": "a set"}},
                         {"command": "add_note", "as": "n", "args": {"text": "a set", "amount": 1.10}},
                         {"command": "say", "args": {"x": {"$ref": "n.id"}}}]}
    text = json.dumps({"command": "transactional_command_set", "args": body}).replace("1.1}", "1.10}")
    answer = raw(site, "call", text)
    results = answer.result["results"]
    assert results[0]["result"] is True and results[2]["result"]["x"] == results[1]["result"]["id"]
    assert '"amount":1.10' in answer.text
    assert site.database.one("select amount::text from note where text = 'a set'") == "1.10"


def test_one_command_and_an_execute_set(site):
    assert site.client.command("call", {"command": "ping", "args": {}}).result == {"result": {"one": 1}}
    answer = site.client.command("call", {"command": "execute_command_set", "args": set_of(("ping", {}), ("echo", {"a": 1}))})
    assert [entry["result"] for entry in answer.result["results"]][0] == {"one": 1}
    assert answer.result["results"][1]["result"]["args"]["a"] == 1


def test_an_error_of_a_set_is_the_error(site):
    site.client.command("call", {"command": "add_note", "args": {"text": "taken"}}).result
    refused = set_of(("add_note", {"text": "half"}), ("is_free", {"text": "taken"}))
    answer = site.client.command("call", {"command": "transactional_command_set", "args": refused})
    assert answer.code == "TAKEN" and answer.status == 422
    assert answer.json["detail"] == "Somebody has it." and answer.json["command"] == "call"
    assert "index" not in answer.json and "path" not in answer.json  # places in a set that the client has not sent
    answer = site.client.command("call", {"command": "add_note", "args": {"text": "taken"}})
    assert answer.code == "UNIQUE_VIOLATION" and answer.json["constraint"] == "note_text_key"
    assert site.database.one("select count(*) from note where text = 'half'") == 0
    two = set_of(("add_note", {"text": "the first is there"}), ("is_free", {"text": "taken"}))
    answer = site.client.command("call", {"command": "execute_command_set", "args": two})
    assert answer.code == "TAKEN" and not {"committed", "index", "path"} & answer.json.keys()
    assert site.database.one("select count(*) from note where text = 'the first is there'") == 1
    for args, code in (({"nonsense": 1}, "BAD_ARGUMENT"), ([], "BAD_ARGUMENT"), ({"text": {"deep": 1}}, "BAD_ARGUMENT")):
        assert site.client.command("call", {"command": "add_note", "args": args}).code == code
    assert site.client.command("call", {"command": "nobody", "args": {}}).code == "UNKNOWN_COMMAND"


def test_a_module_may_go_on_after_an_error(site):
    answer = site.client.command("call", {"command": "nobody", "args": {}, "catch": True})
    assert answer.result == {"code": "UNKNOWN_COMMAND", "status": 404, "message": 'There is no command "nobody".'}


def test_inside_of_a_module_allow_is_not_applied_and_the_caller_stays(site):
    assert site.client.command("who").code == "UNKNOWN_COMMAND"  # no allow: not for the border
    answer = site.client.command("call", {"command": "who", "args": {}}, role="admin", user="u7", claims='{"role":"admin","k":1}',
                                 headers={"X-Request-Id": "the-same-id"})
    assert answer.result["result"] == {"role": "admin", "u": "u7", "id": "the-same-id", "claims": {"role": "admin", "k": 1}}
    assert site.client.command("renamed", {"a": 1, "b": 1}).code == "UNAUTHENTICATED"
    assert site.client.command("renamed", {"a": 1, "b": 1}, role="stranger").code == "FORBIDDEN"
    assert site.client.command("call", {"command": "renamed", "args": {"a": 1, "b": 1}}).result["result"]["args"]["a"] == 1


def test_depth_is_bounded(site):
    deepest = site.client.command("nest").result
    assert 2 <= deepest <= 100
    assert site.client.command("nest").result == deepest


def test_a_module_in_sets(site):
    answer = site.client.set(("echo", {"a": 1}))
    assert answer.code == "NOT_TRANSACTIONAL" and answer.status == 400
    body = {"commands": [{"command": "echo", "as": "e", "args": {"a": 12.50}},
                         {"command": "echo", "args": {"a": {"$ref": "e.args.a"}, "b": 2}}]}
    answer = site.client.post("/command/execute_command_set", json.dumps(body).replace("12.5}", "12.50}"))
    assert answer.results[1]["args"] == {"a": 12.5, "b": 2}
    assert answer.text.count('"a":12.50') == 2
    body["commands"][1] = {"command": "fail", "args": {"code": "NO", "message": "no"}}
    answer = site.client.post("/command/execute_command_set", body)
    assert answer.code == "NO" and answer.json["committed"] == 1 and answer.json["index"] == 1


def test_what_a_keyed_module_has_done_is_not_done_again(site):
    """The repeat of an answer; and of a call whose worker died in the middle: what it had done is there once. A module that asks
    for the same twice means two."""
    count = "select count(*) from note where text like %s"
    key = {"Idempotency-Key": "module-1"}
    args = {"command": "add_note", "args": {"text": "keyed"}}
    first = site.client.command("call", args, headers=key)
    again = site.client.command("call", args, headers=key)
    assert first.result == again.result and again.header("Idempotent-Replay") == "true"
    assert site.client.command("call", args).code == "UNIQUE_VIOLATION"
    key = {"Idempotency-Key": "module-2"}
    crash = {"how": "_exit", "set": set_of(("add_note", {"text": "keyed crash"}))}
    assert site.client.command("crash", crash, headers=key).status == 502
    assert site.client.command("crash", crash, headers=key).code == "IDEMPOTENCY_CONFLICT"  # a runner goes on
    assert site.database.one(count, ["keyed crash"]) == 1
    key = {"Idempotency-Key": "module-3"}
    assert site.client.command("twice", {"text": "same"}, headers=key).status == 200
    assert site.client.command("twice", {"text": "same"}, headers=key).header("Idempotent-Replay") == "true"
    assert site.database.one(count, ["same %"]) == 2


def test_mutexes_of_modules_within_modules(database, shared_object):
    """Both are held by the same worker, each to the end of its own call; the same one is not waited for."""
    more = f"""
  outer: {{ allow: [anonymous], args: {{ command: text, args: json }}, mutex: [outer, same],
    module: {{ file: {shared_object}, function: call }} }}
  inner: {{ args: {{ command: text, args: json }}, mutex: [inner, same],
    module: {{ file: {shared_object}, function: call }} }}
  held: {{ sql: "select count(*) as n from pg_locks where locktype = 'advisory'", returns: one }}
"""
    with Site(database, manifest(shared_object, more), workers=1) as site:
        before = site.client.command("call", {"command": "held", "args": {}}).result["result"]["n"]
        within = {"command": "inner", "args": {"command": "held", "args": {}}}
        for _ in range(3):
            assert site.client.command("outer", {"command": "held", "args": {}}).result["result"]["n"] == before + 2
            assert site.client.command("outer", within).result["result"]["result"]["n"] == before + 3
        execute = {"command": "execute_command_set", "args": {"commands": [
            {"command": "inner", "args": {"command": "ping", "args": {}}}, {"command": "held"}]}}
        results = site.client.command("outer", execute).result["results"]  # inner has let go of its own, not of outer's
        assert results[1]["result"]["n"] == before + 2
        assert site.client.command("call", {"command": "held", "args": {}}).result["result"]["n"] == before


def test_a_dry_run_of_a_module_is_refused(site):
    answer = site.client.command("echo", {"a": 1}, headers={"Prefer": "tx=rollback"})
    assert answer.status == 501 and answer.code == "NOT_IMPLEMENTED"


# ---- errors ---------------------------------------------------------------------------------------------------------


def test_errors_become_the_one_error(site):
    def fail(**args):
        answer = site.client.command("fail", args)
        return answer.status, answer.code, answer.json["detail"]

    assert fail(code="TOO_OLD", status=410, message="Gone \u00e9") == (410, "TOO_OLD", "Gone \u00e9")
    assert fail(code="TOO_OLD", message="m") == (422, "TOO_OLD", "m")
    assert fail(code="NOT_FOUND", message="m") == (404, "NOT_FOUND", "m")
    assert fail(code="NOT_FOUND", status=410, message="m") == (410, "NOT_FOUND", "m")
    mark = site.writ.log_mark()
    for wrong in ({"code": "lower"}, {"code": ""}, {"code": "A" * 64}, {"code": "A", "status": 200}, {"code": "A", "status": 600}):
        assert fail(message="secret", **wrong) == (502, "HANDLER_FAILED", "The command failed.")
    assert fail(code="A", message="latin") == (502, "HANDLER_FAILED", "The command failed.")
    assert "a code is capital letters" in site.writ.log_since(mark) and "a status is 400 to 599" in site.writ.log_since(mark)


def test_the_return_value_decides(site):
    assert site.client.command("undecided").result is None
    mark = site.writ.log_mark()
    assert site.client.command("undecided", {"silent": True}).code == "HANDLER_FAILED"
    assert "function undecided failed and does not say why" in site.writ.log_since(mark)


@pytest.mark.parametrize("text", ["", "{", "nul", "1 2", '{"a":1,"a":2}', '"\\ud800"', '"\\u0000"', "01", "NaN", "[" * 2000])
def test_a_result_that_is_no_json_is_refused(site, text):
    answer = site.client.command("raw", {"text": text})
    assert (answer.status, answer.code) == (502, "HANDLER_FAILED")


def test_a_result_that_is_too_long_is_refused(database, shared_object):
    with Site(database, manifest(shared_object), workers=1, limits={"result_bytes": 100}) as site:
        assert site.client.command("raw", {"text": '"%s"' % ("x" * 98)}).result == "x" * 98
        answer = site.client.command("raw", {"text": '"%s"' % ("x" * 99)})
        assert (answer.status, answer.code) == (422, "TOO_LARGE")


def test_dispatch_is_checked(site):
    assert site.client.command("dispatch", {"name": "PROGRESS", "payload": '{"value": 0.5}'}).result == 0  # nobody follows
    for name, payload in (("", "{}"), ("x" * 64, "{}"), ("X", "{"), ("X", "")):
        assert site.client.command("dispatch", {"name": name, "payload": payload}).code == "HANDLER_FAILED"


def test_jansson_in_a_module_is_not_disturbed(site):
    for _ in range(20):
        answer = site.client.command("jansson", {"a": ["x" * 100] * 50})
        assert answer.result["more"] == "from jansson" and len(answer.result["a"]) == 50


# valgrind has something to say of any process that a signal of its own making ends.
not_under_valgrind = pytest.mark.skipif(harness.VALGRIND, reason="valgrind reports the crash that is meant to be")


# ---- accidents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how, told", [
    pytest.param("segv", "signal=SIGSEGV", marks=not_under_valgrind),
    pytest.param("abort", "signal=SIGABRT", marks=not_under_valgrind), ("exit", "exit=1"), ("_exit", "exit=3")])
def test_a_crash_ends_that_worker_only(database, shared_object, how, told):
    with Site(database, manifest(shared_object), workers=2) as site:
        before, mark = set(site.writ.workers()), site.writ.log_mark()
        text = f"crash {how}"
        two = set_of(("add_note", {"text": text + " 1"}), ("add_note", {"text": text + " 2"}))
        assert site.client.command("crash", {"how": how, "set": two}).status == 502
        assert database.one("select count(*) from note where text like %s", [text + "%"]) == 2  # it was answered: it is there
        half = set_of(("add_note", {"text": text + " 3"}), ("add_note", {"text": text + " 1"}))
        assert site.client.command("crash", {"how": how, "set": half}).code == "UNIQUE_VIOLATION"  # and this is not, at all
        assert database.one("select count(*) from note where text like %s", [text + "%"]) == 2
        end = last_end(site, mark)
        assert told in end and "in_request=1" in end
        assert site.client.command("call", {"command": "ping", "args": {}}).result == {"result": {"one": 1}}
        wait_until(lambda: len(site.writ.workers()) == len(before), "a worker in its place", 30 * harness.PATIENCE)
        assert len(before - set(site.writ.workers())) == 1
        if how == "exit":
            assert 'command=crash reason="the module has called exit"' in site.writ.log_since(mark)


@not_under_valgrind
@pytest.mark.parametrize("calls", [False, True])
def test_a_module_that_is_stuck_does_not_keep_its_worker(database, shared_object, calls):
    with Site(database, manifest(shared_object), workers=1, timeout_ms=1000) as site:
        mark = site.writ.log_mark()
        assert site.client.command("stuck", {"calls": calls}).status == 502
        assert "signal=SIGALRM" in last_end(site, mark)
        assert site.client.command("call", {"command": "ping", "args": {}}).result == {"result": {"one": 1}}


def test_the_deadline_is_known_to_a_module_and_holds_for_its_sets(database, shared_object):
    with Site(database, manifest(shared_object), workers=1, timeout_ms=1500) as site:
        workers = site.writ.workers()
        answer = site.client.command("patient")
        assert (answer.status, answer.code, answer.json["detail"]) == (504, "TIMEOUT", "too late")
        assert site.client.command("call", {"command": "wait_long", "args": {}}).code == "TIMEOUT"
        assert site.client.command("call", {"command": "wait_long", "args": {}, "catch": True}).result["code"] == "TIMEOUT"
        assert set(workers) <= set(site.writ.workers())


def test_a_worker_that_learns_how_a_set_ended_is_not_cut_off(postgres, database, shared_object):
    """PostgreSQL falls silent in a set's commit: writd waits for the outcome for longer than a module may stay, and then the
    module still has its time to do something about it."""
    with harness.Proxy(postgres) as proxy, Site(database, manifest(shared_object), workers=1, timeout_ms=1500,
                                                datasources={"default": proxy.conninfo(database.name)}) as site:
        assert site.client.command("call", {"command": "ping", "args": {}}).result == {"result": {"one": 1}}
        workers = site.writ.workers()
        proxy.ask("rule", way="to_client", match="amount", action="stall")
        with harness.elapsed() as time:
            answer = site.client.command("call", {"command": "add_note", "args": {"text": "silence"}, "catch": True})
        assert time.seconds > 1.5 + 2  # of the deadline and of a module's grace: the case is there
        assert answer.result["code"] == "COMMIT_UNKNOWN"
        assert set(workers) <= set(site.writ.workers())
        proxy.ask("resume")


def test_memory_stays_what_it_is(database, shared_object):
    """A worker's private memory after 20,000 calls (WRIT_CALLS: another number), as after the first hundreds."""
    calls = int(os.environ.get("WRIT_CALLS", "20000" if not (harness.VALGRIND or sanitized()) else "1000"))
    with Site(database, manifest(shared_object), workers=1, inside_workers=1, max_requests=0, log_level="warn") as site:
        (inside, border) = sorted(site.writ.workers(), key=lambda pid: "border" in open(f"/proc/{pid}/comm").read())
        assert "border" in open(f"/proc/{border}/comm").read(), inside
        body = {"commands": [{"command": "busy", "args": {}}] * 100}

        def hundred():
            assert len(site.client.post("/command/execute_command_set", body).results) == 100

        for _ in range(3):
            hundred()
        before = private_kb(border)
        for _ in range(calls // 100):
            hundred()
        grown = private_kb(border) - before
        assert sanitized() or harness.VALGRIND or grown <= 256, f"grown by {grown} kB"
        assert border in site.writ.workers()


def sanitized():
    return b"__asan_init" in (harness.BUILD / "writd").read_bytes()


def private_kb(pid):
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


# ---- as a user builds one --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example():
    """The folder of the example, built by its own Makefile with what `make install` installs, found by pkg-config alone."""
    if not (harness.BUILD / "Makefile").exists():
        pytest.skip("WRIT_BUILD is no build folder: nothing can be installed from it")
    folder = harness.workspace().folder("example")
    root = folder / "root"
    subprocess.run(["make", "-C", harness.BUILD, f"DESTDIR={root}", "install-includeHEADERS", "install-pkgconfigDATA"], check=True,
                   stdout=subprocess.PIPE, timeout=120)
    (pc,) = root.rglob("writ-module.pc")
    for file in (harness.SOURCE / "examples" / "module").iterdir():
        if file.suffix != ".so":
            (folder / file.name).write_bytes(file.read_bytes())
    where = {"PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(root)}
    subprocess.run(["make", "-C", folder, "CFLAGS=-Wall -Wextra -Werror"], check=True, env={**os.environ, **where}, timeout=120)
    subprocess.run(["make", "-C", folder, "install", f"DESTDIR={folder}/there"], check=True, env={**os.environ, **where}, timeout=120)
    assert list((folder / "there").rglob("writ/sign_up.so")) and list((folder / "root").rglob("include/writ-module.h"))
    return folder


def test_the_example(postgres, example):
    database = harness.Database(postgres, "module_example", (example / "schema.sql").read_text())
    text = (example / "manifest.yaml").read_text().replace("./sign_up.so", str(example / "sign_up.so"))
    with Site(database, text) as site:
        def create(username, email):
            return site.client.command("create_user", {"username": username, "email": email})

        assert create("ada", "ada@Example.ORG").result == {"id": 1, "username": "ada", "email": "ada@example.org"}
        assert create('a "b" \\ \u00e9', 'x"y@b.example').result["username"] == 'a "b" \\ \u00e9'
        for email in ("ada", "@b.c", "a@b", "a@.c", "a@b.", "a@b@c.d", "a b@c.d", None):
            answer = create("bob", email)
            assert (answer.status, answer.code) == (422, "BAD_EMAIL"), email
        assert create("bob", 1).code == "BAD_ARGUMENT"  # args: says text
        assert create("bob", "bob@EXAMPLE.com").code == "BLOCKED_DOMAIN"
        answer = create("ada", "other@example.org")
        assert (answer.status, answer.code, answer.json["command"]) == (409, "USERNAME_TAKEN", "create_user")
        for direct in ("add_user", "unique_username"):
            assert site.client.command(direct, {"username": "x", "email": "x@y.z"}).code == "UNKNOWN_COMMAND"
        assert database.one("select count(*) from app_user") == 2
    database.drop()


# ---- what is found before a worker starts -----------------------------------------------------------------------------


ONE = 'static int run(struct writ_call *call, void *state) { (void)call; (void)state; return WRIT_OK; }\n'
TABLE = ONE + 'static const struct writ_function table[] = {{"x", run, NULL, NULL}};\n'

BROKEN = {
    "no entry": ("int nothing;", "is no module of writ: it has no writ_module_entry"),
    "other version": (TABLE + """static const struct writ_module m = {2, sizeof m, sizeof *table, "t", 1, table};
        const struct writ_module *writ_module_entry(void) { return &m; }""",
                      "is made for version 2 of the interface, this writ has version 1"),
    "nothing": ("const struct writ_module *writ_module_entry(void) { return NULL; }", "writ_module_entry gives nothing"),
    "too small": (TABLE + """static const struct writ_module m = {1, 8, sizeof *table, "t", 1, table};
        const struct writ_module *writ_module_entry(void) { return &m; }""", "uses what only a newer writ has"),
    "longer module": (TABLE + """static const struct { struct writ_module m; void *more; } m =
        {{1, sizeof m, sizeof *table, "t", 1, table}, &run};
        const struct writ_module *writ_module_entry(void) { return &m.m; }""", "uses what only a newer writ has"),
    "longer function": (ONE + """static const struct { struct writ_function f; void *more; } table[] = {{{"x", run, 0, 0}, &run}};
        static const struct writ_module m = {1, sizeof m, sizeof *table, "t", 1, &table[0].f};
        const struct writ_module *writ_module_entry(void) { return &m; }""", "function x uses what only a newer writ has"),
    "other function": (TABLE.replace('"x"', '"y"') + 'WRIT_MODULE("t", table)', "has no function x; there are: y"),
    "no run": (TABLE.replace("run, NULL", "(void *)(1 ? NULL : run), NULL") + 'WRIT_MODULE("t", table)', "function x has no run"),
    "crash": (TABLE + 'WRIT_MODULE("t", table)\n__attribute__((constructor)) static void go(void) { __builtin_trap(); }',
              "while it was loaded it crashed with SIG"),
    "silent": (TABLE.replace("run, NULL", "run, go").replace("static const",
               "static int go(struct writ_call *c, void **s) { (void)c; (void)s; return 5; }\nstatic const", 1)
               + 'WRIT_MODULE("t", table)', "function x does not open: it does not say why"),
}


def files(folder, text, database=None):
    (folder / "manifest.yaml").write_text(text)
    conninfo = database.conninfo if database else "dbname=none"
    (folder / "writ.yaml").write_text(f'datasources: {{ default: "{conninfo}" }}\n'
                                      f"border: {{ socket: {folder}/b.sock }}\ninside: {{ socket: {folder}/i.sock }}\n")
    return folder / "writ.yaml"


def single(module, more=""):
    return f"specVersion: 1\ncommands:\n  # one\n  x: {{ module: {{ file: {module}{more} }} }}\n"


def mistakes(text):
    """What writ check and writd have against a manifest, which is the same."""
    file = files(harness.workspace().folder("check"), text)
    done = writ("-c", file, "check", "--offline", check=False)
    assert done.returncode == 1, done.stdout
    start = harness.run([harness.workspace().bin / "writd", "-c", file], check=False)
    problems = [line for line in done.stdout.splitlines() if "error: " in line]  # the log has times and process ids
    assert start.returncode == 1 and problems == [line for line in start.stdout.splitlines() if "error: " in line]
    return done.stdout.replace(str(file.parent) + "/", "")


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_module_of_this_writ_is_a_mistake_of_the_manifest(what):
    source, complaint = BROKEN[what]
    module = compiled(source)
    assert f"manifest.yaml:4: error: x: module: file: {module}: {complaint}" in mistakes(single(module))


def test_an_older_writ_takes_what_a_newer_module_does_not_use(database):
    module = compiled(ONE + """static const struct { struct writ_function f; void *more; } table[] = {{{"x", run, 0, 0}, NULL}};
        static const struct { struct writ_module m; void *more; } m = {{1, sizeof m, sizeof *table, "t", 1, &table[0].f}, NULL};
        const struct writ_module *writ_module_entry(void) { return &m.m; }""")
    assert writ("-c", files(harness.workspace().folder("check"), single(module)), "check", "--offline").returncode == 0


def test_what_a_manifest_says_of_a_module(shared_object):
    folder = shared_object.parent

    def complaint(module, mode=0o644):
        os.chmod(shared_object, mode)
        try:
            return mistakes(f"specVersion: 1\ncommands:\n  echo: {{ module: {module} }}\n")
        finally:
            os.chmod(shared_object, 0o644)

    assert "manifest.yaml:3: error: echo: module: file: " in complaint("./none.so")
    assert "none.so: No such file or directory" in complaint("./none.so")
    assert f"{folder}: is no file" in complaint(str(folder))
    assert "everybody can write it: chmod o-w" in complaint(str(shared_object), 0o666)
    assert "file: is missing" in complaint("{ function: echo }")
    assert "unknown key fil; did you mean file?" in complaint(f"{{ fil: {shared_object} }}")
    assert "must be a mapping" in complaint("[1]")
    assert "file: must be text" in complaint("{ file: 1 }")
    assert "$env.no/such: is no reference" in complaint(f"{{ file: {shared_object}, config: {{ a: $env.no/such }} }}")
    for key in ("sql: select 1 as one", "http: 'http://127.0.0.1:1/'", "returns: one", "isolation: serializable"):
        text = f"specVersion: 1\ncommands:\n  echo: {{ module: {shared_object}, {key} }}\n"
        assert "manifest.yaml:3: error: echo: " in mistakes(text)
    text = f"specVersion: 1\ncommands:\n  echo: {{ module: {shared_object} }}\n  c: {{ commands: [ {{ echo: {{}} }} ] }}\n"
    assert "manifest.yaml:4: error: c: " in mistakes(text)


def test_a_folder_that_everybody_can_write_is_refused(shared_object):
    os.chmod(shared_object.parent, 0o777)
    try:
        assert "everybody can write its folder: chmod o-w" in mistakes(single(shared_object, ", function: echo"))
    finally:
        os.chmod(shared_object.parent, 0o755)


@pytest.mark.parametrize("config, complaint", [
    ("{}", "function count does not open: config: needs a greeting"),
    ("{ crash: true }", "while it was loaded it crashed with SIGSEGV"),
    ("{ exit: true }", "while it was loaded the process ended with status 1"),
    ("{ stuck: true }", "while it was loaded it took longer than 10 s"),
])
def test_a_module_that_does_not_open_is_found_by_the_check(shared_object, config, complaint):
    assert complaint in mistakes(single(shared_object, f", function: count, config: {config}"))


def test_a_config_that_cannot_be_known_here_is_not_opened(shared_object):
    """writ check may run without the secrets of writd."""
    file = files(harness.workspace().folder("check"),
                 single(shared_object, ", function: count, config: { greeting: $env.NOBODY_SETS_THIS }"))
    done = writ("-c", file, "check", "--offline")
    assert "warning: " in done.stdout and "NOBODY_SETS_THIS" in done.stdout


def test_the_tool_checks_explains_and_runs_a_module(database, shared_object):
    file = files(harness.workspace().folder("check"), manifest(shared_object), database)
    assert "no errors" in writ("-c", file, "check").stdout
    explained = writ("-c", file, "explain", "renamed", '{"a": 1, "b": 2}').stdout
    assert f"module renamed: function echo of {shared_object}" in explained and "no transaction of its own" in explained
    done = writ("-c", file, "run", "--role", "r", "--user", "u", "call", '{"command": "who", "args": {}}')
    result = json.loads(done.stdout.splitlines()[-1])["result"]["result"]
    assert (result["role"], result["u"]) == ("r", "u")
    done = writ("-c", file, "run", "fail", '{"code": "NO", "message": "not today"}', check=False)
    assert done.returncode == 1 and "writ: NO: not today" in done.stdout


def test_a_relative_file_stands_beside_the_manifest(database, shared_object):
    folder = harness.workspace().folder("check")
    (folder / "lib").mkdir()
    os.symlink(shared_object, folder / "lib" / "a.so")
    file = files(folder, single("./lib/a.so", ", function: undecided"))
    assert writ("-c", file, "check", "--offline", cwd="/").returncode == 0
    # Where the link leads is found once: were it changed, some workers would have one module and some the other.
    assert f"function undecided of {shared_object}" in writ("-c", file, "explain", "x").stdout


def test_a_reload_with_a_module_that_is_none_changes_nothing(database, shared_object):
    with Site(database, manifest(shared_object), workers=1) as site:
        mark = site.writ.log_mark()
        site.writ.write(single(compiled("int nothing;")))
        site.writ.reload()
        wait_until(lambda: " reload " in site.writ.log_since(mark), "the reload", 30 * harness.PATIENCE)
        assert "done=0" in site.writ.log_since(mark) and "it has no writ_module_entry" in site.writ.log_since(mark)
        assert site.client.command("undecided").result is None
        mark = site.writ.log_mark()
        site.writ.write(manifest(shared_object, f"  again: {{ allow: [anonymous], module: {{ file: {shared_object}, function: undecided }} }}\n"))
        site.writ.reload()
        wait_until(lambda: "done=1" in site.writ.log_since(mark), "the reload", 30 * harness.PATIENCE)
        assert site.client.command("again").result is None


def test_a_module_that_is_gone_puts_its_command_out_of_order_alone(database, shared_object):
    copy = harness.workspace().folder("module") / "copy.so"
    copy.write_bytes(shared_object.read_bytes())
    more = f"  doomed: {{ allow: [anonymous], module: {{ file: {copy}, function: undecided }} }}\n"
    with Site(database, manifest(shared_object, more), workers=1) as site:
        assert site.client.command("doomed").result is None
        copy.unlink()
        site.client.command("crash", {"how": "_exit"})  # another worker takes its place
        assert site.client.command("undecided").result is None
        assert site.client.command("doomed").code == "HANDLER_FAILED"
        assert re.search(r"error module who=border .*command=doomed file=.*copy.so.* reason=\"cannot be loaded", site.writ.log())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can tell")
def test_root_loads_no_module(shared_object):
    file = files(harness.workspace().folder("check"), single(shared_object, ", function: undecided"))
    done = subprocess.run([harness.workspace().bin / "writ", "-c", file, "check", "--offline"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60 * harness.PATIENCE, env=harness.environment())
    assert done.returncode == 0 and "modules are not tried: root loads none" in done.stdout
    with open(file, "a") as more:
        more.write("user: nobody\n")
    done = subprocess.run([harness.workspace().bin / "writ", "-c", file, "check", "--offline"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60 * harness.PATIENCE, env=harness.environment())
    assert done.returncode == 0 and "not tried" not in done.stdout
    done = subprocess.run([harness.workspace().bin / "writ", "-c", file, "run", "x"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60 * harness.PATIENCE, env=harness.environment())
    assert done.returncode == 1 and "is not loaded by root" in done.stdout
