"""docs/nested.md as a program: what mutations of models do to rows and links, without a database. Rows are known by their tag,
which never changes; the schema is a list of relations, and the SDL is made of the same list."""

import copy

KINDS = ["create", "update", "upsert", "delete", "connect", "connectOrCreate", "set", "disconnect", "updateMany", "deleteMany"]


class Refused(Exception):
    """With a number of Prisma 1."""


class Unclear(Exception):
    """The rules do not say: an operation on a row that the same mutation has deleted."""


class Side:
    """What one model has of the other: a field (None: it has none), and M, 1 or 1!."""

    def __init__(self, model, field, has, cascades):
        self.model, self.field, self.has, self.cascades = model, field, has, cascades
        self.list, self.required = has == "M", has == "1!"


class Relation:
    """place: where the link stands, in a column of side 0 or 1, or in a table (None)."""

    def __init__(self, name, left, right, place=None):
        self.name, self.place = name, place
        self.sides = [Side(*side[:3], "cascades" in side) for side in (left, right)]


class Schema:
    def __init__(self, keys, relations):
        """keys: of each model the SDL of its key's fields."""
        self.keys, self.relations = keys, relations
        self.fields = {model: [(side.field, relation, i) for relation in relations for i, side in enumerate(relation.sides)
                               if side.model == model and side.field] for model in keys}

    def sdl(self):
        def field(name, relation, i):
            here, there = relation.sides[i], relation.sides[1 - i]
            link = ", link: TABLE" if relation.place is None and (i == 0 or not there.field) else \
                ", link: INLINE" if relation.place == i else ""
            kind = f"[{there.model}]" if here.list else there.model + "!" * here.required
            cascade = ", onDelete: CASCADE" if here.cascades else ""
            return f'  {name}: {kind} @relation(name: "{relation.name}"{link}{cascade})\n'
        return "".join(f"type {model} {{ {key}  tag: String! @unique  name: String @unique  n: Int\n"
                       + "".join(field(*each) for each in self.fields[model]) + "}\n" for model, key in self.keys.items())


class Rules:
    """The rows and links as they are now. ahead: required links that a new row holds are found before it is made
    (docs/nested.md, "Order")."""

    def __init__(self, schema):
        self.schema, self.ahead = schema, False
        self.rows = {model: {} for model in schema.keys}
        self.links = {relation.name: set() for relation in schema.relations}

    def copy(self, ahead=False):
        other = Rules(self.schema)
        other.rows, other.links, other.ahead = copy.deepcopy(self.rows), copy.deepcopy(self.links), ahead
        return other

    def view(self):
        """{model: {tag: {field: value}}}, of a relation the tag of the other row, or those of all."""
        view = {model: {tag: dict(row) for tag, row in rows.items()} for model, rows in self.rows.items()}
        for model, fields in self.schema.fields.items():
            for tag, row in view[model].items():
                for name, relation, i in fields:
                    linked, side = self.linked(relation, i, tag), relation.sides[i]
                    assert side.list or len(linked) <= 1 and (linked or not side.required), (model, tag, name, linked)
                    row[name] = linked if side.list else (linked or [None])[0]
        return view

    def linked(self, relation, i, tag):
        return sorted(pair[1 - i] for pair in self.links[relation.name] if pair[i] == tag)

    def find(self, model, where):
        (key, value), = where.items()
        return next((tag for tag, row in self.rows[model].items() if (tag if key == "tag" else row[key]) == value), None)

    def must_find(self, model, where):
        tag = self.find(model, where)
        if tag is None:
            raise Refused(3039)
        return tag

    # ---- rows

    def create(self, model, data, link=None):
        """link: (relation, side, tag) of the parent."""
        held = self.find_held(model, data) if self.ahead else []
        if data["tag"] in self.rows[model]:
            raise Refused(3010)
        self.rows[model][data["tag"]] = {"name": data.get("name"), "n": data.get("n")}
        self.check_unique(model, data["tag"])
        for relation, i, tag in ([link] if link else []) + [(relation, 1 - i, child) for relation, i, child in held]:
            self.attach(relation, i, tag, data["tag"])
        rest = {field: value for field, value in data.items()
                if not (held and any(field == name and self.is_held(relation, i) for name, relation, i in self.schema.fields[model]))}
        self.operate(model, data["tag"], rest, True)
        return data["tag"]

    def find_held(self, model, data):
        held = []
        for kind in KINDS:
            for field, relation, i in self.schema.fields[model]:
                given, there = (data.get(field) or {}).get(kind), relation.sides[1 - i].model
                if given is None or not self.is_held(relation, i):
                    continue
                child = None
                if kind != "create":
                    child = self.must_find(there, given) if kind == "connect" else self.find(there, given["where"])
                if child is None:
                    child = self.create(there, given if kind == "create" else given["create"])
                elif self.is_needed(relation, i, child):
                    raise Refused(3042)
                elif kind == "upsert":
                    self.update(there, child, given["update"])
                held.append((relation, i, child))
        return held

    def is_held(self, relation, i):
        return relation.place == i and relation.sides[i].required

    def is_needed(self, relation, i, child):
        """By the parent that it has, of which there is only one."""
        return relation.sides[i].required and not relation.sides[1 - i].list and bool(self.linked(relation, 1 - i, child))

    def check_unique(self, model, tag):
        name = self.rows[model][tag]["name"]
        if name is not None and [row["name"] for row in self.rows[model].values()].count(name) > 1:
            raise Refused(3010)

    def update(self, model, tag, data):
        self.must_be_there(model, tag)
        row = self.rows[model][tag]
        row["name"] = data.get("name", row["name"])
        if isinstance(data.get("n"), dict):
            row["n"] = row["n"] if row["n"] is None else row["n"] + data["n"]["increment"]
        else:
            row["n"] = data.get("n", row["n"])
        self.check_unique(model, tag)
        self.operate(model, tag, data, False)

    def must_be_there(self, model, tag):
        if tag not in self.rows[model]:
            raise Unclear

    def delete(self, model, tags):
        gone, reached = set(), {(model, tag) for tag in tags}
        while reached:
            gone |= reached
            reached = {(relation.sides[1 - i].model, child) for model, tag in gone for _, relation, i in self.schema.fields[model]
                       if relation.sides[i].cascades for child in self.linked(relation, i, tag)} - gone
        ends = [(relation, i, model, tag) for model, tag in gone for relation in self.schema.relations for i in (0, 1)
                if relation.sides[i].model == model]
        for relation, i, _, tag in ends:
            there = relation.sides[1 - i]
            if there.required and {(there.model, child) for child in self.linked(relation, i, tag)} - gone:
                raise Refused(3042)
        for relation, i, _, tag in ends:
            self.links[relation.name] = {pair for pair in self.links[relation.name] if pair[i] != tag}
        for model, tag in gone:
            del self.rows[model][tag]

    # ---- links

    def attach(self, relation, i, parent, child):
        """Whoever has only one of the other loses what it had, unless that is needed."""
        pairs = self.links[relation.name]
        for end, mine, other in ((i, parent, child), (1 - i, child, parent)):
            for old in self.linked(relation, end, mine):
                if relation.sides[end].list or old == other:
                    continue
                if relation.sides[1 - end].required:
                    raise Refused(3042)
                pairs.discard((mine, old) if end == 0 else (old, mine))
        pairs.add((parent, child) if i == 0 else (child, parent))

    def connect(self, relation, i, parent, child):
        if child in self.linked(relation, i, parent):
            return
        if relation.sides[0].required and relation.sides[1].required:
            raise Refused(3042)
        self.attach(relation, i, parent, child)

    def unlink(self, relation, i, parent, child):
        self.links[relation.name].discard((parent, child) if i == 0 else (child, parent))

    # ---- operations

    def operate(self, model, tag, data, in_create):
        for kind in KINDS:
            for field, relation, i in self.schema.fields[model]:
                given = (data.get(field) or {}).get(kind)
                if given is None:
                    continue
                one = kind == "set" or not isinstance(given, list)
                for each in [given] if one else given:
                    self.must_be_there(model, tag)
                    getattr(self, "do_" + kind)(relation, i, tag, each, in_create)

    def own(self, relation, i, tag, where):
        linked = self.linked(relation, i, tag)
        child = self.must_find(relation.sides[1 - i].model, where) if relation.sides[i].list else (linked or [None])[0]
        if child not in linked:
            raise Refused(3041)
        return child

    def do_create(self, relation, i, tag, data, in_create):
        here, there = relation.sides[i], relation.sides[1 - i]
        if not in_create and not here.list and there.required and (here.required or self.linked(relation, i, tag)):
            raise Refused(3042)
        self.create(there.model, data, (relation, i, tag))

    def do_update(self, relation, i, tag, given, _):
        is_list = relation.sides[i].list
        child = self.own(relation, i, tag, given["where"] if is_list else None)
        self.update(relation.sides[1 - i].model, child, given["data"] if is_list else given)

    def do_upsert(self, relation, i, tag, given, in_create):
        there = relation.sides[1 - i].model
        found = self.find(there, given["where"]) if "where" in given else (self.linked(relation, i, tag) or [None])[0]
        if found is None or not in_create and found not in self.linked(relation, i, tag):
            self.do_create(relation, i, tag, given["create"], in_create)
            return
        self.update(there, found, given["update"])
        if in_create:
            self.must_be_there(there, found)
            self.must_be_there(relation.sides[i].model, tag)
            self.connect(relation, i, tag, found)

    def do_delete(self, relation, i, tag, where, _):
        self.delete(relation.sides[1 - i].model, [self.own(relation, i, tag, where)])

    def do_connect(self, relation, i, tag, where, _):
        self.connect(relation, i, tag, self.must_find(relation.sides[1 - i].model, where))

    def do_connectOrCreate(self, relation, i, tag, given, in_create):
        found = self.find(relation.sides[1 - i].model, given["where"])
        if found is None:
            self.do_create(relation, i, tag, given["create"], in_create)
        else:
            self.connect(relation, i, tag, found)

    def do_set(self, relation, i, tag, wheres, _):
        there = relation.sides[1 - i]
        named = [self.must_find(there.model, where) for where in wheres]
        for child in self.linked(relation, i, tag):
            if child not in named and there.required:
                raise Refused(3042)
            if child not in named:
                self.unlink(relation, i, tag, child)
        for child in named:
            self.connect(relation, i, tag, child)

    def do_disconnect(self, relation, i, tag, where, _):
        if relation.sides[1 - i].required:
            raise Refused(3042)
        self.unlink(relation, i, tag, self.own(relation, i, tag, where))

    def matching(self, relation, i, tag, where):
        rows = self.rows[relation.sides[1 - i].model]
        return [child for child in self.linked(relation, i, tag) if (rows[child]["n"] or 0) >= where["n_gte"]]

    def do_updateMany(self, relation, i, tag, given, _):
        for child in self.matching(relation, i, tag, given["where"]):
            self.update(relation.sides[1 - i].model, child, given["data"])

    def do_deleteMany(self, relation, i, tag, where, _):
        self.delete(relation.sides[1 - i].model, self.matching(relation, i, tag, where))

    # ---- the roots

    def run(self, kind, model, args):
        """The tag of the node that is answered."""
        tag = None if kind == "create" else self.find(model, args["where"])
        if kind == "create" or kind == "upsert" and tag is None:
            made = self.create(model, args["data" if kind == "create" else "create"])
            self.must_be_there(model, made)
            return made
        if tag is None:
            raise Refused(3039)
        if kind == "delete":
            self.delete(model, [tag])
        else:
            self.update(model, tag, args["data" if kind == "update" else "update"])
            self.must_be_there(model, tag)
        return tag
