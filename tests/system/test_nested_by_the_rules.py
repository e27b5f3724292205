"""Mutations by chance, three levels deep, with many operations on one relation and many ways to one row: they do what the rules
do that tests/nested_rules.py has written down, or nothing, as they do."""

import random

import pytest

import harness
from nested_rules import Refused, Relation, Rules, Schema, Unclear

KEYS = {"User": "id: ID! @id", "Card": "id: UUID! @id", "Lock": "id: Int! @id", "Post": "id: UUID! @id", "Item": "id: Int! @id",
        "Box": "id: ID! @id"}
PLURALS = {"User": "users", "Card": "cards", "Lock": "locks", "Post": "posts", "Item": "items", "Box": "boxes"}

# Every pair of docs/nested.md, of types with themselves, and without a field at the other end.
PAIRS = [
    ("Boss", ("User", "boss", "1"), ("User", "staff", "M", "cascades")),
    ("Friends", ("User", "friends", "M"), ("User", "friendOf", "M")),
    ("Pair", ("User", "spouse", "1"), ("User", "spouseOf", "1")),
    ("Mentor", ("User", "mentor", "1"), ("User", None, "M")),
    ("Likes", ("User", "likes", "M"), ("Item", None, "M")),
    ("Owns", ("User", "card", "1"), ("Card", "user", "1!")),
    ("Opens", ("Card", "lock", "1!", "cascades"), ("Lock", "card", "1!")),
    ("Author", ("User", "posts", "M"), ("Post", "author", "1!")),
    ("Editor", ("User", "edits", "M"), ("Post", "editor", "1")),
    ("Main", ("Post", "main", "1!"), ("Item", "mainOf", "M", "cascades")),
    ("Cover", ("Post", "cover", "1!"), ("Item", "coverOf", "1")),
    ("Tags", ("Post", "items", "M"), ("Item", "posts", "M")),
    ("Tree", ("Item", "parent", "1"), ("Item", "children", "M", "cascades")),
    ("In", ("Box", "posts", "M"), ("Post", "box", "1")),
    ("Back", ("Box", "back", "1!"), ("Post", None, "M")),
]

# Rules.ahead: a required link that the new row holds is looked for before the row is made, or, where it need not be, behind it.
READINGS = (False, True)


def schema_by_chance(seed):
    chance = random.Random(seed)
    def place(left, right):
        if left[2] == right[2] == "M":
            return None
        return chance.choice([None, *(i for i, side in enumerate((left, right)) if side[2] != "M" and side[1])])
    return Schema(KEYS, [Relation(name, left, right, place(left, right)) for name, left, right in PAIRS])


class Chance:
    """Requests that the schema allows, to the rows that the rules have."""

    def __init__(self, seed, rules):
        self.random, self.rules, self.made, self.fresh = random.Random(seed), rules, 0, {}

    def some(self, likely):
        return self.random.random() < likely

    def where(self, model, near=()):
        rows = self.rules.rows[model]
        tags = sorted(near) if near and self.some(0.7) else sorted(rows)
        if self.fresh.get(model) and self.some(0.4):
            tags = self.fresh[model]
        tag = "nobody" if not tags or self.some(0.01) else self.random.choice(tags)
        name = rows[tag]["name"] if tag in rows else None
        return {"name": name} if name and self.some(0.3) else {"tag": tag}

    def values(self, model, create):
        values = {}
        if create:
            self.made += 1
            values["tag"] = f"{model}{self.made}"
            self.fresh.setdefault(model, []).append(values["tag"])
        if self.some(0.3):
            values["name"] = self.random.choice([None, "", "one", "it's \"two\"", "drei\\ü", *(f"name {self.random.random()}",) * 20])
        if self.some(0.4):
            values["n"] = self.random.choice([None, 1, 3] if create else [None, 2, {"increment": 2}])
        return values

    def data(self, model, back, create, depth, tag=None):
        data = self.values(model, create)
        for field, relation, i in self.rules.schema.fields[model]:
            side = relation.sides[i]
            if (relation.name, 1 - i) != back and (side.required and create or depth > 0 and self.some(0.2)):
                near = self.rules.linked(relation, i, tag) if tag else []
                data[field] = self.operations(relation, i, create, depth, near)
        return data

    def operations(self, relation, i, create, depth, near):
        side, there = relation.sides[i], relation.sides[1 - i].model
        kinds = ["create", "connect", "connectOrCreate", "upsert"]
        if side.required and relation.sides[1 - i].required and create:
            kinds = ["create"]  # nothing else can be
        elif depth <= 0 and self.rules.rows[there]:
            kinds = ["connect"]
        elif not create:
            kinds += ["update"] + ["delete", "disconnect"] * (not side.required) + ["set", "updateMany", "deleteMany"] * side.list
        chosen = self.random.sample(kinds, min(len(kinds), self.random.choice([1, 1, 2, 3, 4]) if side.list else 1))
        return {kind: self.elements(kind, relation, i, there, create, depth - 1, near) for kind in chosen}

    def elements(self, kind, relation, i, there, create, depth, near):
        def one():
            return self.element(kind, relation, i, there, create, depth, near)
        if kind == "set":
            return [{"tag": tag} for tag in near if self.some(0.8)] + [self.where(there) for _ in range(self.random.randrange(3))]
        return [one() for _ in range(self.random.choice([1, 1, 2, 3, 5]))] if relation.sides[i].list else one()

    def element(self, kind, relation, i, there, create, depth, near):
        is_list, back = relation.sides[i].list, (relation.name, i)
        where = self.where(there, near)
        found = self.rules.find(there, where) if is_list or create else (near or [None])[0]
        if kind in ("updateMany", "deleteMany"):
            some = {"n_gte": self.random.randrange(1, 4)}
            return some if kind == "deleteMany" else {"where": some, "data": {"n": {"increment": 1}}}
        if kind in ("delete", "disconnect"):
            return where if is_list else True
        if kind == "update":
            data = self.data(there, back, False, depth, found)
            return {"where": where, "data": data} if is_list else data
        if kind == "connect":
            return self.where(there)
        new = self.data(there, back, True, depth)
        if kind == "create":
            return new
        asked = {"where": where if self.some(0.6) else {"tag": new["tag"]}}
        if kind == "connectOrCreate":
            return {**asked, "create": new}
        return {**(asked if is_list or create else {}), "update": self.data(there, back, False, depth, found), "create": new}

    def request(self):
        self.fresh = {}
        model, kind = self.random.choice(sorted(KEYS)), self.random.choice(["create", "create", "update", "update", "upsert", "delete"])
        where, depth = self.where(model), self.random.choice([1, 2, 3])
        args = {} if kind == "create" else {"where": where}
        if kind in ("create", "upsert"):
            args["data" if kind == "create" else "create"] = self.data(model, None, True, depth)
        if kind in ("update", "upsert"):
            args["data" if kind == "update" else "update"] = self.data(model, None, False, depth, self.rules.find(model, where))
        return kind, model, args


def select(schema, model):
    return "{ tag name n " + " ".join(f"{field} {{ tag }}" for field, _, _ in schema.fields[model]) + " }"


def plain(row):
    """As Rules.view() has it."""
    def tags(value):
        return sorted(each["tag"] for each in value) if isinstance(value, list) else value["tag"] if isinstance(value, dict) else value
    return {field: tags(value) for field, value in row.items() if field != "tag"}


class Database:
    def __init__(self, site, schema):
        self.site, self.schema = site, schema

    def view(self):
        queries = [{"command": PLURALS[model], "args": {"select": select(self.schema, model)}} for model in KEYS]
        results = self.site.inside.command("transactional_command_set", {"commands": queries}).json["results"]
        return {model: {row["tag"]: plain(row) for row in result["result"]} for model, result in zip(KEYS, results)}

    def run(self, kind, model, args, dry):
        headers = {"Prefer": "tx=rollback"} if dry else {}
        return self.site.inside.command(kind + model, {**args, "select": select(self.schema, model)}, headers=headers)


def outcomes(rules, request):
    """What the rules make of it: (number of the error or None, rules as they are then, tag). None: they do not say."""
    for ahead in READINGS:
        then = rules.copy(ahead)
        try:
            yield None, then, then.run(*request)
        except Refused as refused:
            yield refused.args[0], rules, None
        except Unclear:
            yield None


def judge(rules, request, answer, database, dry):
    """The rules as they are now."""
    expected = list(outcomes(rules, request))
    now = database.view()
    if answer.status != 200:
        assert answer.json["prisma_code"] in (3010, 3039, 3041, 3042), (request, answer)
        assert any(each is None or each[0] for each in expected), (request, answer)
        assert now == rules.view(), request
        return rules
    done = [(then, tag) for number, then, tag in filter(None, expected) if not number]
    right = [(then, tag) for then, tag in done if dry or then.view() == now]
    assert right, (request, [(name, tag, row) for name, rows in now.items() for tag, row in rows.items()
                             if not done or done[0][0].view()[name].get(tag) != row])
    then, tag = right[0]
    if request[0] != "delete":
        assert plain(answer.result) in [after.view()[request[1]][node] for after, node in right], request
    if dry:
        assert now == rules.view(), request
    return rules if dry else then.copy()


# Each of these has found something, in earlier versions.
@pytest.mark.parametrize("seed", [4, 6, 8, 14, 16, 17])
def test_by_the_rules(postgres, seed):
    schema = schema_by_chance(seed)
    store = harness.Database(postgres, f"by_the_rules_{seed}")
    harness.create_tables(store, schema.sdl())
    manifest = "specVersion: 1\nschema: { file: ./schema.graphql }\n"
    with harness.Site(store, manifest, workers=1, inside_workers=1, files={"schema.graphql": schema.sdl()}) as site:
        rules, done = Rules(schema), 0
        chance, database = Chance(seed, rules), Database(site, schema)
        for _ in range(150):
            request, dry = chance.request(), chance.some(0.1)
            if None in outcomes(rules, request):
                continue
            answer = database.run(*request, dry)
            rules = chance.rules = judge(rules, request, answer, database, dry)
            done += answer.status == 200
        assert done > 40
    store.drop()
