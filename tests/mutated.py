"""The data model, and the fixtures, of the tests of mutations (test_mutations, test_mutations_by_chance)."""

import contextlib

import pytest

import harness

MODEL = """
enum Mood { CALM LOUD }
type Person { id: ID! @id  name: String! @unique  nick: String @unique  age: Int  score: Float  tags: [String!]!
  mood: Mood! @default(value: CALM)  extra: Json  createdAt: DateTime! @createdAt  updatedAt: DateTime! @updatedAt
  boss: Person @relation(name: "Boss")  staff: [Person] @relation(name: "Boss")
  following: [Person] @relation(name: "Follows")  followers: [Person] @relation(name: "Follows")
  pets: [Pet]  home: Place @relation(name: "Home")  likes: [Place] @relation(name: "Likes") }
type Place { id: Int! @id  title: String! @unique }
type Pet { id: UUID! @id  name: String! @unique  owner: Person!  toys: [Toy] }
type Toy { id: ID! @id  name: String! @unique  pet: Pet  parts: [Part] }
type Part { id: ID! @id  name: String! @unique  toy: Toy }
type Folder { id: ID! @id  name: String! @unique  parent: Folder @relation(name: "Tree")
  children: [Folder] @relation(name: "Tree", onDelete: CASCADE)  files: [File] @relation(onDelete: CASCADE) }
type File { id: ID! @id  name: String! @unique  folder: Folder!  pins: [Pin] }
type Pin { id: ID! @id  file: File! }
type Bill { id: ID! @id  lines: [Line] }
type Line @id(fields: ["bill", "no"]) { bill: Bill!  no: Int!  text: String  marks: [Mark] }
type Mark { id: ID! @id  name: String @unique  line: Line }
type Count { id: Int! @id }
type Key { id: ID! @id(strategy: NONE) }
type Member { no: Int! @id  name: String! @unique  boss: Member @relation(name: "Leads")  staff: [Member] @relation(name: "Leads") }
type Chicken { id: ID! @id  egg: Egg! @relation(link: INLINE) }
type Egg { id: ID! @id  chicken: Chicken! }
type Step { id: ID! @id  name: String! @unique  next: Step }
type Cup { id: ID! @id  name: String! @unique  lid: Lid @relation(link: INLINE) }
type Lid { id: ID! @id  name: String! @unique  cup: Cup }
type Company { id: Int! @id(strategy: NONE)  customers: [Customer]  orders: [Order] }
type Customer @id(fields: ["company", "no"]) { company: Company!  no: Int!  orders: [Order] }
type Order @id(fields: ["company", "no"]) { company: Company!  no: Int!  customer: Customer @db(names: ["company", "customer_no"]) }
type Box @id(fields: ["room", "no"]) { room: Int!  no: Int!  items: [Item] @relation(name: "In")  spare: [Item] @relation(name: "For") }
type Item @id(fields: ["room", "no"]) { room: Int!  no: Int!  box: Box @relation(name: "In") @db(names: ["room", "box_no"])
  other: Box @relation(name: "For") @db(names: ["hall", "other_no"])  third: Box @db(names: ["hall", "third_no"]) }
type Sack { id: ID! @id  grains: [Grain] }
type Grain { id: ID! @id  n: Int  name: String @unique  at: DateTime @unique  code: UUID @unique  short: String @db(type: "varchar(5)")
  sack: Sack  specks: [Speck] }
type Speck { id: ID! @id  n: Int  at: DateTime @unique  grain: Grain }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  Person: { create: { allow: [customer] }, update: { allow: [customer] } }
  Pet: { create: { allow: [customer] } }
  Place: { delete: { allow: [customer] } }
commands:
  keeper:
    allow: [customer]
    args: { name: text, pets: jsonb }
    commands:
      - createPerson:
          data: { name: $args.name, likes: { create: { title: $args.name } }, pets: $args.pets }
          select: "{ name }"
  family:
    args: { name: text }
    commands:
      - createPerson: { data: { name: $args.name }, select: "{ id name }" }
        as: boss
      - createPerson: { data: { name: junior, boss: { connect: { id: $boss.id } } }, select: "{ name boss { name } }" }
        as: junior
    result: { boss: $boss, junior: $junior }
"""

TABLES = ["Person", "Place", "Pet", "Toy", "Part", "Folder", "File", "Pin", "Bill", "Line", "Mark", "Count", "Key", "Member",
          "Chicken", "Egg", "Step", "Cup", "Lid", "Company", "Customer", "Order", "Box", "Item", "Sack", "Grain", "Speck",
          "_Follows", "_Likes"]


@pytest.fixture(scope="module")
def tables(database):
    harness.create_tables(database, MODEL)
    database.execute("""alter table "Grain" add constraint few check (n < 9), add constraint apart exclude (n with =);
        alter table "Speck" add constraint few_specks check (n < 9);
        create function no_five() returns trigger language plpgsql as $$
          begin if new.n = 5 then raise exception 'no five'; end if; return new; end $$;
        create trigger no_five before insert on "Speck" for each row execute function no_five()""")


@pytest.fixture(scope="module", params=["PostgreSQL", "PgBouncer"])
def site(database, tables, request):
    """Behind PgBouncer nothing is prepared, and each transaction may be in another session."""
    with contextlib.ExitStack() as stack:
        options = {}
        if request.param == "PgBouncer":
            bouncer = stack.enter_context(harness.PgBouncer(database.postgres, default_pool_size=6))
            options["datasources"] = {"default": {"conninfo": bouncer.conninfo(database.name), "prepared": False}}
        yield stack.enter_context(harness.Site(database, MANIFEST, workers=1, inside_workers=8, files={"schema.graphql": MODEL},
                                               **options))


@pytest.fixture(autouse=True)
def empty(site, database):
    database.execute("truncate " + ", ".join(f'"{table}"' for table in TABLES))


@pytest.fixture
def do(site):
    """A mutation: do("createPerson", data={...}) gives the result."""
    return lambda name, /, **args: site.inside.command(name, args).result


@pytest.fixture
def fail(site):
    """(prisma_code, path, code) of a mutation that is refused."""
    def fail(name, /, **args):
        answer = site.inside.command(name, args)
        assert answer.status >= 400, answer.text
        return answer.json.get("prisma_code"), answer.json.get("path"), answer.code
    return fail


def rows(database, table):
    return database.one(f'select count(*) from "{table}"')


def strays(database):
    """Pets whose owner is not there."""
    return database.one("""select count(*) from "Pet" left join "Person" on owner = "Person".id where "Person".id is null""")
