"""writ schema print: graphql-js reads the SDL and the introspection of every data model there is here, and sees one schema."""

import os
import pathlib
import re
import subprocess

import pytest

import harness

JS = harness.SOURCE / "tests" / "js"


COMMANDS = """
"Everything that a schema file can have beside a data model"
type User { id: ID! @id email: String! @unique pets: [Pet!]! }
type Pet { id: Int! @id owner: User! weight: Decimal big: BigInt data: Json tags: [Colour!]! born: DateTime uuid: UUID }
enum Colour { "warm" RED BLUE }
enum Size { SMALL LARGE @deprecated(reason: "there are none") }
interface Named { name: String! }
interface Sized implements Named { name: String!, size: Size }
type Registered implements Sized & Named { name: String! size: Size user: User }
type Refused { reason: String! "since" at: DateTime }
union Outcome = Registered | Refused | User
input SignUp { name: String! size: Size = SMALL, list: [[Int!]!] = [[1], []] @deprecated, more: SignUp, money: Money = 1.5 }
scalar Money @specifiedBy(url: "https://example.org/money")
directive @cost(of: Int! = 3, size: Size) repeatable on FIELD_DEFINITION | FIELD
type Mutation {
  \"\"\"
  Signs somebody up.

    And says so.
  \"\"\"
  sign_up("who" data: SignUp!): Outcome @cost @cost(of: 1)
  close(id: ID!): Int! @deprecated(reason: "use \\"sign_up\\"")
}
type Query { now: Json! named(name: String!): Sized }
"""
MANIFEST = """
specVersion: 1
schema: { file: schema.graphql }
commands: %s
"""
COMMANDS_MANIFEST = """
  sign_up: { sql: "select 1 as a where :data::jsonb is not null", returns: optional, allow: [somebody] }
  close: { sql: "delete from pg_class where oid::text = :id", returns: count }
  now: { sql: "select now()", returns: one, allow: [reader] }
  named: { sql: "select :name::text as name", returns: optional }
"""


@pytest.fixture(scope="module")
def modules():
    """The folder in which the packages are; tests/js/install does nothing when they are there."""
    folder = pathlib.Path(os.environ.get("WRIT_NODE_MODULES", harness.BUILD.parent / "js"))
    subprocess.run([JS / "install", folder], timeout=600, check=True)
    return folder


class Folder:
    """A manifest with a schema file; needs no database."""

    def __init__(self, sdl, commands="{}", manifest=""):
        self.path = harness.workspace().folder("print")
        (self.path / "schema.graphql").write_text(sdl)
        (self.path / "manifest.yaml").write_text(MANIFEST % commands + manifest)
        (self.path / "writ.yaml").write_text("manifest: ./manifest.yaml\ndatasources: { main: { conninfo: dbname=nothing } }\n")

    def tool(self, *arguments):
        done = subprocess.run([str(harness.workspace().bin / "writ"), "-c", "writ.yaml", *arguments], cwd=self.path,
                              capture_output=True, timeout=60 * harness.PATIENCE, env=harness.environment(), **harness.identity())
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def print(self, *arguments):
        status, out, errors = self.tool("schema", "print", *arguments)
        assert (status, errors) == (0, ""), errors
        return out


def judged(modules, folder, *arguments):
    """graphql-js finds no difference between the two forms; gives the SDL."""
    sdl, json = folder.path / "out.graphql", folder.path / "out.json"
    text = folder.print(*arguments)
    sdl.write_text(text)
    json.write_text(folder.print("--json", *arguments))
    done = subprocess.run(["node", JS / "schema.js", sdl, json], capture_output=True, text=True, timeout=120 * harness.PATIENCE,
                          env={**os.environ, "WRIT_NODE_MODULES": str(modules)})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    return text


def models():
    """Data models of tests and documents: those that can be read by themselves."""
    found = {}
    for name in ["docs/datamodel.md", "docs/nested.md", "docs/queries.md", "docs/guide.md", "docs/graphql.md"]:
        path = harness.SOURCE / name
        blocks = re.findall(r"^```graphql\n(.*?)^```", path.read_text(), re.M | re.S) if path.exists() else []
        found.update({f"{name}:{i}": block for i, block in enumerate(blocks)})
    for path in sorted((harness.SOURCE / "tests" / "system").glob("test_*.py")):
        blocks = re.findall(r'"""(\n*(?:(?:type|enum|extend) .*?))"""', path.read_text(), re.S)
        found.update({f"{path.name}:{i}": block for i, block in enumerate(blocks)})
    for path in sorted((harness.SOURCE / "tests" / "fuzz" / "seeds" / "model").iterdir()):
        found[f"seed:{path.name}"] = path.read_text(errors="replace")
    return found


def test_data_models_read_the_same_by_graphql_js(modules):
    judgements = 0
    for name, text in models().items():
        folder = Folder(text)
        status, _, errors = folder.tool("schema", "print")
        if status:
            assert "error:" in errors, name  # a mistake that a test is about, or a part of a file
            continue
        printed = judged(modules, folder)
        assert "type Query {" in printed, name
        judgements += 1
    assert judgements >= 8, judgements


def test_own_types_read_the_same_by_graphql_js(modules):
    folder = Folder(COMMANDS, COMMANDS_MANIFEST)
    text = judged(modules, folder)
    for line in ["union Outcome = Registered | Refused | User", 'scalar Money @specifiedBy(url: "https://example.org/money")',
                 '  close(id: ID!): Int! @deprecated(reason: "use \\"sign_up\\"")', "    And says so.",
                 "directive @cost(of: Int! = 3, size: Size) repeatable on FIELD_DEFINITION | FIELD"]:
        assert line in text.splitlines() or line in text, line

# What Prisma 1's own generator of schemas makes of the model, and behind a + what is more here: docs/graphql-schema.md.
AS_PRISMA_HAS_THEM = """
TodoWhereUniqueInput: id ID, title String
TodoCreateInput: id ID, title String!, age Int, children ChildCreateManyWithoutTodoInput, cover ImageCreateOneInput
TodoUpdateInput: title String, age Int, +age_increment Int, +age_decrement Int, +age_multiply Int, +age_divide Int, children ChildUpdateManyWithoutTodoInput, cover ImageUpdateOneInput
TodoUpdateManyMutationInput: title String, age Int, +age_increment Int, +age_decrement Int, +age_multiply Int, +age_divide Int
TodoCreateOneWithoutChildrenInput: create TodoCreateWithoutChildrenInput, connect TodoWhereUniqueInput, +connectOrCreate TodoCreateOrConnectWithoutChildrenInput, +upsert TodoUpsertWithWhereUniqueWithoutChildrenInput
TodoUpdateOneRequiredWithoutChildrenInput: create TodoCreateWithoutChildrenInput, update TodoUpdateWithoutChildrenDataInput, upsert TodoUpsertWithoutChildrenInput, connect TodoWhereUniqueInput, +connectOrCreate TodoCreateOrConnectWithoutChildrenInput
TodoCreateWithoutChildrenInput: id ID, title String!, age Int, cover ImageCreateOneInput
TodoUpsertWithoutChildrenInput: update TodoUpdateWithoutChildrenDataInput!, create TodoCreateWithoutChildrenInput!
ChildCreateInput: id ID, name String, todo TodoCreateOneWithoutChildrenInput!
ChildUpdateInput: name String, todo TodoUpdateOneRequiredWithoutChildrenInput
ChildCreateWithoutTodoInput: id ID, name String
ChildUpdateWithoutTodoDataInput: name String
ChildCreateManyWithoutTodoInput: create [ChildCreateWithoutTodoInput!], connect [ChildWhereUniqueInput!], +connectOrCreate [ChildCreateOrConnectWithoutTodoInput!], +upsert [ChildUpsertWithWhereUniqueWithoutTodoInput!]
ChildUpdateManyWithoutTodoInput: create [ChildCreateWithoutTodoInput!], update [ChildUpdateWithWhereUniqueWithoutTodoInput!], upsert [ChildUpsertWithWhereUniqueWithoutTodoInput!], connect [ChildWhereUniqueInput!], +connectOrCreate [ChildCreateOrConnectWithoutTodoInput!], set [ChildWhereUniqueInput!], disconnect [ChildWhereUniqueInput!], delete [ChildWhereUniqueInput!], updateMany [ChildUpdateManyWithWhereNestedInput!], deleteMany [ChildScalarWhereInput!]
ChildUpdateWithWhereUniqueWithoutTodoInput: where ChildWhereUniqueInput!, data ChildUpdateWithoutTodoDataInput!
ChildUpsertWithWhereUniqueWithoutTodoInput: where ChildWhereUniqueInput!, update ChildUpdateWithoutTodoDataInput!, create ChildCreateWithoutTodoInput!
ChildUpdateManyWithWhereNestedInput: where ChildScalarWhereInput!, data ChildUpdateManyDataInput!
ChildUpdateManyDataInput: name String
ImageCreateInput: id ID, tags ImageCreatetagsInput
ImageCreatetagsInput: set [String!]
ImageUpdatetagsInput: set [String!], +push [String!], +remove [String!]
ImageCreateOneInput: create ImageCreateInput, connect ImageWhereUniqueInput, +connectOrCreate ImageCreateOrConnectNestedInput, +upsert ImageUpsertWithWhereUniqueNestedInput
ImageUpdateOneInput: create ImageCreateInput, update ImageUpdateDataInput, upsert ImageUpsertNestedInput, connect ImageWhereUniqueInput, +connectOrCreate ImageCreateOrConnectNestedInput, disconnect Boolean, delete Boolean
ImageUpsertNestedInput: update ImageUpdateDataInput!, create ImageCreateInput!
+ChildCreateOrConnectWithoutTodoInput: where ChildWhereUniqueInput!, create ChildCreateWithoutTodoInput!
+ImageCreateOrConnectNestedInput: where ImageWhereUniqueInput!, create ImageCreateInput!
"""


def test_inputs_have_the_names_that_prisma_1_has():
    printed = Folder("""
type Todo { id: ID! @id title: String! @unique age: Int children: [Child] cover: Image }
type Child { id: ID! @id name: String todo: Todo! }
type Image { id: ID! @id tags: [String] }
""").print()
    for line in AS_PRISMA_HAS_THEM.strip().splitlines():
        name, fields = line.replace("+", "").split(": ", 1)
        block = re.search(rf"^input {name} {{\n(.*?)^}}", printed, re.M | re.S)
        assert block and [field.strip().replace(": ", " ") for field in block[1].splitlines()] == fields.split(", "), name


@pytest.mark.parametrize("role", ["somebody", "reader", "nobody"])
def test_roles_read_the_same_by_graphql_js(modules, role):
    folder = Folder(COMMANDS, COMMANDS_MANIFEST, "models: { Pet: { create: { allow: [somebody] } } }\n")
    text = judged(modules, folder, "--role", role)
    assert ("createPet(" in text) == (role == "somebody")
    assert ("now: Json!" in text) == (role == "reader")
    assert ("deletePet" in text, "named(" in text) == (False, False)
    assert ("_: Boolean" in text) == (role != "reader")


def test_without_a_schema_there_is_nothing_to_print():
    folder = Folder("type A { id: ID! @id }")
    (folder.path / "manifest.yaml").write_text("specVersion: 1\ncommands: { a: { sql: select 1 as b } }\n")
    status, out, errors = folder.tool("schema", "print")
    assert (status, out) == (1, "") and "nothing for GraphQL" in errors


def test_options_of_print_are_for_print_alone():
    folder = Folder("type A { id: ID! @id }")
    for option in (["--role", "a"], ["--json"]):
        status, _, errors = folder.tool("schema", "ddl", *option)
        assert status == 2 and f"takes no {option[0]}" in errors
    status, _, errors = folder.tool("schema", "print", "schema.graphql")
    assert status == 2 and "takes no file" in errors


# ---- writ check ----

CHECKED = """
type Row { id: Int! @id name: String }
type Mutation {
  whole(a: Int!, b: [String!], c: UUID, d: DateTime, e: Boolean!): Whole
  bare(id: ID!): Row!
  wholes: [Whole!]!
  twice(n: Boolean!): Whole
}
type Whole { a: Int! b: [String!] c: UUID d: DateTime e: Boolean f: Part g: [Part] h: String }
type Part { x: Int y: Float }
"""
CHECKED_COMMANDS = """
  whole: { sql: "%s", returns: optional, args: { a: integer, b: { type: 'text[]', default: null }, c: { type: %s, default: null },
    d: { type: timestamptz, default: null }, e: boolean } }
  bare: { sql: "select 1 as id, 'a' as name, %s as pad where :id::text is not null", returns: one }
  wholes: { sql: "%s" }
  twice: { args: { n: boolean }, commands: [{ inner: { n: $args.n } }] }
  inner: { sql: "select :n::%s is null as a", returns: none }
"""
WHOLE = ("select :a as a, :b as b, :c as c, :d as d, :e as e, '{}'::jsonb as f, array[row(1, 2.5)::part] as g, 5 as h")
ROWS = "select 1 as a, null::text[] as b, null::uuid as c, now() as d, true as e, null::part as f, null::jsonb as g, '' as h"


@pytest.fixture(scope="module")
def checked(postgres):
    database = harness.Database(postgres, "schema_print", 'create type part as (x int, y float8); create table "Row" (id int '
                                "generated by default as identity primary key, name text)")
    yield database
    database.drop()


def check(database, *parts, sdl=CHECKED):
    folder = Folder(sdl, CHECKED_COMMANDS % parts)
    (folder.path / "writ.yaml").write_text(f"manifest: ./manifest.yaml\ndatasources: {{ main: {{ conninfo: {database.conninfo!r} }} }}\n")
    status, out, errors = folder.tool("check")
    return status, [line for line in errors.splitlines() if "schema.graphql" in line], out + errors


def test_check_takes_types_that_fit(checked):
    status, told, all_of_it = check(checked, WHOLE, "uuid", "1", ROWS, "boolean")
    assert (status, told) == (0, []), all_of_it


@pytest.mark.parametrize("change, line, says", [
    ({"uuid": "integer"}, 4, "c is UUID here, which does not fit integer of the command whole"),
    ({"a: Int!, b": "a: [Int!]!, b"}, 4, "a is [Int!]! here, which does not fit integer"),
    ({"e: Boolean!)": "e: Int!)"}, 4, "e is Int! here, which does not fit boolean"),
    ({"b: [String!], c": "b: [Part2!], c", "type Part ": "input Part2 { x: Int } type Part "}, 4, "b is [Part2!] here"),
    ({" e: Boolean f": " e: Boolean! z: Int f"}, 4, "Whole has a field z, but the command whole"),
    ({"b: [String!] c: UUID d": "b: String c: UUID d"}, 4, "Whole.b is String, which does not fit the column"),
    ({"d: DateTime e: Boolean f": "d: Int e: Boolean f"}, 4, "Whole.d is Int, which does not fit the column"),
    ({"y: Float }": "y: Boolean }"}, 4, "Whole.g is [Part]"),
    ({"name: String }": "name: String age: Int }"}, 5, "Row has a field age, but the command bare"),
    ({"wholes: [Whole!]!": "wholes: Whole"}, 6, "gives rows"),
    ({"is null as a": "is null as a /* */", "::boolean is": "::integer is"}, 7, "n is Boolean! here, which does not fit integer of the command inner"),
])
def test_check_tells_types_that_do_not_fit(checked, change, line, says):
    sdl, parts = CHECKED, [WHOLE, "uuid", "1", ROWS, "boolean"]
    for old, new in change.items():
        sdl = sdl.replace(old, new)
    if change.get("uuid"):
        parts[0], parts[1] = WHOLE.replace(":c as c", "null::uuid as c, :c as c2"), "integer"
        sdl = CHECKED
    if "::boolean is" in change:
        parts[4] = "integer"
    status, told, all_of_it = check(checked, *parts, sdl=sdl)
    assert status == 1, all_of_it
    assert any(f"schema.graphql:{line}: error: " in one and says in one for one in told), all_of_it
