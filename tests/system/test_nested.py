"""Nested mutations: every operation on every kind of relation, wherever the link is stored, in every situation that the rules
tell apart. The tables below are the rules (docs/nested.md): what is expected is written down there, not taken from what is."""

import pytest

import harness

# The pairs: what the parent P has of its child C, and C of P. ! required, 1 to-one, M list.
PAIRS = ["P1!-C1!", "P1!-C1", "P1-C1!", "P1-C1", "PM-C1!", "PM-C1", "P1!-CM", "P1-CM", "PM-CM"]

# Enough of them for tables that writ did not make.
SOME_PAIRS = ["P1!-C1", "P1-C1", "PM-C1!", "PM-CM"]

# One line a case: what is done, to links as they are at first; then the links afterwards or the error, for each of the PAIRS.
# p1, p2 are parents that are there, c1, c2 children; cn and pn are made by the mutation. 0: no links. A dot: the situation
# cannot be (a required link would be missing). -: the operation is not offered. A child without a link stands alone: c9.
# c1 before a "/": that this row is gone.
MATRIX = """
operation                 | links at first | P1!-C1! | P1!-C1    | P1-C1!    | P1-C1     | PM-C1!    | PM-C1     | P1!-CM    | P1-CM     | PM-CM

# below createP
createP create            | 0              | pncn    | pncn      | pncn      | pncn      | pncn      | pncn      | pncn      | pncn      | pncn
createP create two        | 0              | -       | -         | -         | -         | pncn,pnco | pncn,pnco | -         | -         | pncn,pnco
createP connect c9        | 0              | .       | pnc9      | .         | pnc9      | .         | pnc9      | pnc9      | pnc9      | pnc9
createP connect c1        | p1c1           | 3042    | 3042      | pnc1      | pnc1      | pnc1      | pnc1      | p1c1,pnc1 | p1c1,pnc1 | p1c1,pnc1
createP connect c0        | 0              | 3039    | 3039      | 3039      | 3039      | 3039      | 3039      | 3039      | 3039      | 3039
createP connect c1 twice  | p1c1           | -       | -         | -         | -         | pnc1      | pnc1      | -         | -         | p1c1,pnc1
createP connectOr c9      | 0              | .       | pnc9      | .         | pnc9      | .         | pnc9      | pnc9      | pnc9      | pnc9
createP connectOr c1      | p1c1           | 3042    | 3042      | pnc1      | pnc1      | pnc1      | pnc1      | p1c1,pnc1 | p1c1,pnc1 | p1c1,pnc1
createP connectOr cn      | p1c1           | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn
createP upsertAny c1      | p1c1           | 3042    | 3042      | pnc1      | pnc1      | pnc1      | pnc1      | p1c1,pnc1 | p1c1,pnc1 | p1c1,pnc1
createP upsertAny cn      | p1c1           | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn
createP nothing           | 0              | 3032    | 3032      | pn        | pn        | pn        | pn        | 3032      | pn        | pn

# below updateP p1
create                    | p1c1           | 3042    | p1cn      | 3042      | p1cn      | p1c1,p1cn | p1c1,p1cn | p1cn      | p1cn      | p1c1,p1cn
create                    | 0              | .       | .         | p1cn      | p1cn      | p1cn      | p1cn      | .         | p1cn      | p1cn
create                    | p1c1,p2c2      | 3042    | p1cn,p2c2 | 3042      | p1cn,p2c2 | p1c1,p1cn,p2c2 | p1c1,p1cn,p2c2 | p1cn,p2c2 | p1cn,p2c2 | p1c1,p1cn,p2c2
create two                | 0              | -       | -         | -         | -         | p1cn,p1co | p1cn,p1co | -         | -         | p1cn,p1co
connect c9                | p1c1           | .       | p1c9      | .         | p1c9      | .         | p1c1,p1c9 | p1c9      | p1c9      | p1c1,p1c9
connect c9                | 0              | .       | .         | .         | p1c9      | .         | p1c9      | .         | p1c9      | p1c9
connect c2                | p1c1,p2c2      | 3042    | 3042      | 3042      | p1c2      | p1c1,p1c2 | p1c1,p1c2 | p1c2,p2c2 | p1c2,p2c2 | p1c1,p1c2,p2c2
connect c2                | p2c2           | .       | .         | p1c2      | p1c2      | p1c2      | p1c2      | .         | p1c2,p2c2 | p1c2,p2c2
connect c1                | p1c1           | p1c1    | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1
connect c0                | p1c1           | 3039    | 3039      | 3039      | 3039      | 3039      | 3039      | 3039      | 3039      | 3039
connectOr c9              | p1c1           | .       | p1c9      | .         | p1c9      | .         | p1c1,p1c9 | p1c9      | p1c9      | p1c1,p1c9
connectOr c2              | p1c1,p2c2      | 3042    | 3042      | 3042      | p1c2      | p1c1,p1c2 | p1c1,p1c2 | p1c2,p2c2 | p1c2,p2c2 | p1c1,p1c2,p2c2
connectOr c1              | p1c1           | p1c1    | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1
connectOr cn              | p1c1           | 3042    | p1cn      | 3042      | p1cn      | p1c1,p1cn | p1c1,p1cn | p1cn      | p1cn      | p1c1,p1cn
connectOr cn              | 0              | .       | .         | p1cn      | p1cn      | p1cn      | p1cn      | .         | p1cn      | p1cn
connectOr cn twice        | p1c1           | -       | -         | -         | -         | p1c1,p1cn | p1c1,p1cn | -         | -         | p1c1,p1cn
disconnect c1             | p1c1           | -       | -         | 3042      | 0         | 3042      | 0         | -         | 0         | 0
disconnect c1             | p1c1,p2c2      | -       | -         | 3042      | p2c2      | 3042      | p2c2      | -         | p2c2      | p2c2
disconnect c2             | p2c2           | -       | -         | 3042      | 3041      | 3042      | 3041      | -         | 3041      | 3041
disconnect c0             | 0              | -       | -         | 3042      | 3041      | 3042      | 3039      | -         | 3041      | 3039
delete c1                 | p1c1           | -       | -         | c1/0      | c1/0      | c1/0      | c1/0      | -         | c1/0      | c1/0
delete c2                 | p2c2           | -       | -         | 3041      | 3041      | 3041      | 3041      | -         | 3041      | 3041
delete c0                 | 0              | -       | -         | 3041      | 3041      | 3039      | 3039      | -         | 3041      | 3039
update c1                 | p1c1           | p1c1    | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1
update c2                 | p2c2           | .       | .         | 3041      | 3041      | 3041      | 3041      | .         | 3041      | 3041
update c0                 | 0              | .       | .         | 3041      | 3041      | 3039      | 3039      | .         | 3041      | 3039
upsert c1                 | p1c1           | p1c1    | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1
upsert c2                 | p2c2           | .       | .         | p1cn,p2c2 | p1cn,p2c2 | p1cn,p2c2 | p1cn,p2c2 | .         | p1cn,p2c2 | p1cn,p2c2
upsert c0                 | 0              | .       | .         | p1cn      | p1cn      | p1cn      | p1cn      | .         | p1cn      | p1cn
set c1                    | p1c1           | -       | -         | -         | -         | p1c1      | p1c1      | -         | -         | p1c1
set c2                    | p1c1,p2c2      | -       | -         | -         | -         | 3042      | p1c2      | -         | -         | p1c2,p2c2
set c1 c2                 | p1c1,p2c2      | -       | -         | -         | -         | p1c1,p1c2 | p1c1,p1c2 | -         | -         | p1c1,p1c2,p2c2
set c1 c1                 | p1c1           | -       | -         | -         | -         | p1c1      | p1c1      | -         | -         | p1c1
set c0                    | p1c1           | -       | -         | -         | -         | 3039      | 3039      | -         | -         | 3039
set                       | p1c1           | -       | -         | -         | -         | 3042      | 0         | -         | -         | 0
set                       | 0              | -       | -         | -         | -         | 0         | 0         | -         | -         | 0
updateMany                | p1c1,p2c2      | -       | -         | -         | -         | p1c1,p2c2 | p1c1,p2c2 | -         | -         | p1c1,p2c2
updateMany                | 0              | -       | -         | -         | -         | 0         | 0         | -         | -         | 0
deleteMany                | p1c1,p2c2      | -       | -         | -         | -         | c1/p2c2   | c1/p2c2   | -         | -         | c1/p2c2
deleteMany                | 0              | -       | -         | -         | -         | 0         | 0         | -         | -         | 0
nothing                   | p1c1           | p1c1    | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1      | p1c1

# deleting, without cascades
deleteP                   | p1c1           | 3042    | p1/0      | 3042      | p1/0      | 3042      | p1/0      | p1/0      | p1/0      | p1/0
deleteP                   | 0              | .       | .         | p1/0      | p1/0      | p1/0      | p1/0      | .         | p1/0      | p1/0
deleteC                   | p1c1           | 3042    | 3042      | c1/0      | c1/0      | c1/0      | c1/0      | 3042      | c1/0      | c1/0
deleteManyP               | p1c1,p2c2      | 3042    | p1/p2c2   | 3042      | p1/p2c2   | 3042      | p1/p2c2   | p1/p2c2   | p1/p2c2   | p1/p2c2

# upsertP: the create part as below createP, the update part as below updateP
upsertP pn                | p1c1           | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn | p1c1,pncn
upsertP p1                | p1c1           | 3042    | p1cn      | 3042      | p1cn      | p1c1,p1cn | p1c1,p1cn | p1cn      | p1cn      | p1c1,p1cn
"""


def cases():
    rows = [line.split("|") for line in MATRIX.splitlines() if "|" in line][1:]
    return [(row[0].strip(), row[1].strip(), pair, cell.strip()) for row in rows for pair, cell in zip(PAIRS, row[2:])
            if cell.strip() != "."]


class Kind:
    """One pair with its link stored in one place: two models and their tables."""

    def __init__(self, pair, storage, form, letter):
        """form: two models, one that is linked to itself, or two of which C has no field for it."""
        self.pair, self.storage, self.form, self.letter = pair, storage, form, letter
        self.p = f"P{letter}d"
        self.c = self.p if form == "self" else f"C{letter}d"
        here, there = pair.split("-")
        self.p_list, self.c_list = here[1] == "M", there[1] == "M"
        self.p_required, self.c_required = here.endswith("!"), there.endswith("!")
        self.name = f"{pair} {storage} {form}"

    def sdl(self):
        def field(name, model, is_list, required, place):
            link = f', link: {"TABLE" if place == "table" else "INLINE"}' if place else ""
            column = ' @db(name: "link")' if place == "inline" else ""
            kind = f"[{model}]" if is_list else model + "!" * required
            return f'{name}: {kind} @relation(name: "R{self.letter}"{link}){column}'

        here = {"here": "inline", "table": "table"}.get(self.storage)
        there = "inline" if self.storage == "there" else None
        own, others = "id: ID! @id  u: String! @unique  n: Int", field("c", self.c, self.p_list, self.p_required, here)
        back = field("p", self.p, self.c_list, self.c_required, there)
        if self.form == "self":
            return f"type {self.p} {{ {own}  {others}  {back} }}\n"
        return f"type {self.p} {{ {own}  {others} }}\ntype {self.c} {{ {own}  {back if self.form == 'two' else ''} }}\n"

    def columns(self):
        """Of a link table, for P and C: A is the model that comes first in the alphabet, of a self relation the field."""
        return ("A", "B") if self.form == "self" else ("B", "A")

    def links_sql(self):
        p, c = self.columns()
        return {"here": f'select id || link from "{self.p}" where link is not null',
                "there": f'select link || id from "{self.c}" where link is not null',
                "table": f'select "{p}" || "{c}" from "_R{self.letter}"'}[self.storage]

    def fill_sql(self, parents, children, links):
        """The rows of a case."""
        pairs = [(link[:2], link[2:]) for link in links]
        sql = [f'truncate "{self.p}"' + f', "{self.c}"' * (self.form != "self") + f', "_R{self.letter}"' * (self.storage == "table"),
               "set constraints all deferred"]
        tables = [(self.p, parents, dict(pairs), "here"), (self.c, children, {c: p for p, c in pairs}, "there")]
        for table, ids, other, place in reversed(tables) if self.storage == "here" else tables:
            holds = self.storage == place
            for row in ids:
                link = f", '{other[row]}'" if holds and row in other else ""
                sql.append(f"""insert into "{table}" (id, u, n{', link' * bool(link)}) values ('{row}', 'u{row}', 0{link})""")
        if self.storage == "table":
            names = '"%s", "%s"' % self.columns()
            sql += [f"""insert into "_R{self.letter}" ({names}) values ('{p}', '{c}')""" for p, c in pairs]
        return ";\n".join(sql)


def storages(pair):
    here, there = pair.split("-")
    return [storage for storage, possible in (("here", here[1] == "1"), ("there", there[1] == "1"), ("table", True))
            if possible and not (storage == "here" and there[1] == "1" and here[1] == "M")]


def forms(pair):
    """A self relation in which all need another is never begun; a side that is not declared is a list."""
    return ["two"] + ["self"] * ("!" not in pair) + ["no back field"] * pair.endswith("CM")


def letters():
    return (a + b for a in "abcdefghij" for b in "aeiou")


KINDS = [Kind(*kind, letter) for kind, letter in
         zip(((pair, storage, form) for pair in PAIRS for storage in storages(pair) for form in forms(pair)), letters())]

MODELS = "".join(kind.sdl() for kind in KINDS)

# Tables as `writ schema ddl` makes them, and as others may have been made: writ finds out how the keys behave.
TABLES = {
    "made by writ": "",
    "keys that cannot wait": """alter table only %(table)s drop constraint %(name)s; alter table only %(table)s add
        constraint %(name)s foreign key (%(columns)s) references %(other)s""",
    "no foreign keys": "alter table only %(table)s drop constraint %(name)s",
}


def change_tables(database, sql):
    for table, name, columns, other in database.execute("""
            select conrelid::regclass::text, quote_ident(conname), (select string_agg(quote_ident(attname), ', ') from
            pg_attribute where attrelid = conrelid and attnum = any(conkey)), confrelid::regclass::text from pg_constraint
            where contype = 'f'"""):
        database.execute(sql % {"table": table, "name": name, "columns": columns, "other": other})
    for table, name in database.execute("""select conrelid::regclass::text, quote_ident(conname) from pg_constraint
            where contype = 'p' and conrelid::regclass::text like '"\\_R%'"""):
        database.execute(f"alter table {table} drop constraint {name}")


@pytest.fixture(scope="module")
def site(database, request):
    database.execute("drop schema public cascade; create schema public; grant usage on schema public to public")
    harness.create_tables(database, MODELS)
    if TABLES[request.param]:
        change_tables(database, TABLES[request.param])
    with harness.Site(database, "specVersion: 1\nschema: { file: ./schema.graphql }\n", workers=1, inside_workers=1,
                      files={"schema.graphql": MODELS}) as site:
        yield site


def argument(kind, operation, words):
    """What stands in the relation field, of the operation on the children of those names."""
    many = kind.p_list
    wheres = [{"id": word} for word in words if word != "twice"] * (2 if "twice" in words else 1)
    where = wheres[0] if wheres else None
    new = {"id": "cn", "u": "ucn", "n": 7}
    value = {
        "create": [new, {**new, "id": "co", "u": "uco"}] if words == ["two"] else new,
        "connect": wheres if many or "twice" in words else where,
        "connectOr": [{"where": w, "create": {**new, "id": w["id"], "u": "u" + w["id"]}} for w in wheres],
        "upsertAny": [{"where": w, "update": {"n": 5}, "create": {**new, "id": w["id"]}} for w in wheres],
        "disconnect": wheres if many else True,
        "delete": wheres if many else True,
        "update": [{"where": w, "data": {"n": 5}} for w in wheres] if many else {"n": 5},
        "upsert": [{"where": w, "update": {"n": 5}, "create": new} for w in wheres]
            if many else {"update": {"n": 5}, "create": new},
        "set": wheres,
        "updateMany": {"where": {"u_in": ["uc1", "uc2"]}, "data": {"n": 5}},
        "deleteMany": {"u_in": ["uc1", "uc2"]},
        "nothing": None,
    }[operation]
    name = {"connectOr": "connectOrCreate", "upsertAny": "upsert"}.get(operation, operation)
    if operation in ("connectOr", "upsertAny") and not many and len(value) == 1:
        value = value[0]
    return {} if operation == "nothing" else {name: value}


def request(kind, operation):
    """The command, its arguments, and where in them the fault would be."""
    words = operation.split()
    create = {"id": "pn", "u": "upn", "c": {"create": {"id": "cn", "u": "ucn"}}}
    if words[0] == "deleteP":
        return f"delete{kind.p}", {"where": {"id": "p1"}}, "/where"
    if words[0] == "deleteC":
        return f"delete{kind.c}", {"where": {"u": "uc1"}}, "/where"
    if words[0] == "deleteManyP":
        return f"deleteMany{kind.p}s", {"where": {"u": "up1"}}, None
    if words[0] == "upsertP":
        update = {"n": 5, "c": {"create": {"id": "cn", "u": "ucn"}}}
        return f"upsert{kind.p}", {"where": {"id": words[1]}, "create": create, "update": update}, "/update/c/create"
    if words[0] == "createP":
        return f"create{kind.p}", {"data": {"id": "pn", "u": "upn", "c": argument(kind, words[1], words[2:])}}, "/data/c"
    return f"update{kind.p}", {"where": {"u": "up1"}, "data": {"c": argument(kind, words[0], words[1:])}}, "/data/c"


def state(database, kind):
    def rows(table, letter):
        return dict(database.execute(f"""select id, n from "{table}" where id like '{letter}%'"""))
    return {"links": sorted(row[0] for row in database.execute(kind.links_sql())), "p": rows(kind.p, "p"),
            "c": rows(kind.c, "c")}


def start(kind, operation, links):
    links = [] if links == "0" else links.split(",")
    parents = {"p1", *(link[:2] for link in links)}
    children = {"c9"} if "c9" in operation.split() else set()
    children |= {link[2:] for link in links}
    if operation.startswith("createP") or operation == "deleteC":
        parents = {link[:2] for link in links}
    if "c2" in operation.split() and not kind.c_required and not any("c2" in link for link in links):
        children.add("c2")
    if kind.p_required and "p1" in parents and not any("p1" in link for link in links):  # of what is not offered at all
        children.add("c1")
        links = ["p1c1", *links]
    return sorted(parents), sorted(children), links


@pytest.mark.parametrize("site, kind", [(tables, kind) for tables in TABLES for kind in KINDS
                                       if tables == "made by writ" or (kind.form == "two" and kind.pair in SOME_PAIRS)],
                         ids=lambda value: getattr(value, "name", value), indirect=["site"])
def test_matrix(site, database, kind):
    wrong = []
    for operation, links, pair, expected in cases():
        if pair != kind.pair:
            continue
        parents, children, first = start(kind, operation, links)
        database.execute(kind.fill_sql(parents, children, first))
        before = state(database, kind)
        assert before["links"] == sorted(first)
        command, arguments, path = request(kind, operation)
        arguments["select"] = None if operation in ("deleteC", "deleteManyP") else "{ id c { id } }"
        answer = site.inside.command(command, {k: v for k, v in arguments.items() if v is not None})
        problem = judge(kind, operation, expected, before, state(database, kind), answer, path)
        if problem:
            wrong.append(f"{operation} | {links} | {expected}: {problem}")
    assert not wrong, "\n".join(wrong)


def judge(kind, operation, expected, before, after, answer, path):
    """What is wrong with it; None: nothing."""
    if expected in ("-", "3032", "3039", "3041", "3042"):
        if answer.status == 200:
            return f"succeeded: {after['links']}"
        if before != after:
            return f"changed {before} to {after}"
        if answer.json.get("prisma_code") != (int(expected) if expected != "-" else None):
            return answer.text
        if path and not answer.json.get("path", "").startswith(path):
            return f"path {answer.json.get('path')}, not {path}"
        code = {"3039": "NOT_FOUND", "3041": "NOT_CONNECTED", "3042": "REQUIRED_RELATION"}.get(expected, "BAD_ARGUMENT")
        return None if answer.code == code else answer.text
    if answer.status != 200:
        return answer.text
    return judge_rows(kind, operation, expected, before, after, answer)


def judge_rows(kind, operation, expected, before, after, answer):
    gone, _, links = expected.rpartition("/")
    links = sorted(link for link in links.split(",") if len(link) == 4)
    if after["links"] != links:
        return f"links {after['links']}"
    p, c = set(before["p"]) - {gone}, set(before["c"]) - {gone}
    p |= {link[:2] for link in links} | ({"pn"} if "createP" in operation else set())
    c |= {link[2:] for link in links}
    if (set(after["p"]), set(after["c"])) != (p, c):
        return f"rows {after}"
    touched = {"update c1": "c1", "upsert c1": "c1", "createP upsertAny c1": "c1"}.get(operation)
    if operation == "updateMany" and links:
        touched = "c1"
    for row in before["c"]:
        if row in after["c"] and after["c"][row] != (5 if row == touched else 0):
            return f"values {after['c']}"
    result = answer.result
    if "Many" in operation and operation.startswith("deleteMany") and "P" in operation:
        return None if result == {"count": 1} else f"result {result}"
    if operation.startswith("delete") and operation[6:] in ("P", "C"):
        return None if result["id"] in ("p1", "c1") else f"result {result}"
    me = result["id"]
    mine = sorted(link[2:] for link in links if link[:2] == me)
    shown = [row["id"] for row in result["c"]] if kind.p_list else [result["c"]["id"]] if result["c"] else []
    return None if shown == mine else f"answer {result}"
