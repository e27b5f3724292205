"""What a request may cost, and what it may not lose: short requests that refer to much, results beyond the limits, statements
whose results nobody reads."""

import contextlib
import random
import time

import pytest

import harness

SCHEMA = """
create table code (id int primary key, fixed char(3), bits bit(4), list char(3)[]);
create function guard(x int) returns int language plpgsql stable as $$
  begin if x > 1 then raise exception 'guarded'; end if; return 1; end $$;
create table word (text text unique);
grant select, insert, update, delete on code, word to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  make: { allow: [anonymous], returns: one,
    sql: "select 'abc'::char(3) as fixed, b'1010' as bits, array['abc', 'de']::char(3)[] as list, null::jsonb as nothing" }
  put: { allow: [anonymous], returns: one,
    sql: "insert into code (id, fixed, bits, list) values (:id, :fixed, :bits, :list) returning *" }
  guarded: { allow: [anonymous], returns: none, sql: "select guard(:x)" }
  guarded_count: { allow: [anonymous], returns: count, sql: "with x as (select 1) select guard(:x) from x" }
  broken: { allow: [anonymous], sql: "select * from nothing_there" }
  is_null: { allow: [anonymous], returns: one, args: { v: jsonb }, sql: "select (:v) is null as sql_null, :v as v" }
  big: { allow: [anonymous], returns: one, args: { n: integer }, sql: "select repeat('x', :n) as x" }
  rows: { allow: [anonymous], args: { n: integer }, sql: "select i as a from generate_series(1, :n) i" }
  size: { allow: [anonymous], returns: one, args: { v: jsonb }, sql: "select pg_column_size(:v) as n" }
  rounded: { allow: [anonymous], returns: one, args: { v: "numeric(10,1)[]" }, sql: "select :v as v" }
  add_word: { allow: [anonymous], sql: "insert into word values (:text)" }
  refuse: { allow: [anonymous], args: { code: text }, sql: "select writ.fail(:code, 'no') as x" }
  text: { allow: [anonymous], returns: one, args: { v: text }, sql: "select :v as v" }
  ten: { allow: [anonymous], returns: one, args: { TYPES }, sql: "select concat_ws(',', USES) as v" }
  long: { allow: [anonymous], returns: one, args: { v: text, n: integer }, sql: "select left(:v, 3) as v, repeat('x', :n) as x" }
  passing:
    allow: [anonymous]
    args: { v: jsonb }
    commands:
      - size: { v: 1 }
    result: $args.v
  glue:
    allow: [anonymous]
    args: { v: jsonb }
    commands:
      - size: { v: $args.v }
        as: e
    result: { e: $e, v: $args.v }
"""

NAMES = "abcdefghij"
MANIFEST = MANIFEST.replace("TYPES", ", ".join(f"{name}: text" for name in NAMES)).replace(
    "USES", ", ".join(f":{name}" for name in NAMES))

SETS = ["transactional_command_set", "execute_command_set"]


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=1) as site:
        yield site


def private_kb(pid):
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def command(name, args=None, **more):
    return {"command": name, "args": args or {}, **more}


@pytest.mark.parametrize("kind", SETS)
def test_types_with_a_length(site, database, kind):
    """`character` as a cast means one character, `bit` one bit."""
    made = {name: {"$ref": f"m.{name}"} for name in ("fixed", "bits", "list")}
    answer = site.client.command(kind, {"commands": [
        command("make", **{"as": "m"}), command("put", {"id": SETS.index(kind), **made})]})
    assert answer.results[1] == {"id": SETS.index(kind), "fixed": "abc", "bits": "1010", "list": ["abc", "de "]}, answer


@pytest.mark.parametrize("kind", SETS)
def test_a_declared_length_counts_for_references_too(site, kind):
    answer = site.client.command(kind, {"commands": [
        command("rows", {"n": 1}, **{"as": "r"}), command("rounded", {"v": [1.26, {"$ref": "r.0.a"}]})]})
    assert answer.results[1] == {"v": [1.3, 1.0]}, answer
    assert b"1.0]" in answer.body


@pytest.mark.parametrize("kind", SETS)
def test_null_is_null_by_reference(site, kind):
    answer = site.client.command(kind, {"commands": [
        command("make", **{"as": "m"}), command("is_null", {"v": {"$ref": "m.nothing"}})]})
    assert answer.results[1] == site.client.command("is_null", {"v": None}).result == {"sql_null": True, "v": None}


@pytest.mark.parametrize("name", ["guarded", "guarded_count"])
def test_a_function_that_refuses_is_called_though_nobody_reads_it(site, name):
    assert site.client.command(name, {"x": 1}).status == 200
    answer = site.client.command(name, {"x": 2})
    assert (answer.status, answer.code) == (400, "RAISED"), answer


def test_a_command_out_of_order_asked_for_again_and_again(site):
    """Longer apart than the second for which PostgreSQL is not asked about it again."""
    worker = site.writ.log_mark()
    for _ in range(4):
        answer = site.client.command("broken")
        assert (answer.status, answer.code) == (500, "INTERNAL"), answer
        time.sleep(1.05)
    lines = [line for line in site.writ.log_since(worker).splitlines() if "command=broken" in line and "status=500" in line]
    assert len(lines) == 4
    assert all('detail="42P01: relation \\"nothing_there\\" does not exist"' in line for line in lines), lines


@contextlib.contextmanager
def bounded(site, seconds):
    """So much of the workers' time at most."""
    before = harness.cpu_seconds(site.writ.workers())
    yield
    assert harness.cpu_seconds(site.writ.workers()) - before < seconds * harness.PATIENCE


@pytest.mark.parametrize("kind", SETS)
def test_references_that_double(site, kind):
    """Each command gives back twice what the one before it gave: 40 of them would be 2 to the 39."""
    commands = [command("passing", {"v": "x" * 1000}, **{"as": "c0"})]
    for i in range(1, 40):
        commands.append(command("passing", {"v": 2 * [{"$ref": f"c{i - 1}"}]}, **{"as": f"c{i}"}))
    with bounded(site, 2):
        answer = site.client.command(kind, {"commands": commands})
    assert (answer.status, answer.code) == (413, "TOO_LARGE"), answer
    assert site.client.command(kind, {"commands": commands[:8]}).status == 200


@pytest.mark.parametrize("kind", SETS)
def test_many_references_to_a_long_result(site, kind):
    with bounded(site, 5):
        answer = site.client.command(kind, {"commands": [
            command("big", {"n": 900000}, **{"as": "r"}), command("size", {"v": 3000 * [{"$ref": "r.x"}]})]})
    assert answer.code == "TOO_LARGE" and answer.json["path"].startswith("/commands/1"), answer
    answer = site.client.command(kind, {"commands": [
        command("rows", {"n": 100}, **{"as": "r"}), command("size", {"v": [{"$ref": f"r.{i}.a"} for i in range(100)]})]})
    assert answer.status == 200, answer


def test_many_references_into_a_long_array(site):
    with bounded(site, 3):
        answer = site.client.set(command("rows", {"n": 1}, **{"as": "r"}),
                                 command("passing", {"v": [{"$ref": "r.0.a"}] + 30000 * [0]}, **{"as": "p"}),
                                 command("size", {"v": 30000 * [{"$ref": "p.30000"}]}))
    assert answer.status == 200, answer


def test_the_result_of_a_composite_has_a_limit_too(site):
    answer = site.client.set(command("big", {"n": 900000}, **{"as": "r"}), command("glue", {"v": 2 * [{"$ref": "r.x"}]}))
    assert (answer.status, answer.code) == (422, "TOO_LARGE"), answer
    assert answer.json["index"] == 1 and '"glue"' in answer.json["detail"]


def test_an_answer_of_almost_200_megabytes(database):
    """limits.commands times limits.result_bytes may be so much."""
    with harness.Site(database, MANIFEST, workers=1, limits={"result_bytes": 2000000}) as site:
        answer = site.client.set(*[command("big", {"n": 1400000}) for _ in range(100)])
        assert answer.status == 200 and len(answer.body) > 140000000


def test_a_value_too_long_for_its_index(site, database):
    """Any client can send one: it is no mistake of the installation."""
    chance = random.Random(1)
    answer = site.client.command("add_word", {"text": "".join(chr(chance.randrange(33, 127)) for _ in range(9000))})
    assert (answer.status, answer.code, answer.json["sqlstate"]) == (422, "DATA_ERROR", "54000"), answer


def test_an_own_code_is_one_word_of_the_log(site):
    """Whatever it holds: nobody writes other fields, or lines, into the log with it."""
    mark = site.writ.log_mark()
    answer = site.client.command("refuse", {"code": 'A B\nstatus=200 "'})
    assert answer.code == 'A B\nstatus=200 "' and answer.status == 422
    line = harness.wait_until(lambda: [l for l in site.writ.log_since(mark).splitlines() if "command=refuse" in l], "the line")
    assert ' code="A B\\nstatus=200 \\"" ' in line[0] and " status=422 " in line[0]


def test_a_dry_run_of_an_execute_set_tells_that_nothing_was_committed(site):
    answer = site.client.command("execute_command_set", {"commands": [command("refuse", {"code": "NO"})]},
                                 headers=[("Prefer", "tx=rollback")])
    assert (answer.code, answer.json["committed"]) == ("NO", 0), answer


def test_many_kinds_of_calls_in_one_set(site):
    """More than there is room for prepared statements: what one call is prepared as is never taken for another."""
    chance = random.Random(5)
    for number in range(30):
        commands, wanted = [command("text", {"v": "S"}, **{"as": "s"})], []
        broken = chance.randrange(1, 50) if number % 3 == 0 else None
        for _ in range(60):
            values = [chance.choice(["S", str(chance.randrange(100))]) for _ in NAMES]
            args = {name: {"$ref": "s.v"} if value == "S" else value for name, value in zip(NAMES, values)}
            commands.append(command("ten", args))
            wanted.append({"v": ",".join(values)})
        if broken:
            commands.insert(broken, command("refuse", {"code": "NO"}))
        answer = site.client.set(*commands)
        if broken:
            assert (answer.code, answer.json["index"]) == ("NO", broken), answer
        else:
            assert answer.results[1:] == wanted


@pytest.mark.plain
def test_100_commands_with_long_arguments_and_results():
    """20 MB one way and 20 MB the other in one flight: neither side waits for the other."""
    conf = (harness.SOURCE / "nginx-conf" / "writ.conf").read_text()
    assert "client_max_body_size 1m;" in conf
    http = harness.SITE.replace("include writ/writ.conf;", conf.replace("client_max_body_size 1m;", "client_max_body_size 40m;"))
    tcp = harness.Postgres(listen_addresses="127.0.0.1")
    tcp.port = tcp.settings["port"] = harness.free_port()
    with tcp, harness.PgBouncer(tcp) as bouncer:
        other = harness.Database(tcp, "long", SCHEMA)
        for source in ({"conninfo": other.conninfo}, {"conninfo": other.conninfo + " host=127.0.0.1", "prepared": True},
                       {"conninfo": bouncer.conninfo("long"), "prepared": False}):
            with harness.Site(other, MANIFEST, http, workers=1, datasources={"default": source},
                              limits={"body_bytes": 40000000}) as site:
                answer = site.client.set(*[command("long", {"v": f"{i:03}" * 70000, "n": 200000}) for i in range(100)])
                assert answer.status == 200, answer
                assert [(len(result["x"]), result["v"]) for result in answer.results] == \
                    [(200000, f"{i:03}") for i in range(100)]
                assert site.client.command("is_null", {"v": None}).status == 200
                # libpq's buffers grow and never shrink: the connection was replaced, and the worker is small again.
                assert not harness.is_plain() or max(private_kb(worker) for worker in site.writ.workers()) < 4000


@pytest.mark.parametrize("kind", SETS)
def test_a_reference_to_what_is_not_there_names_the_argument(site, kind):
    """Also when only PostgreSQL can know that it is not there."""
    answer = site.client.command(kind, {"commands": [
        command("rows", {"n": 2}, **{"as": "r"}), command("long", {"v": "x", "n": {"$ref": "r.2.a"}})]})
    place = {name: answer.json.get(name) for name in ("index", "path", "command", "argument")}
    assert answer.code == "BAD_REFERENCE", answer
    assert place == {"index": 1, "path": "/commands/1/args/n", "command": "long", "argument": "n"}
