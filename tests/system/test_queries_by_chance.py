"""Queries made by chance: what compiles is taken by PostgreSQL, and what is spoilt is refused as the caller's mistake."""

import json
import random
import re
import string

from queried import MODEL, SCHEMA, site


def parse_model():
    """{model: {field: (type, is list)}}; enums apart."""
    models = {}
    for name, body in re.findall(r"^type (\w+)[^{]*\{(.*?)^\}", MODEL, re.M | re.S):
        models[name] = {field: (kind, bool(many)) for field, many, kind in re.findall(r"^  (\w+): (\[?)(\w+)", body, re.M)}
    return models


MODELS = parse_model()
ENDINGS = ["", "_not", "_in", "_not_in", "_lt", "_lte", "_gt", "_gte", "_contains", "_not_contains", "_starts_with",
    "_not_starts_with",
           "_ends_with", "_not_ends_with"]


class Generator:
    """Requests that are right, made by chance."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        return "".join(self.r.choice("ab'\"\\%_$; é\n{}") for _ in range(self.r.randrange(6)))

    def value(self, kind):
        r = self.r
        return {"ID": lambda: r.choice([self.text(), r.randrange(100)]), "String": self.text,
                "Int": lambda: r.choice([r.randrange(-5, 50), -2147483648, 2147483647]),
                "BigInt": lambda: r.choice([r.randrange(99), "9223372036854775807", -9223372036854775808]),
                "Float": lambda: r.choice([r.random(), 1e300, 0, -1]),
                "Decimal": lambda: r.choice([1.10, "1e-5", "12345678901234567890.5"]),
                "Boolean": lambda: r.random() < 0.5,
                "UUID": lambda: "%08x-0000-4000-8000-000000000000" % r.randrange(1 << 32),
                "DateTime": lambda: r.choice(["2016", "1969-12", "2016-02-29", "2016-01-01T12", "2016-01-01T12:30+05:30",
                                              "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00-12:00"]),
                "Colour": lambda: r.choice(["RED", "GREEN", "BLUE"])}[kind]()

    def endings(self, kind):
        if kind in ("ID", "String"):
            return ENDINGS
        if kind in ("UUID", "Colour"):
            return ENDINGS[:4]
        return ENDINGS[:2] if kind == "Boolean" else ENDINGS[:8]

    def filter(self, model, depth=0):
        r, where = self.r, {}
        for _ in range(r.randrange(4)):
            if r.random() < 0.25 and depth < 3:
                inner = [self.filter(model, depth + 1) for _ in range(r.randrange(3))]
                where[r.choice(["AND", "OR", "NOT"])] = r.choice([inner, inner[0] if inner else None])
                continue
            field, (kind, many) = r.choice(list(MODELS[model].items()))
            if kind in MODELS:
                if depth < 3:
                    inner = self.filter(kind, depth + 1)
                    ending = r.choice(["_some", "_every", "_none"]) if many else ""
                    where[field + ending] = inner if many else r.choice([inner, inner, None])
            elif not many and kind != "Json":
                ending = r.choice(self.endings(kind))
                lists = ending.endswith("_in")
                value = [self.value(kind) for _ in range(r.randrange(3))] if lists else self.value(kind)
                where[field + ending] = r.choice([value, value, value, None])
        return where

    def arguments(self, model, depth=0):
        r, args = self.r, {}
        scalars = [f for f, (kind, many) in MODELS[model].items() if kind not in MODELS and not many]
        if r.random() < 0.5:
            args["where"] = self.filter(model, depth)
        if r.random() < 0.4 and scalars:
            args["orderBy"] = r.choice(scalars) + r.choice(["_ASC", "_DESC"])
        if r.random() < 0.3:
            args[r.choice(["first", "last"])] = r.randrange(5)
        for name in ("after", "before"):
            if r.random() < 0.2:
                keys = {"Line": {"order": "o1", "no": r.randrange(3)}, "Team": r.randrange(3)}
                args[name] = keys.get(model, self.text())
        if r.random() < 0.2:
            args["skip"] = r.randrange(3)
        return args

    def tree(self, model, depth=0):
        r, tree = self.r, {}
        fields = list(MODELS[model].items())
        for i in range(r.randrange(1, 6)):
            field, (kind, many) = r.choice(fields)
            alias = field if r.random() < 0.5 and field not in tree else f"a{i}"
            entry = {} if alias == field else {"field": field}
            if kind in MODELS:
                if depth >= 4:
                    continue
                entry.update(self.arguments(kind, 2) if many else {})
                entry["select"] = self.tree(kind, depth + 1)
            tree[alias] = entry or True
        return tree or {"__typename": True}

    def as_text(self, tree):
        """The same selection in GraphQL."""
        def value(x):
            if isinstance(x, dict):
                return "{" + ", ".join(f"{k}: {value(v)}" for k, v in x.items()) + "}"
            if isinstance(x, list):
                return "[" + " ".join(map(value, x)) + "]"
            return json.dumps(x)

        parts = []
        for alias, entry in tree.items():
            entry = {} if entry is True else entry
            name = entry.get("field", alias)
            args = " ".join(f"{k}: {value(v)}" for k, v in entry.items() if k not in ("field", "select"))
            inner = self.as_text(entry["select"]) if "select" in entry else ""
            parts.append(f"{alias}: {name}{f'({args})' if args else ''} {inner}")
        return "{ " + "\n".join(parts) + " }"


PLURALS = {model: model[0].lower() + model[1:] + "s" for model in MODELS}


def test_what_compiles_is_taken_by_postgresql(site):
    for seed in range(400):
        generator = Generator(seed)
        model = generator.r.choice([name for name in MODELS if name not in ("Sneak", "Guarded")])
        tree, args = generator.tree(model), generator.arguments(model)
        answers = [site.inside.command(PLURALS[model], {**args, "select": select}, role="staff") for select in (tree,
            generator.as_text(tree))]
        assert answers[0].status == 200, (seed, args, tree, answers[0])
        assert answers[0].json == answers[1].json, (seed, args, tree, answers[1])


def test_what_is_wrong_is_refused_and_nothing_else(site):
    """One place of a request that is right is spoilt: an error of the caller's, never of the server's."""
    def places(x, path=()):
        yield path
        for key, value in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else ():
            yield from places(value, path + (key,))

    for seed in range(300):
        generator = Generator(seed)
        r, model = generator.r, generator.r.choice([name for name in MODELS if name not in ("Sneak", "Guarded")])
        args = {**generator.arguments(model), "select": generator.tree(model)}
        *path, last = r.choice([path for path in places(args) if path])
        holder = args
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict) and r.random() < 0.5:
            holder["".join(r.choice(string.printable) for _ in range(5))] = holder.pop(last)
        else:
            holder[last] = r.choice([None, True, 0, -1, 1.5, "", "x' y", [], {}, [None], {"id": 1}, "0001-01-01", 10 ** 40])
        answer = site.inside.command(PLURALS[model], args, role="staff")
        assert answer.status == 200 or answer.code == "BAD_ARGUMENT", (seed, args, answer)
