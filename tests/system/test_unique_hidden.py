"""Unique constraints of tables with row-level security, of which PostgreSQL does not say which columns had which value: the
client is told the field all the same, and a race that was lost to a writer that is not writ is run again."""

import concurrent.futures

import pytest

import harness

MODEL = """
type Team { id: ID! @id(strategy: NONE)  people: [Person] }
type Person { id: ID! @id(strategy: NONE)  email: String! @unique @db(name: "E-mail")  owner: String  nick: String @unique  pin: String @unique  away: Boolean
  team: Team  desk: Desk @relation(link: INLINE)  stray: String }
type Desk { id: ID! @id(strategy: NONE)  owner: Person }
type Seat @id(fields: ["row", "number"]) { row: String!  number: Int!  owner: String }
type Stall @id(fields: ["row", "number"]) { row: String!  number: Int! }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
roles: { customer: unique_customer }
models:
  Person: { create: { allow: [customer] }, update: { allow: [customer] }, upsert: { allow: [customer] } }
  Team: { create: { allow: [customer] }, update: { allow: [customer] } }
  Seat: { create: { allow: [customer] } }
  Desk: { create: { allow: [customer] } }
  Stall: { create: { allow: [customer] } }
"""


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    database.execute(f"""
        create role unique_customer; grant unique_customer to {harness.LOGIN_ROLE};
        grant all on all tables in schema public to unique_customer;
        alter table "Person" enable row level security; alter table "Seat" enable row level security;
        create policy writes on "Person" for insert to unique_customer with check (true);
        create policy changes on "Person" for update to unique_customer using (true);
        create policy sees on "Person" for select to unique_customer using (owner = current_setting('request.user'));
        create policy writes on "Seat" for insert to unique_customer with check (true);
        create policy sees on "Seat" for select to unique_customer using (owner = current_setting('request.user'));
        alter table "Person" drop constraint "Person_nick_key", drop constraint "Person_pin_key";
        create unique index on "Person" (nick) where away;
        create unique index on "Person" (pin, lower(pin));
        create schema audit;
        create table audit."Person" ("E-mail" text constraint "Person_E-mail_key" unique);
        create function strays() returns trigger language plpgsql security definer as $$
          begin insert into audit."Person" values (new.stray); return new; end $$;
        create trigger strays before insert on "Person" for each row when (new.stray is not null) execute function strays()""")
    with harness.Site(database, MANIFEST, workers=1, inside_workers=1, files={"schema.graphql": MODEL}) as site:
        yield site
    database.execute("drop owned by unique_customer; drop role unique_customer")


@pytest.fixture(autouse=True)
def filled(site, database):
    database.execute("""
        truncate "Team", "Person", "Desk", "Seat", "Stall", audit."Person";
        insert into "Team" values ('team'); insert into "Desk" values ('desk'); insert into audit."Person" values ('stray');
        insert into "Seat" ("row", number, owner) values ('A', 1, 'bob'), ('A', 2, 'ann');
        insert into "Stall" values ('A', 1);
        insert into "Person" (id, "E-mail", owner, nick, pin, away, desk)
        values ('b', 'bob@x', 'bob', 'bobby', 'Secret', true, 'desk'), ('a', 'ann@x', 'ann', null, null, false, null)""")


def as_ann(site, command, args):
    return site.client.command(command, args, role="customer", user="ann")


def told(answer):
    assert answer.code == "UNIQUE_VIOLATION" and answer.json["prisma_code"] == 3010, answer
    return answer.json["detail"]


def person(**values):
    return {"id": "new", "email": "new@x", "owner": "ann", **values}


def of_fields(model, name):
    return f"A unique constraint would be violated on {model}. Details: Field name = {name}"


@pytest.mark.parametrize("command, args, detail", [
    ("createPerson", {"data": person(email="bob@x")}, of_fields("Person", "email")),  # a row that ann does not see
    ("createPerson", {"data": person(email="ann@x")}, of_fields("Person", "email")),  # one that she sees
    ("createPerson", {"data": person(id="b")}, of_fields("Person", "id")),
    ("updatePerson", {"where": {"id": "a"}, "data": {"email": "bob@x"}}, of_fields("Person", "email")),
    ("createSeat", {"data": {"row": "A", "number": 1, "owner": "ann"}}, of_fields("Seat", "row_number")),
    ("createSeat", {"data": {"row": "A", "number": 2, "owner": "ann"}}, of_fields("Seat", "row_number")),
    ("createStall", {"data": {"row": "A", "number": 1}}, of_fields("Stall", "row_number")),  # no policies; "row" alone is in quotes
], ids=str)
def test_the_field_is_told(site, command, args, detail):
    assert told(as_ann(site, command, args)) == detail


def test_the_field_and_the_row_of_a_list(site):
    people = [person(id=str(i), email=email) for i, email in enumerate(["x", "bob@x", "y"])]
    answer = as_ann(site, "createTeam", {"data": {"id": "other", "people": {"create": people}}})
    assert told(answer) == of_fields("Person", "email") and answer.json["path"] == "/data/people/create/1"


@pytest.mark.parametrize("more", [
    {"nick": "bobby", "away": True},  # an index with a condition
    {"pin": "Secret"},  # one of an expression
    {"stray": "stray"},  # a table that is not the model's, of the same name in another schema, with a constraint of the same name
], ids=str)
def test_what_is_no_field_is_not_told(site, more):
    assert told(as_ann(site, "createPerson", {"data": person(**more)})) == "A unique constraint would be violated on Person."


def test_a_link_that_is_taken(site):
    """Only one person has a desk, and ann does not see who."""
    answer = as_ann(site, "createPerson", {"data": person(desk={"connect": {"id": "desk"}})})
    assert (answer.code, answer.json["prisma_code"]) == ("REQUIRED_RELATION", 3042)


def upsert(site, email, **create):
    return as_ann(site, "upsertPerson", {"where": {"email": email}, "create": person(email=email, **create), "update": {"nick": "found"},
                                         "select": "{ id nick }"})


def retries(site):
    (line,) = [line for line in site.inside.get("/metrics").text.splitlines() if line.startswith("writ_retries_total ")]
    return int(line.split()[1])


def test_a_row_that_stays_hidden_is_looked_for_once_more_only(site):
    before = retries(site)
    assert told(upsert(site, "bob@x")) == of_fields("Person", "email")
    assert retries(site) == before + 1
    assert told(upsert(site, "new@x", id="b")) == of_fields("Person", "id")  # no race at all: another key than where's
    assert retries(site) == before + 1


def connect_or_create(site, *emails):
    return as_ann(site, "updateTeam", {"where": {"id": "team"}, "select": "{ people(orderBy: id_ASC) { id } }", "data": {"people": {
        "connectOrCreate": [{"where": {"email": email}, "create": person(id=email, email=email)} for email in emails]}}})


def someone(database, row, email, owner="ann"):
    """A session that is not writ's and has made a row, which nobody sees yet."""
    session = database.connect(autocommit=False)
    session.execute('insert into "Person" (id, "E-mail", owner) values (%s, %s, %s)', (row, email, owner))
    return session


def waits_for(database, session):
    """Until a transaction waits for the end of this one."""
    harness.wait_until(lambda: database.one("select exists (select from pg_stat_activity where wait_event = 'transactionid' "
                                            f"and {session.info.backend_pid} = any (pg_blocking_pids(pid)))"), "a wait")


def test_a_race_that_an_upsert_has_lost(site, database):
    with concurrent.futures.ThreadPoolExecutor() as pool, someone(database, "theirs", "new@x") as other:
        answer = pool.submit(upsert, site, "new@x")
        waits_for(database, other)
        other.commit()
        assert answer.result().result == {"id": "theirs", "nick": "found"}


def test_races_that_several_have_lost(site, database):
    """Each a step of its own, and each to another."""
    with concurrent.futures.ThreadPoolExecutor() as pool, someone(database, "first", "1@x") as first, \
            someone(database, "second", "2@x") as second:
        answer = pool.submit(connect_or_create, site, "1@x", "2@x", "3@x")
        for session in first, second:
            waits_for(database, session)
            session.commit()
        assert answer.result().result == {"people": [{"id": "3@x"}, {"id": "first"}, {"id": "second"}]}


def test_a_race_lost_to_a_row_that_is_hidden(site, database):
    with concurrent.futures.ThreadPoolExecutor() as pool, someone(database, "theirs", "new@x", owner="bob") as other:
        answer = pool.submit(upsert, site, "new@x")
        waits_for(database, other)
        other.commit()
        assert told(answer.result()) == of_fields("Person", "email")
