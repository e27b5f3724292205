"""What the database does by itself to rows that mutations write: triggers, defaults and policies. What was answered is what is there."""

import pytest

import harness

MODEL = """
type Note { id: ID! @id  text: String  owner: String  marks: [Mark] }
type Desk { id: ID! @id  papers: [Paper] }
type Paper { id: ID! @id  owner: String  desk: Desk  sheets: [Sheet] }
type Sheet { id: ID! @id  size: Int  paper: Paper }
type Member { id: ID! @id  groups: [Group] }
type Group { id: ID! @id(strategy: NONE)  members: [Member] }
type Meeting { at: DateTime! @id(strategy: NONE) @db(type: "timestamp")  day: DateTime @db(type: "date")
  others: [DateTime] @db(type: "timestamp")  pauses: [Pause] }
type Pause { id: ID! @id  at: DateTime @unique @db(type: "timestamp(3)")  meeting: Meeting }
type Mark { id: ID! @id  text: String  note: Note }
type Drawer { id: ID! @id  slips: [Slip]  best: Slip @relation(name: "Best", link: INLINE)  cards: [Card] }
type Slip { id: ID! @id  owner: String  drawer: Drawer  clips: [Clip]  of: Drawer @relation(name: "Best") }
type Clip { id: ID! @id  slip: Slip }
type Card { id: ID! @id  owner: String  drawers: [Drawer] }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
roles: { customer: written_customer }
models:
  Note: { create: { allow: [customer] }, update: { allow: [customer] }, upsert: { allow: [customer] } }
  Mark:
    create: { allow: [customer] }
  Paper:
    create: { allow: [customer], permissions: { after: { own: ":result ->> 'owner' = :user" } } }
    upsert: { allow: [customer] }
  Desk: { create: { allow: [customer] } }
  Sheet: { create: { allow: [customer] } }
  Drawer: { create: { allow: [customer] }, update: { allow: [customer] } }
  Slip: { create: { allow: [customer] }, update: { allow: [customer] } }
  Clip: { create: { allow: [customer] } }
  Card: { create: { allow: [customer] } }
"""


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    database.execute(f"""
        create role written_customer; grant written_customer to {harness.LOGIN_ROLE};
        grant all on all tables in schema public to written_customer;
        alter table "Note" enable row level security;
        create policy writes on "Note" for insert to written_customer with check (true);
        create policy sees on "Note" for select to written_customer using (owner = current_setting('request.user'));
        create policy changes on "Note" for update to written_customer using (true);
        alter table "Paper" enable row level security;
        create policy writes on "Paper" for insert to written_customer with check (true);
        create policy sees on "Paper" for select to written_customer using (owner = current_setting('request.user'));
        alter table "Slip" enable row level security; alter table "Card" enable row level security;
        create policy writes on "Slip" for insert to written_customer with check (true);
        create policy changes on "Slip" for update to written_customer using (true);
        create policy sees on "Slip" for select to written_customer using (owner = current_setting('request.user'));
        create policy writes on "Card" for insert to written_customer with check (true);
        create policy sees on "Card" for select to written_customer using (owner = current_setting('request.user'));
        create unique index one_of_a_size on "Sheet" (size) where size > 10;
        create policy all_of_it on "Note" to {harness.LOGIN_ROLE} using (true);
        create function acts() returns trigger language plpgsql as $$
          begin
            if new.text = 'kept out' then return null; end if;
            if new.text = 'shouted' then new.text := upper(new.text); end if;
            if new.text = 'another key' then new.id := lower(new.id); end if;
            return new;
          end $$;
        create trigger acts before insert on "Note" for each row execute function acts();
        create function strays() returns trigger language plpgsql as $$
          begin if new.text = 'astray' then new.note := 'nobody'; end if; return new; end $$;
        create trigger strays before insert on "Mark" for each row execute function strays();
        create function joins() returns trigger language plpgsql as $$
          begin insert into "_GroupToMember" ("A", "B") values ('all', new.id); return new; end $$;
        create trigger joins after insert on "Member" for each row execute function joins()""")
    with harness.Site(database, MANIFEST, workers=1, inside_workers=2, files={"schema.graphql": MODEL}) as site:
        yield site
    database.execute("drop owned by written_customer; drop role written_customer")


@pytest.fixture(autouse=True)
def empty(site, database):
    database.execute('truncate "Desk", "Paper", "Sheet", "Note", "Mark", "Member", "Group", "_GroupToMember", "Meeting", "Pause", '
                     '"Drawer", "Slip", "Clip", "Card", "_CardToDrawer"')


def as_customer(site, how, command, args):
    """(status, code): as a command, or as a field of GraphQL."""
    if how == "command":
        answer = site.client.command(command, args, role="customer", user="ann")
        return answer.status, answer.code
    text = "mutation ($data: NoteCreateInput!) { createNote(data: $data) { id } }" if "data" in args else \
        "mutation ($where: NoteWhereUniqueInput!, $create: NoteCreateInput!, $update: NoteUpdateInput!) " \
        "{ upsertNote(where: $where, create: $create, update: $update) { id } }"
    answer = site.client.post("/graphql", {"query": text, "variables": args}, role="customer", user="ann")
    (error,) = answer.json["errors"]
    return error["extensions"]["status"], error["extensions"]["code"]


MARKS = {"create": [{"text": "a"}, {"text": "b"}]}


@pytest.mark.parametrize("how", ["command", "GraphQL"])
@pytest.mark.parametrize("data", [
    {"text": "hidden", "owner": "bob"},
    {"text": "hidden", "owner": "bob", "marks": MARKS},
    {"text": "kept out", "owner": "ann"},
    {"id": "ABC", "text": "another key", "owner": "ann"},
])
def test_nothing_is_kept_of_what_cannot_be_answered(site, database, how, data):
    """It would be a result without a node, which the type does not allow."""
    assert as_customer(site, how, "createNote", {"data": data}) == (403, "FORBIDDEN")
    assert database.one('select (select count(*) from "Note") + (select count(*) from "Mark")') == 0


@pytest.mark.parametrize("how", ["command", "GraphQL"])
@pytest.mark.parametrize("create", [{"text": "hidden", "owner": "bob"}, {"text": "kept out", "owner": "ann"}])
def test_nor_of_an_upsert(site, database, how, create):
    assert as_customer(site, how, "upsertNote", {"where": {"id": "n"}, "create": {"id": "n", **create}, "update": {}}) \
        == (403, "FORBIDDEN")
    assert database.one('select count(*) from "Note"') == 0


BOB, ANN = {"owner": "bob"}, {"owner": "ann"}


@pytest.mark.parametrize("papers", [
    {"create": BOB},
    {"create": [BOB, BOB]},
    {"create": [ANN, BOB]},
    {"create": [BOB | {"id": str(i)} for i in range(5)]},
    {"create": [BOB | {"sheets": {"create": [{}, {}]}}, ANN]},
    {"create": BOB | {"sheets": {"connectOrCreate": {"where": {"id": "s"}, "create": {"id": "s"}}}}},
    {"upsert": {"where": {"id": "p"}, "create": BOB, "update": {}}},
    {"connectOrCreate": {"where": {"id": "p"}, "create": BOB}},
], ids=str)
def test_what_a_permission_cannot_see_it_does_not_let_pass(site, database, papers):
    """A policy hides the row that was written: the permission after it has nothing to judge."""
    answer = site.client.command("createDesk", {"data": {"papers": papers}}, role="customer", user="ann")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert database.one('select (select count(*) from "Desk") + (select count(*) from "Paper")') == 0


def test_what_it_sees_it_judges(site, database):
    papers = {"create": [ANN, ANN, ANN | {"sheets": {"create": {}}}], "connectOrCreate": {"where": {"id": "p"}, "create": ANN}}
    assert site.client.command("createDesk", {"data": {"papers": papers}}, role="customer", user="ann").status == 200
    assert database.one('select count(*) from "Paper"') == 4


HIDDEN = BOB | {"id": "s"}


@pytest.mark.parametrize("data, answered, kept", [
    ({"slips": {"create": HIDDEN}}, [], 1),
    ({"slips": {"create": [ANN, HIDDEN]}}, [{"owner": "ann"}], 2),
    ({"slips": {"create": HIDDEN | {"clips": {"create": [{}, {}]}}}}, [], 3),
    ({"slips": {"connectOrCreate": {"where": {"id": "s"}, "create": HIDDEN}}}, [], 1),
], ids=str)
@pytest.mark.parametrize("command", ["createDrawer", "updateDrawer"])
def test_what_is_nested_and_hidden_is_made(site, database, command, data, answered, kept):
    """docs/nested.md, "Rights in the database"."""
    database.execute("""insert into "Drawer" (id) values ('d')""")
    where = {"where": {"id": "d"}} if command == "updateDrawer" else {}
    answer = site.client.command(command, {**where, "data": data, "select": "{ slips { owner } best { owner } }"}, role="customer", user="ann")
    assert answer.result == {"slips": answered, "best": None}
    if command == "createDrawer":
        best = site.client.command(command, {"data": {"best": {"create": BOB}}, "select": "{ best { owner } }"}, role="customer", user="ann")
        assert best.result == {"best": None}
        kept += 1
    assert database.one('select (select count(*) from "Slip") + (select count(*) from "Clip")') == kept


@pytest.mark.parametrize("data, code", [
    ({"cards": {"create": [BOB]}}, "FORBIDDEN"),  # a table of links
    ({"best": {"create": BOB}}, "FORBIDDEN"),  # an update writes its key into the parent
    ({"slips": {"create": HIDDEN, "update": {"where": {"id": "s"}, "data": {}}}}, "NOT_FOUND"),
    ({"slips": {"create": HIDDEN | ANN, "update": {"where": {"id": "s"}, "data": BOB}}}, "FORBIDDEN"),  # it would be hidden then
])
def test_unless_it_is_looked_at(site, database, data, code):
    database.execute("""insert into "Drawer" (id) values ('d')""")
    answer = site.client.command("updateDrawer", {"where": {"id": "d"}, "data": data}, role="customer", user="ann")
    assert answer.code == code
    assert database.one('select (select count(*) from "Slip") + (select count(*) from "Card")') == 0


def test_a_key_that_waits_is_told_as_one_that_does_not(site, database):
    """Foreign keys of `writ schema ddl` are looked at by the COMMIT."""
    answer = site.inside.command("createNote", {"data": {"owner": "ann", "marks": {"create": [{"text": "astray"}, {"text": "b"}]}}},
                                 role="customer", user="ann")
    assert (answer.code, answer.json["prisma_code"]) == ("FOREIGN_KEY_VIOLATION", 3011)
    assert database.one('select count(*) from "Note"') == 0


def test_an_index_that_the_file_does_not_know(site):
    """It is no relation that would be broken."""
    assert site.inside.command("createSheet", {"data": {"size": 11}}, role="customer").status == 200
    for create, at in (({"size": 11}, ""), ([{}, {"size": 11}], "/1")):
        answer = site.inside.command("createPaper", {"data": {"owner": "x", "sheets": {"create": create}}}, role="customer", user="x")
        assert (answer.code, answer.json["prisma_code"], answer.json["path"]) \
            == ("UNIQUE_VIOLATION", 3010, "/data/sheets/create" + at)


def test_what_a_trigger_changed_is_answered(site):
    answer = site.client.command("createNote", {"data": {"text": "shouted", "owner": "ann", "marks": MARKS},
                                                "select": "{ text marks { text } }"}, role="customer", user="ann")
    assert answer.result == {"text": "SHOUTED", "marks": [{"text": "a"}, {"text": "b"}]}


@pytest.mark.parametrize("groups", [{"connect": {"id": "all"}}, {"connect": [{"id": "all"}, {"id": "some"}]},
                                    {"connectOrCreate": {"where": {"id": "all"}, "create": {"id": "all"}}}])
def test_a_trigger_may_have_made_the_link(site, database, groups):
    database.execute("""insert into "Group" values ('all'), ('some')""")
    answer = site.inside.command("createMember", {"data": {"groups": groups}, "select": "{ groups { id } }"}, role="customer")
    assert answer.result["groups"][0] == {"id": "all"}


def test_a_column_without_a_zone_is_in_utc(site):
    """PostgreSQL passes over the zone in what is to be a timestamp or a date."""
    at = "2024-03-01T01:30:00+02:00"
    data = {"at": at, "day": at, "others": {"set": [at, "2024-01-01"]}, "pauses": {"create": [{"at": at}] + [{}] * 5}}
    utc = "2024-02-29T23:30:00.000Z"
    select = "{ at day others pauses { at } }"
    created = {"at": utc, "day": "2024-02-29T00:00:00.000Z", "others": [utc, "2024-01-01T00:00:00.000Z"],
               "pauses": [{"at": utc}] + [{"at": None}] * 5}
    assert site.inside.command("createMeeting", {"data": data, "select": select}, role="customer").result == created
    for where in (at, utc):
        assert site.inside.command("meeting", {"where": {"at": where}, "select": select}, role="customer").result == created
        assert site.inside.command("pauses", {"where": {"at_gte": where}, "select": "{ at }"}, role="customer").result == [{"at": utc}]
    query = 'mutation ($at: DateTime) { updateMeeting(where: {at: $at}, data: {day: $at, pauses: {update: {where: {at: $at}, ' \
        'data: {at: "2024-03-01T01:00-01:00"}}}}) { pauses(first: 1) { at } } }'
    answer = site.inside.post("/graphql", {"query": query, "variables": {"at": at}}, role="customer")
    assert answer.json == {"data": {"updateMeeting": {"pauses": [{"at": "2024-03-01T02:00:00.000Z"}]}}}
