"""limits.rows and limits.result_bytes of one node that is read back with its lists. While it is made these are not counted: only when the
whole is long enough to have one that is too long is it looked into (writ.limited). So what must never pass is a list that is too long and
yet short: of ids of one character, of nulls, of empty strings."""

import contextlib
import re
import uuid

import pytest

import harness

MODEL = """
type User { id: ID! @id  email: String @unique  n: Int  posts: [Post]  tags: [Tag]  boss: User @relation(name: "Boss")
  staff: [User] @relation(name: "Boss")  odd: Json @db(type: "json") }
type Post { id: ID! @id  title: String  no: Int  on: Boolean  author: User  likes: [Like]  words: [String] }
type Like { id: ID! @id  of: Post }
type Tag { id: ID! @id  users: [User] }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  User: { create: { allow: [anonymous] }, update: { allow: [anonymous] }, query: { allow: [anonymous] } }
  Post: { create: { allow: [anonymous] }, query: { allow: [anonymous] } }
commands:
  note: { sql: "select :text::text as text", allow: [anonymous] }
"""

ROWS = 5


@pytest.fixture(scope="module")
def data(database):
    harness.create_tables(database, MODEL)
    return database


@contextlib.contextmanager
def limited(database, **limits):
    settings = {"rows": ROWS, **limits}
    with harness.Site(database, MANIFEST, workers=1, inside_workers=1, files={"schema.graphql": MODEL}, limits=settings) as site:
        yield site


@pytest.fixture(scope="module")
def site(data):
    with limited(data) as site:
        yield site


@pytest.fixture
def rows(data):
    """rows(table, (column, ...), row, ...): rows that are there for one test. Any test may leave others behind."""
    def clear():
        data.execute('delete from "_TagToUser"; delete from "Like"; delete from "Tag"; delete from "Post"; delete from "User"')

    def put(table, columns, *values):
        for row in values:
            data.execute(f'insert into "{table}" ({", ".join(chr(34) + c + chr(34) for c in columns)}) '
                         f'values ({", ".join(["%s"] * len(row))})', row)

    clear()
    yield put
    clear()


def posts(rows, author, n, first="a", **more):
    rows("Post", ("id", "author", *more), *((chr(ord(first) + i), author, *more.values()) for i in range(n)))


def read(site, select, id="u"):
    return site.client.command("user", {"where": {"id": id}, "select": select})


def too_many(answer, name, n=ROWS):
    assert (answer.status, answer.code, answer.json["prisma_code"]) == (422, "TOO_MANY_ROWS", 2041), answer
    assert answer.json["detail"] == f'The list "{name}" has more than {n} nodes: ask for fewer with "first".'


# ---- which lists ----------------------------------------------------------------------------------------------------

WAYS = {  # what leads to the list of posts
    "{ posts { id } }": "u",
    "{ n  p: posts { id title } email }": "u",
    "{ boss { id posts { id } } }": "v",
    "{ b: boss { c: boss { p: posts { id } } n } }": "w",
    "{ posts(where: { title: null }) { id } }": "u",
    "{ posts(orderBy: id_DESC) { id } tags { id } }": "u",
    "{ tags { id } posts { id } }": "u",
    "{ id posts { id likes { id } author { id } words } }": "u",
    "{ odd posts { id } }": "u",
}


@pytest.mark.parametrize("select, owner", WAYS.items())
def test_one_too_many(site, rows, select, owner):
    rows("User", ("id", "boss"), ("w", None), ("v", "w"), ("u", "v"))
    posts(rows, owner, ROWS)
    answer = read(site, select)
    assert answer.status == 200 and str(answer.json).count("'id': ") >= ROWS, answer
    posts(rows, owner, 1, first="z")
    too_many(read(site, select), "posts")


def test_the_first_that_is_too_long_is_named(site, rows):
    rows("User", ("id", "boss"), ("u", None), *((f"s{i}", "u") for i in range(ROWS + 1)))
    posts(rows, "u", ROWS)
    assert read(site, "{ posts { id } }").status == 200
    too_many(read(site, "{ p: posts { id } few: staff(first: 2) { id } mates: staff { n } }"), "staff")
    posts(rows, "u", 1, first="z")
    too_many(read(site, "{ n mates: staff { n } p: posts { id } }"), "staff")
    too_many(read(site, "{ n p: posts { id } mates: staff { n } }"), "posts")
    too_many(read(site, "{ n b: boss { staff { id } p: posts { id } } posts { id } }", id="s1"), "staff")


def test_no_list_there(site, rows):
    rows("User", ("id",), ("u",))
    nothing = {"boss": None, "posts": [], "tags": []}
    assert read(site, "{ boss { posts { id } } posts { id } tags { id } }").result == nothing
    assert read(site, "{ boss { posts { id } } posts { id } tags { id } }", id="nobody").result is None


def test_cut_lists(site, rows):
    rows("User", ("id",), ("u",))
    posts(rows, "u", ROWS + 3)
    for cut in ("first", "last"):
        assert len(read(site, f"{{ posts({cut}: {ROWS}) {{ id }} }}").result["posts"]) == ROWS
        assert read(site, f"{{ posts({cut}: {ROWS + 1}) {{ id }} }}").json["prisma_code"] == 2041
    too_many(read(site, f"{{ a: posts(first: {ROWS}) {{ id }} b: posts(skip: 2) {{ id }} }}"), "posts")
    assert read(site, "{ posts(skip: 3) { id } }").status == 200


def test_lists_within_lists(site, rows):
    rows("User", ("id",), ("u",))
    posts(rows, "u", 2)
    rows("Like", ("id", "of"), *((str(i), "b") for i in range(ROWS)))
    assert len(read(site, "{ posts { likes { id } } }").result["posts"][1]["likes"]) == ROWS
    rows("Like", ("id", "of"), ("x", "b"))
    too_many(read(site, "{ posts { likes { id } } }"), "likes")
    assert len(read(site, "{ posts { likes(first: 5) { id } } }").result["posts"][1]["likes"]) == ROWS


# ---- the shortest there are -----------------------------------------------------------------------------------------

SHORT = ["{ id }", "{ a: id }", "{ a: no }", "{ no }", "{ title }", "{ t: title }", "{ on }", "{ words }", "{ w: words n: no }",
         "{ a: __typename }", "{ author { n } }", "{ likes { id } }", "{ a: no b: no c: no d: no }", "{ a: author { n: n } b: likes { id } }",
         "{ " + "a" * 63 + ": no }"]


@pytest.mark.parametrize("values", [{"title": "", "no": 0}, {}, {"title": "x", "no": 7, "on": True, "words": []}],
                         ids=["empty", "null", "one character"])
@pytest.mark.parametrize("limit", [1, 2, 40])
def test_short_nodes(data, rows, values, limit):
    """The shortest answers that have a list that is too long."""
    rows("User", ("id",), ("u",))
    with limited(data, rows=limit) as site:
        posts(rows, "u", limit, first="0", **values)
        for node in SHORT:
            answer = read(site, f"{{ p: posts {node} }}")
            assert answer.status == 200 and len(answer.result["p"]) == limit, (node, answer)
        posts(rows, "u", 1, first="z", **values)
        for node in SHORT:
            too_many(read(site, f"{{ p: posts {node} }}"), "posts", limit)


# ---- bytes ----------------------------------------------------------------------------------------------------------

def test_bytes(data, rows):
    rows("User", ("id",), ("u",))
    posts(rows, "u", ROWS, title="x" * 100)
    whole = '{"id":"u","posts":[' + ",".join(f'{{"title":"{"x" * 100}"}}' for _ in range(ROWS)) + "]}"
    select = "{ id posts { title } }"
    with limited(data, result_bytes=len(whole)) as site:
        assert read(site, select).text == '{"result":' + whole + "}"
        assert read(site, "{ id posts(first: 5) { title } }").text == '{"result":' + whole + "}"  # no list that could be too long
        assert read(site, "{ id  p: posts { title } }").status == 200
        for longer in ("{ id posts { title } n }", "{ id posts { id title } }", "{ id posts(first: 5) { title } n }"):
            large = read(site, longer)
            assert (large.status, large.code, large.json["detail"]) == (
                422, "TOO_LARGE", f'The result of "user" is larger than {len(whole)} bytes.'), large
        posts(rows, "u", 1, first="z", title="x" * 100)
        too_many(read(site, select), "posts")  # it is both; as ever
        assert read(site, "{ posts(first: 5) { title } }").status == 200


def test_long_and_within_the_limits(data, rows):
    """It is looked into, and comes back as it was."""
    rows("User", ("id", "boss"), ("v", None), ("u", "v"))
    title = 'x"\\\u00e9\u2028\n\x01' * 500
    posts(rows, "u", ROWS, title=title)
    posts(rows, "v", 1, first="z")
    select = "{ boss { posts { id } tags { id } } posts { title author { id } words } tags { id } }"
    expected = {"boss": {"posts": [{"id": "z"}], "tags": []}, "tags": [],
                "posts": [{"title": title, "author": {"id": "u"}, "words": []}] * ROWS}
    with limited(data) as site:
        assert read(site, select).result == expected


def test_only_long_answers_are_looked_into(data, site, rows):
    rows("User", ("id",), ("u",))
    posts(rows, "u", 1)
    posts(rows, "u", 1, first="z", title="x" * 300)
    as_installed = data.one("select pg_get_functiondef('writ.limited'::regproc)")
    data.execute("create or replace function writ.limited(r text, command text, most_bytes integer, most_rows integer, lists json, "
                 "made text) returns text language sql as $$ select writ.fail('LOOKED_INTO', lists::text) $$")
    try:
        assert len(read(site, "{ id posts { id } }").result["posts"]) == 2
        assert len(read(site, "{ id posts(first: 2) { title } }").result["posts"]) == 2
        answer = read(site, "{ id boss { staff { id } } p: posts { title } }")
        assert (answer.code, answer.json["detail"]) == ("LOOKED_INTO", '{"boss":{"staff":"staff"},"p":"posts"}')
    finally:
        data.execute(as_installed)


def test_json_that_cannot_be_taken_apart(data, site, rows):
    """json, which jsonb is not, holds NUL and half a surrogate pair, if only as \\u0000; PostgreSQL gives them out, but reads no members
    beside them."""
    rows("User", ("id", "odd"), ("u", '{"a": "\\u0000 \\ud800", "b": [1, 2, 3, 4, 5, 6, 7, 8]}'))
    posts(rows, "u", ROWS, title="x" * 100)
    for select in ("{ odd posts { title } }", "{ posts { title author { odd } } }"):
        answer = read(site, select)
        assert answer.status == 200 and "\\u0000 \\ud800" in answer.text, answer
    posts(rows, "u", 1, first="z")
    too_many(read(site, "{ odd posts { title } }"), "posts")
    too_many(read(site, "{ posts { title author { odd } } }"), "posts")


# ---- who asks -------------------------------------------------------------------------------------------------------

def create(n, name="n", select="{ n posts { no } }"):
    return {"data": {"email": name, "posts": {"create": [{"no": i} for i in range(n)]}}, "select": select}


def test_mutations(data, site, rows):
    assert len(site.client.command("createUser", create(ROWS)).result["posts"]) == ROWS
    too_many(site.client.command("createUser", create(ROWS + 1, "m")), "posts")
    assert data.one("""select count(*) from "User" where email = 'm'""") == 0
    update = {"where": {"email": "n"}, "data": {"posts": {"create": {"no": 9}}}, "select": "{ posts { no } }"}
    too_many(site.client.command("updateUser", update), "posts")
    assert data.one('select count(*) from "Post"') == ROWS
    assert site.client.command("updateUser", {**update, "select": "{ posts(first: 5) { no } }"}).status == 200


def test_kept_results(data, site, rows):
    """A result that others refer to, or that is kept for a repeat."""
    def both(n, name):
        return site.client.set({"command": "createUser", "as": "user", "args": create(n, name)},
                               {"command": "note", "args": {"text": {"$ref": "user.posts.0.no"}}})

    assert both(ROWS, "a").results[1] == [{"text": "0"}]
    answer = both(ROWS + 1, "b")
    too_many(answer, "posts")
    assert answer.json["path"].startswith("/commands/0")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(2):
        answer = site.client.post("/command/createUser", create(ROWS, "c"), headers=key)
        assert len(answer.result["posts"]) == ROWS
    assert data.one("select count(*) from \"User\" where email in ('a', 'b', 'c')") == 2


def test_several_where_one_should_be(data, rows):
    """A model may promise more than the table keeps (`writ check` says so)."""
    constraint = data.one("""select conname from pg_constraint where conrelid = '"User"'::regclass and contype = 'u'""")
    data.execute(f'alter table "User" drop constraint "{constraint}"')
    try:
        rows("User", ("id", "email"), ("u", "one"), ("v", "one"))
        with limited(data) as site:
            for select in ("{ id }", "{ id posts { id } }"):
                answer = site.client.command("user", {"where": {"email": "one"}, "select": select})
                assert (answer.status, answer.code) == (422, "TOO_MANY_ROWS"), answer
    finally:
        data.execute('delete from "User"')
        data.execute(f'alter table "User" add constraint "{constraint}" unique (email)')


# ---- the function ---------------------------------------------------------------------------------------------------

def judge(data, text, lists, most_bytes=1000, most_rows=2, made=None):
    """None when it gives the text back, else the code and the message. In the text, digits are nodes."""
    text = re.sub(r"\d", r'{"n":\g<0>}', text)
    with data.connect() as connection:
        try:
            (given,), = connection.execute("select writ.limited(%s, 'user', %s, %s, %s, %s)",
                                           (text, most_bytes, most_rows, lists, made)).fetchall()
        except harness.psycopg.Error as error:
            assert error.diag.sqlstate == "WR000"
            assert error.diag.message_hint == ("403" if error.diag.message_detail == "FORBIDDEN" else "422")
            return error.diag.message_detail, error.diag.message_primary
    assert given == text
    return None


def rows_of(name):
    return "TOO_MANY_ROWS", f'The list "{name}" has more than 2 nodes: ask for fewer with "first".'


def bytes_of(n):
    return "TOO_LARGE", f'The result of "user" is larger than {n} bytes.'


JUDGED = [
    ('{"a":[1,2]}', '{"a":"A"}', None),
    ('{"a":[1,2,3]}', '{"a":"A"}', rows_of("A")),
    ('{"a":[1,2,3],"b":[1,2,3]}', '{"b":"B","a":"A"}', rows_of("B")),
    ('{"b":[1],"a":{"x":[1],"b":[1,2,3]}}', '{"b":"B","a":{"b":"C"}}', rows_of("C")),
    ('{"b":[1],"a":{"x":[1],"b":[1,2,3]},"c":[1,2,3]}', '{"b":"B","c":"D","a":{"b":"C"}}', rows_of("D")),
    ('{"a":{"b":null},"c":null,"d":[1,2]}', '{"a":{"b":{"c":"C"}},"c":{"d":"D"},"d":"E"}', None),
    ('{"a":[1,2,3],"c":{"d":[1,2,3]}}', '{"b":"B"}', None),
    ('{"a":[1,2],"c":{"a":[1,2]},"d":[[1],[2,3]]}', '{"a":"A","c":{"a":"C"},"d":"D"}', None),
]


@pytest.mark.parametrize("text, lists, says", JUDGED)
def test_limited(data, text, lists, says):
    assert judge(data, text, lists) == says
    assert judge(data, text, lists, most_bytes=10) == (says or bytes_of(10))


def test_limited_by_bytes(data):
    assert judge(data, '{"a":[1]}', '{"a":"A"}', most_bytes=15) is None
    assert judge(data, '{"a":[1]}', '{"a":"A"}', most_bytes=14) == bytes_of(14)
    assert judge(data, '{"a":[1,2]}', '{"a":"A"}', most_bytes=23) is None
    assert judge(data, '{"a":[1,2]}', '{"a":"A"}', most_bytes=22) == bytes_of(22)
    assert judge(data, '{"a":[1,2],"b":[3]}', '{"a":"A"}', most_bytes=36) == bytes_of(36)
    assert judge(data, '{"a":[1,2],"b":[3]}', '{"a":"A"}', most_bytes=37) is None


def test_what_was_made_must_be_there(data):
    code, message = judge(data, "null", '{"a":"A"}', made="User")
    assert code == "FORBIDDEN" and message.startswith("The node of User cannot be read once it is written")
    assert judge(data, "null", '{"a":"A"}') is None
    assert judge(data, '{"a":[1]}', '{"a":"A"}', made="User") is None
    assert judge(data, '{"a":[1,2,3]}', '{"a":"A"}', made="User") == rows_of("A")


def test_limited_is_for_everybody(data):
    """Statements run as the caller's role."""
    signature = "writ.limited(text,text,integer,integer,json,text)"
    assert data.execute(f"select has_function_privilege('public', '{signature}', 'execute'), prosecdef from pg_proc "
                        f"where oid = '{signature}'::regprocedure") == [(True, False)]
