"""Permission queries before and after the writes, version guards, and limits of affected rows."""

import threading

import pytest

import harness

SCHEMA = """
create table shop (id int primary key, open boolean, owner text not null);
create table pet (id bigint generated always as identity primary key, shop int not null references shop, name text not null,
    version int not null default 1);
create table secret (role text primary key, may boolean not null);
insert into shop values (1, true, 'ann'), (2, false, 'ann'), (3, null, 'bob'), (4, true, 'bob');
insert into secret values ('customer', true);
create role perm_customer;
grant perm_customer to writ;
grant select, insert, update, delete on pet to perm_customer, writ;
grant select, insert, update on shop to perm_customer, writ;
grant select, update on secret to writ; -- and not to the customer
alter table shop enable row level security;
create policy seen on shop using (id <> 4 or current_user = 'writ');
"""

MANIFEST = """
specVersion: 1
roles: { customer: perm_customer, anonymous: perm_customer }
commands:
  add_pet:
    allow: [customer]
    sql: insert into pet (shop, name) values (:shop, :name) returning id, name, version
    returns: one
    permissions:
      before: { is_open: "select open from shop where id = :shop" }
      after: { not_too_many: "(select count(*) <= 3 from pet where shop = :shop)" }
  plain_pet: { sql: "insert into pet (shop, name) values (:shop, :name) returning id, shop", returns: one }
  owner_renames:
    allow: [customer]
    sql: update pet set name = :name where id = :id returning id, name
    returns: optional
    permissions:
      owns_it: "exists (select from pet join shop on shop.id = pet.shop where pet.id = :id and owner = :user)"
  claimed: { allow: [customer], sql: select 1 as n, permissions: { ok: ":claims ->> 'team' = 'red' and :role = 'customer'" } }
  secret: { allow: [customer], sql: select 1 as n, permissions: { may: { sql: "select may from secret where role = :role", as: login, lock: none } } }
  hidden: { allow: [customer], sql: select 1 as n, permissions: { may: "select may from secret where role = :role" } }
  with_token:
    allow: [customer]
    args: { id: bigint, token: text }
    sql: delete from pet where id = :id
    permissions: { knows: ":token = 'sesame'" }
  upsert_shop:
    sql: |
      insert into shop (id, open, owner) values (:id, :open, :owner)
      on conflict (id) do update set open = excluded.open, owner = excluded.owner returning id, owner
    returns: one
    permissions:
      before: { was_theirs: "not exists (select from shop where id = :id and owner <> :user)" }
      after: { is_theirs: ":result ->> 'owner' = :user", not_both: "(select count(*) < 3 from shop where owner = :user)" }
  pair:
    allow: [customer]
    args: { shop: int, a: text, b: text }
    commands:
      - plain_pet: { shop: $args.shop, name: $args.a }
        as: a
      - plain_pet: { shop: $args.shop, name: $args.b }
        as: b
    result: { a: $a.id, b: $b.id }
    permissions:
      before: { is_open: { sql: "select open from shop where id = :shop", lock: share } }
      after: { different: ":a <> :b", has_ids: "(:result ->> 'b')::bigint > (:result ->> 'a')::bigint" }
  in_order:
    args: { shop: int, name: text }
    commands:
      - plain_pet: { shop: $args.shop, name: $args.name }
        as: p
      - guarded: { id: $p.id }
  guarded:
    sql: update pet set name = name || '!' where id = :id returning name
    returns: one
    permissions: { is_there: "exists (select from pet where id = :id)" }
  counts: { sql: select 1 as n, permissions: { few: "select count(*) < 1000 from pet" } }
  always: { sql: select 1 as n, permissions: { no: false } }
  nothing: { sql: select 1 as n, permissions: { none: "select true where false" } }
  unknown: { sql: select 1 as n, permissions: { none: "select null::boolean" } }
  all_rows: { args: { b: boolean }, sql: select 1 as n, permissions: { all: { sql: "values (true), (:b::boolean)" } } }
  edit:
    allow: [customer]
    sql: update pet set name = :name, version = version + 1 where id = :id returning version
    returns: one
    version: select version from pet where id = :id
  edit_surely:
    sql: update pet set name = :name, version = version + 1 where id = :id returning version
    returns: one
    version: { sql: "select version from pet where id = :id", required: true }
  few: { sql: "update pet set name = name where shop = :shop", max_affected: 2 }
  few_rows: { sql: "update pet set name = name where shop = :shop returning id", max_affected: 2 }
  few_none: { sql: "delete from pet where shop = :shop returning id", max_affected: 2, returns: none }
"""


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=2, inside_workers=1) as site:
        yield site


@pytest.fixture(autouse=True)
def clean(database):
    database.execute("truncate pet; delete from shop where id > 4")


class Caller:
    """A client at the border that is always the same caller."""

    def __init__(self, site, **told):
        self.client, self.told = site.client, told

    def command(self, name, args=None, **options):
        return self.client.command(name, args, **{**self.told, **options})


@pytest.fixture(scope="module")
def ann(site):
    return Caller(site, role="customer", user="ann")


def pets(database):
    return database.one("select count(*) from pet")


def test_before_passes_and_refuses(site, ann, database):
    assert ann.command("add_pet", {"shop": 1, "name": "Rex"}).result["name"] == "Rex"
    for shop in (2, 3, 4, 99):  # closed; null; hidden by row-level security; not there
        answer = ann.command("add_pet", {"shop": shop, "name": "Rex"})
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), shop
        assert "is_open" in answer.json["detail"] and "add_pet" in answer.json["detail"]
        assert "select" not in answer.text and "shop where" not in answer.text
        assert answer.json["command"] == "add_pet"
    assert pets(database) == 1


def test_after_sees_the_writes_and_undoes_them(ann, database):
    for i in range(3):
        assert ann.command("add_pet", {"shop": 1, "name": f"n{i}"}).status == 200
    answer = ann.command("add_pet", {"shop": 1, "name": "one too many"})
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    assert "not_too_many" in answer.json["detail"]
    assert pets(database) == 3


def test_in_a_set_the_place_is_told_and_nothing_stays(site, database):
    answer = site.inside.command("transactional_command_set", {"commands": [
        {"command": "plain_pet", "args": {"shop": 1, "name": "a"}},
        {"command": "add_pet", "args": {"shop": 2, "name": "b"}}]})
    assert (answer.status, answer.code, answer.json["index"]) == (403, "PERMISSION_DENIED", 1)
    assert pets(database) == 0


def test_before_runs_ahead_of_all_writes_of_the_set(site, database):
    """The second command's permission would fail if it saw what the first has done."""
    commands = [{"command": "upsert_shop", "args": {"id": 1, "open": False, "owner": "ann"}},
                {"command": "add_pet", "args": {"shop": 1, "name": "b"}}]
    try:
        answer = site.inside.command("transactional_command_set", {"commands": commands}, user="ann")
        assert answer.status == 200, answer.text
        assert site.inside.command("add_pet", {"shop": 1, "name": "c"}).code == "PERMISSION_DENIED"
    finally:
        database.execute("update shop set open = true where id = 1")


def test_a_permission_over_a_reference_waits_for_it(site, database):
    made = site.inside.command("in_order", {"shop": 1, "name": "x"})
    assert made.result == {"name": "x!"}
    answer = site.inside.command("transactional_command_set", {"commands": [
        {"command": "plain_pet", "as": "p", "args": {"shop": 1, "name": "a"}},
        {"command": "guarded", "args": {"id": {"$ref": "p.shop"}}}]})
    assert (answer.code, answer.json["index"]) == ("PERMISSION_DENIED", 1)
    assert pets(database) == 1


def test_exists_and_the_caller(site, ann):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    other = site.inside.command("plain_pet", {"shop": 3, "name": "Rex"}).result["id"]
    assert ann.command("owner_renames", {"id": pet, "name": "Max"}).result["name"] == "Max"
    assert ann.command("owner_renames", {"id": other, "name": "Max"}).code == "PERMISSION_DENIED"
    assert Caller(site, role="customer").command("owner_renames", {"id": pet, "name": "x"}).code == "PERMISSION_DENIED"


def test_claims_and_role(site):
    red = Caller(site, role="customer", claims='{"team": "red"}')
    assert red.command("claimed").status == 200
    for claims in ('{"team": "blue"}', '{"team": null}', "{}", None):
        assert Caller(site, role="customer", claims=claims).command("claimed").code == "PERMISSION_DENIED"


def test_as_login_reads_what_the_caller_may_not(ann, database):
    assert ann.command("secret").status == 200
    assert ann.command("hidden").code == "FORBIDDEN"  # 42501: the caller's role has no right to that table
    database.execute("update secret set may = false")
    try:
        assert ann.command("secret").code == "PERMISSION_DENIED"
    finally:
        database.execute("update secret set may = true")


def test_an_argument_for_the_permission_alone(site, ann, database):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    assert ann.command("with_token", {"id": pet, "token": "wrong"}).code == "PERMISSION_DENIED"
    assert ann.command("with_token", {"id": pet}).code == "BAD_ARGUMENT"
    assert ann.command("with_token", {"id": pet, "token": "sesame"}).status == 200
    assert pets(database) == 0


def test_upsert_as_it_was_and_as_it_becomes(site, database):
    def upsert(id, owner, user="ann"):
        return site.inside.command("upsert_shop", {"id": id, "open": True, "owner": owner}, user=user)

    try:
        assert upsert(1, "ann").status == 200
        assert "was_theirs" in upsert(3, "ann").json["detail"]
        assert "is_theirs" in upsert(1, "bob").json["detail"]
        assert "not_both" in upsert(5, "ann").json["detail"]
        assert database.one("select count(*) from shop") == 4
        assert database.one("select owner from shop where id = 1") == "ann"
    finally:
        database.execute("delete from shop where id > 4; update shop set open = true where id = 1")


def test_composite(ann, database):
    answer = ann.command("pair", {"shop": 1, "a": "x", "b": "y"})
    assert set(answer.result) == {"a", "b"}
    assert "different" in ann.command("pair", {"shop": 1, "a": "x", "b": "x"}).json["detail"]
    assert "is_open" in ann.command("pair", {"shop": 2, "a": "x", "b": "y"}).json["detail"]
    assert pets(database) == 2


@pytest.mark.parametrize("name", ["always", "nothing", "unknown"])
def test_only_true_passes(site, name):
    assert site.inside.command(name).code == "PERMISSION_DENIED"


def test_every_row_must_be_true(site):
    assert site.inside.command("all_rows", {"b": True}).status == 200
    assert site.inside.command("all_rows", {"b": False}).code == "PERMISSION_DENIED"


def test_rows_looked_at_cannot_change_until_the_commit(database):
    """The permission holds the shop's row: whoever would close it waits for the transaction."""
    manifest = """
specVersion: 1
commands:
  slow:
    sql: insert into pet (shop, name) select :shop, 'slow' from (select pg_advisory_xact_lock(77)) x returning shop
    args: { shop: int }
    permissions: { is_open: "select open from shop where id = :shop" }
  slow_exists:
    sql: insert into pet (shop, name) select :shop, 'slow' from (select pg_advisory_xact_lock(77)) x returning shop
    args: { shop: int }
    permissions: { is_open: "exists (select from shop where id = :shop and open)" }
"""
    database.execute("grant insert on pet to writ")
    with harness.Site(database, manifest, workers=1) as site, database.connect() as blocker, database.connect() as closer:
        for name in ("slow", "slow_exists"):
            blocker.execute("select pg_advisory_lock(77)")
            answers = []
            thread = threading.Thread(target=lambda: answers.append(site.inside.command(name, {"shop": 1})))
            thread.start()
            try:
                harness.wait_until(lambda: database.one("select count(*) from pg_locks where locktype = 'advisory' and not granted"),
                                   "the command waits")
                closer.execute("set lock_timeout = '300ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    closer.execute("update shop set open = open where id = 1")
                closer.rollback()
            finally:
                blocker.execute("select pg_advisory_unlock(77)")
                thread.join()
            assert answers[0].status == 200, answers[0].text


def test_two_that_change_the_row_they_look_at_do_not_deadlock(site, ann, database):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    answers = []

    def many():
        for i in range(30):
            answers.append(ann.command("edit", {"id": pet, "name": f"n{i}", "version": None}).status)
            answers.append(site.inside.command("guarded", {"id": pet}).status)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(answers) == {200}


def test_version_as_argument_and_as_if_match(site, ann, database):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    assert ann.command("edit", {"id": pet, "name": "a", "version": 1}).result == {"version": 2}
    answer = ann.command("edit", {"id": pet, "name": "b", "version": 1})
    assert (answer.status, answer.code, answer.json["retryable"]) == (412, "VERSION_MISMATCH", False)
    assert ann.command("edit", {"id": pet, "name": "b"}, headers={"If-Match": '"2"'}).result == {"version": 3}
    assert ann.command("edit", {"id": pet, "name": "c"}, headers={"If-Match": '"2"'}).status == 412
    assert ann.command("edit", {"id": pet, "name": "d"}).result == {"version": 4}  # not asked for, not required
    assert ann.command("edit", {"id": -1, "name": "d", "version": 4}).status == 412
    assert database.one("select name from pet") == "d"


@pytest.mark.parametrize("tag", ["*", "2", 'W/"2"', '"1", "2"', '"'])
def test_if_match_that_is_no_version(site, ann, tag):
    answer = ann.command("edit", {"id": 1, "name": "x"}, headers={"If-Match": tag})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


def test_if_match_is_never_ignored(site, ann):
    headers = {"If-Match": '"1"'}
    assert ann.command("edit", {"id": 1, "name": "x", "version": 1}, headers=headers).code == "BAD_REQUEST"
    assert ann.command("claimed", {}, headers=headers).code == "BAD_REQUEST"
    assert ann.command("transactional_command_set", {"commands": []}, headers=headers).code == "BAD_REQUEST"
    assert ann.command("edit", {"id": 1, "name": "x"}, headers={"If-Match": '"one"'}).code == "BAD_ARGUMENT"


def test_version_required(site):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    answer = site.inside.command("edit_surely", {"id": pet, "name": "a"})
    assert (answer.status, answer.code, answer.json["argument"]) == (400, "BAD_ARGUMENT", "version")
    assert site.inside.command("edit_surely", {"id": pet, "name": "a", "version": 1}).status == 200


def test_version_race_has_one_winner(site, database):
    pet = site.inside.command("plain_pet", {"shop": 1, "name": "Rex"}).result["id"]
    client = Caller(site, role="customer", user="ann")
    answers = []
    barrier = threading.Barrier(6)

    def race():
        barrier.wait()
        answers.append(client.command("edit", {"id": pet, "name": "x", "version": 1}).status)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [200] + 5 * [412]
    assert database.one("select version from pet") == 2


@pytest.mark.parametrize("name", ["few", "few_rows", "few_none"])
def test_max_affected(site, database, name):
    for i in range(2):
        site.inside.command("plain_pet", {"shop": 1, "name": f"n{i}"})
    if name != "few_none":
        assert site.inside.command(name, {"shop": 1}).status == 200
    site.inside.command("plain_pet", {"shop": 1, "name": "third"})
    answer = site.inside.command(name, {"shop": 1})
    assert (answer.status, answer.code) == (422, "TOO_MANY_AFFECTED")
    assert pets(database) == 3
    assert site.inside.command(name, {"shop": 2}).result == {"few": 0, "few_rows": [], "few_none": None}[name]


def test_one_round_trip(database, postgres):
    with harness.Proxy(postgres, delay_ms=20) as proxy, \
            harness.Site(database, MANIFEST, datasources={"default": proxy.conninfo(database.name)}, workers=1) as site:
        ann = Caller(site, role="customer", user="ann")
        assert ann.command("add_pet", {"shop": 1, "name": "warm"}).status == 200
        before = proxy.stats()
        assert ann.command("add_pet", {"shop": 1, "name": "Rex"}).status == 200
        after = proxy.stats()
        assert (after["trips"] - before["trips"], after["connections"] - before["connections"]) == (1, 0)


def test_explain_shows_guards_and_roles(site):
    text = harness.writ("explain", "-c", site.writ.file, "--role", "customer", "secret").stdout
    assert "secret.may" in text and "as the caller's role" in text
    text = harness.writ("explain", "-c", site.writ.file, "--role", "customer", "add_pet", '{"shop": 1, "name": "x"}').stdout
    assert text.index("add_pet.is_open") < text.index("-- add_pet\n") < text.index("add_pet.not_too_many")
    assert "for no key update" in text


def test_check_tells_what_is_not_locked_and_what_may_not_be_read(site):
    done = harness.writ("check", "-c", site.writ.file, check=False)
    assert done.returncode == 1
    assert "hidden.may, as database role perm_customer: 42501: permission denied for table secret" in done.stdout
    assert "add_pet" not in done.stdout  # after: takes no lock, so nothing is said of an aggregate there
    assert "counts.few: PostgreSQL takes it without a row lock only" in done.stdout


WRONG = [
    ("sql: select 1 as n, permissions: { p: ':x = 1' }", "uses :x, but c has no such argument"),
    ("sql: select 1 as n, permissions: { p: ':result = 1' }", "put the permission into after:"),
    ("sql: delete from pet, permissions: { p: delete from pet }", "must be a condition"),
    ("sql: select 1 as n, permissions: { before: { p: true }, q: true }", "put it into before: or after:"),
    ("sql: select 1 as n, permissions: { 1p: true }", "a name is letters"),
    ("sql: select 1 as n, permissions: { p: { sql: 'true', lock: row } }", "none of update, share, none"),
    ("sql: select 1 as n, permissions: { p: { sql: 'true', as: me } }", "none of caller, login"),
    ("sql: select 1 as n, permissions: { p: { lock: share } }", "sql: is missing"),
    ("sql: select 1 as n, permissions: { p: { sql: 'true', lok: share } }", "did you mean lock?"),
    ("sql: select 1 as n, version: '1'", "must be a SELECT"),
    ("sql: select 1 as n, version: 'select :version'", "does not use :version itself"),
    ("sql: select 1 as n, max_affected: 1", "applies to INSERT, UPDATE and DELETE"),
    ("http: 'http://127.0.0.1/', permissions: { after: { p: true } }", "cannot be rolled back"),
    ("sql: delete from pet, max_affected: -1", "must be a number of rows"),
    ("check: 'true', max_affected: 1", "does not apply to a check"),
]


@pytest.mark.parametrize("keys, words", WRONG)
def test_manifest_errors_name_the_place(site, keys, words):
    manifest = site.writ.folder / "wrong.yaml"
    manifest.write_text("specVersion: 1\ncommands:\n  c: { " + keys + " }\n")
    config = site.writ.folder / "wrong-writ.yaml"
    config.write_text(site.writ.file.read_text().replace("manifest.yaml", "wrong.yaml"))
    done = harness.writ("check", "--offline", "-c", config, check=False)
    assert done.returncode == 1
    assert "wrong.yaml:3: " in done.stdout and words in done.stdout, done.stdout
