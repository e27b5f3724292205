"""What each works alone, together: permissions, versions, mutexes, hooks, handlers, keys, roles."""

import pytest

from harness import Site, writ
from service import Service

SCHEMA = """
create table person (id bigint generated always as identity primary key, name text, email text, version int not null default 1);
create table done_by (who text);
create role together_member;
create role together_anyone;
grant together_member, together_anyone to writ;
grant select, insert, update, delete on person to together_member, together_anyone, writ;
grant insert on done_by to together_member, writ;
create function told() returns trigger language plpgsql as $$
  begin
    if new.name = 'not as writ' and current_user = 'writ' then raise 'as writ'; end if;
    insert into done_by values (current_user);
    return null;
  end $$;
create constraint trigger told after insert on person deferrable initially deferred for each row execute function told();
"""

MANIFEST = """
specVersion: 1
roles: {{ anonymous: together_anyone, member: together_member }}
commands:
  add_person:
    allow: [member]
    sql: insert into person (name) values (:name) returning id, name, version
    returns: one
  add_told:
    allow: [member]
    sql: insert into person (name) values (:name) returning id, name
    returns: one
    hooks: {{ after: {{ told: "{0}/told" }} }}
  add_if:
    allow: [member]
    sql: insert into person (name) values (:name) returning id, name
    returns: one
    permissions: {{ after: {{ new: {{ sql: "select count(*) = 1 from person where name = :name", as: login }} }} }}
  program:
    allow: [member]
    args: {{ name: text }}
    http: "{0}/program"
    mutex: "p:$args.name"
    permissions: {{ is_new: "not exists (select from person where name = :name)" }}
    hooks: {{ after: {{ told: "{0}/told" }} }}
  untyped:
    allow: [member]
    args: {{ name: }}
    http: "{0}/program"
    mutex: "u:$args.name"
  kept:
    allow: [member]
    args: {{ who: {{ default: null }}, name: text }}
    commands: [ add_person: {{ name: $args.name }} ]
    result: $args.who
  changed:
    allow: [member]
    sql: insert into person (name) values (:name) returning id, name
    returns: one
    hooks: {{ before: {{ lower: {{ url: "{0}/lower", changes: true }} }} }}
    permissions: {{ not_root: ":name <> 'root'" }}
    mutex: "c:$args.name"
  edit:
    allow: [member]
    sql: update person set name = :name, version = version + 1 where id = :id returning version
    returns: one
    version: select version from person where id = :id
    hooks: {{ before: {{ lower: {{ url: "{0}/edit", changes: true }} }} }}
  remove: {{ allow: [member], sql: "delete from person where name = :name", max_affected: 1, returns: count }}
"""


@pytest.fixture(scope="module")
def running(database):
    with Service() as service:
        with Site(database, MANIFEST.format(service.url("")), workers=3, inside_workers=2) as site:
            yield site, service


@pytest.fixture
def site(running):
    return running[0]


@pytest.fixture
def service(running, database):
    service = running[1]
    service.forget()
    service.at("/lower", lambda r: {"args": {"name": r.json["args"]["name"].lower()}})
    service.at("/edit", lambda r: None)
    service.at("/told", lambda r: None)
    database.execute("truncate person, done_by; truncate writ.outbox; truncate writ.idempotency")
    return service


def member(site, name, args=None, **options):
    return site.client.command(name, args, role="member", user="7", **options)


def outbox(database):
    return [row[0] for row in database.execute("select payload::json from writ.outbox order by id")]


# ---- handlers ------------------------------------------------------------------------------------------------------------


def test_after_hook_of_a_handler_with_permissions(site, service, database):
    """It is written when the program has answered: not with the permissions, which are asked ahead of it."""
    service.at("/program", lambda r: (409, {"code": "NO", "message": "no"}))
    assert member(site, "program", {"name": "x"}).code == "NO"
    assert outbox(database) == []
    service.at("/program", lambda r: {"result": 5})
    assert member(site, "program", {"name": "x"}).result == 5
    assert [item["result"] for item in outbox(database)] == [5]


def test_explain_shows_the_permissions_of_a_handler(site):
    text = writ("explain", "-c", site.writ.file, "--role", "member", "program", '{"name": "x"}').stdout
    assert text.index("its permissions, ahead of it") < text.index("program.is_new") < text.index("handler program: POST")
    assert "writ.outbox" not in text and "hook program.told" in text and "mutex p:$args.name" in text


def test_explain_of_a_dry_run_names_no_hooks(site):
    text = writ("explain", "-c", site.writ.file, "--role", "member", "--dry-run", "edit", '{"id": 1, "name": "x"}').stdout
    assert "hook edit" not in text and "rollback" in text


# ---- execute sets --------------------------------------------------------------------------------------------------------


def test_results_of_earlier_commands_stay_when_a_hook_changes_later_ones(site, service):
    answer = member(site, "execute_command_set", {"commands": [
        {"command": "add_person", "as": "p", "args": {"name": "a"}},
        {"command": "kept", "as": "k", "args": {"who": {"$ref": "p.id"}, "name": "b"}},
        {"command": "changed", "args": {"name": "C"}},
        {"command": "kept", "args": {"who": {"$ref": "k"}, "name": "d"}}]})
    assert answer.status == 200, answer
    first, kept, changed, again = [entry["result"] for entry in answer.json["results"]]
    assert kept == again == first["id"] and changed["name"] == "c"


def test_mutex_over_a_reference_is_refused_before_anything_runs(site, service, database):
    service.at("/program", lambda r: {"result": 1})
    answer = member(site, "execute_command_set", {"commands": [
        {"command": "add_person", "as": "p", "args": {"name": "a"}},
        {"command": "untyped", "args": {"name": {"$ref": "p.name"}}}]})
    assert (answer.code, answer.json["index"], answer.json["committed"]) == ("BAD_REQUEST", 1, 0)
    assert database.one("select count(*) from person") == 0 and not service.calls("/program")


# ---- roles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Prefer": "tx=rollback"}])
@pytest.mark.parametrize("command, key", [("add_person", None), ("add_person", "k1"), ("add_told", None), ("add_if", None)])
def test_what_is_deferred_runs_as_the_callers_role(site, service, database, command, key, headers):
    """Whatever writ itself does behind the writes as the login role."""
    headers = {**headers, **({"Idempotency-Key": key} if key else {})}
    assert member(site, command, {"name": "x"}, headers=headers).status == 200
    assert database.execute("select who from done_by") == ([] if "Prefer" in headers else [("together_member",)])
    assert member(site, command, {"name": "not as writ"}, headers={**headers, "Idempotency-Key": "k2"}).status == 200


def test_explain_ends_as_the_callers_role(site):
    text = writ("explain", "-c", site.writ.file, "--role", "member", "add_told", '{"name": "x"}').stdout
    order = [text.index(words) for words in ("as the login role", "after-hooks", "as the caller's role", "Sync, which commits\n")]
    assert order == sorted(order)
    assert f"{text.count('  -- ')} statements, 1 round trip" in text


# ---- what a hook has changed ---------------------------------------------------------------------------------------------


def test_permissions_see_what_a_hook_has_changed(site, service):
    assert member(site, "changed", {"name": "ROOT"}).code == "PERMISSION_DENIED"


@pytest.mark.parametrize("value", ["4111-2222", 4111.2222, {"4111": 2222}, "99999999999999999999", 1e99])
def test_what_a_hook_gives_that_fits_no_type_is_its_own_fault(site, service, value):
    """Known before or only to PostgreSQL: the caller is not shown the value, and the log neither."""
    mark = site.writ.log_mark()
    service.at("/edit", lambda r: {"args": {"id": value}})
    answer = member(site, "edit", {"id": 1, "name": "b"})
    assert (answer.status, answer.code) == (502, "HANDLER_FAILED") and b"4111" not in answer.body
    log = site.writ.log_since(mark)
    assert "changed id to what does not fit" in log and "4111" not in log and "9999" not in log
    service.at("/edit", lambda r: {"args": {"name": "c"}})
    assert member(site, "edit", {"id": "4111-2222", "name": "b"}).code == "BAD_ARGUMENT"  # the caller's own


def test_version_sees_what_a_hook_has_changed(site, service):
    ada = member(site, "add_person", {"name": "ada"}).result
    service.at("/edit", lambda r: {"args": {"version": 1}})
    assert member(site, "edit", {"id": ada["id"], "name": "b", "version": 9}).result == {"version": 2}
    service.at("/edit", lambda r: {"args": {"version": 1}})
    assert member(site, "edit", {"id": ada["id"], "name": "b", "version": 2}).code == "VERSION_MISMATCH"


def test_version_and_limit_over_references(site, service):
    def edit(version):
        return member(site, "transactional_command_set", {"commands": [
            {"command": "add_person", "as": "p", "args": {"name": "v"}},
            {"command": "edit", "args": {"id": {"$ref": "p.id"}, "name": "w", "version": version}},
            {"command": "remove", "args": {"name": {"$ref": "p.name"}}}]})

    assert edit({"$ref": "p.version"}).status == 200
    assert edit(2).code == "VERSION_MISMATCH"
    member(site, "add_person", {"name": "v"})
    member(site, "add_person", {"name": "v"})
    assert edit({"$ref": "p.version"}).code == "TOO_MANY_AFFECTED"


# ---- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["program.is_new", "changed.not_root", "edit.version"])
def test_nobody_calls_a_guard_by_its_name(site, service, name):
    request = {"commands": [{"command": name, "args": {"name": "x"}}]}
    for client in (site.client, site.inside):
        assert client.command("transactional_command_set", request, role="member").code == "UNKNOWN_COMMAND"
        assert client.command(name, {"name": "x"}, role="member").status == 404
