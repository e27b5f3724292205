"""Random documents for tests/graphql/schema.graphql, most of them nearly valid: python3 random_documents.py SEED N"""
import random
import re
import sys

LITERALS = ["1", "2", "-7", "2147483648", "1.5", '"x"', '"2016"', "true", "null", "GRAM", "STONE", "[1, 2]", "[[1], 2]",
            "{}",'{name: "a"}', "{from: 1}", "{from: 1, to: null}", '{by: "id", descending: true}', 
            "{and: [{name: \"a\"}], x: 1}",
            "{from: $a}", "[$b, 1]", "$a", "$b", "$c", "$d", "$e"]
NEEDED = {"id", "a", "first", "tool", "to", "data"}
GOOD = {"int": ["1", "$a"], "float": ["1.5", "2"], "text": ['"x"'], "flag": ["true"], "units": ["GRAM", "[POUND]"],
        "ints": ["3", "[1, $a]"], "need": ["[]", "2"], "grid": ["[[1], null]"],
        "range": ["{from: 1}", "{from: 2, unit: POUND}"], "order": ["{}"],
        "filter": ['{name: "a"}', '{and: {not: {names: ["x"]}}}'], "big": ['"12"'], "decimal": ["1.10"], "at": ['"2016"'],
        "json": ['"[]"'], "uuid": ["null"], "tick": ["{x: [$a]}", "1"], "ids": ["1", "[2]"], "where": ["{}"],
        "tool": ["4"], "to": ["5"], "from": ["null"], "data": ['{name: "x"}'], "after": ["null"],
        "names": ['"x"'], "states": ["FREE"]}
VARIABLES = {"a": ["Int", "Int!", "Int = 3"], "b": ["[Int]", "Int", "[Int!]!"], "c": ["Range", "String", "ID!"],
             "d": ["Unit", "[Unit!]", "Boolean!", "Boolean = true"], "e": ["ToolFilter", "Order = {}", "Saw", "Nothing"]}


class Schema:
    def __init__(self, text):
        text = re.sub(r"#.*|\"[^\"]*\"", "", text)
        self.fields, self.members = {}, {}
        for kind, name, body in re.findall(r"\b(type|interface)\s+(\w+)[^{]*\{([^\n]*\}|.*?\n\})", text, re.S):
            self.fields[name] = [(f, re.findall(r"(\w+)\s*:", args or ""), t)
                                 for f, args, t in re.findall(r"(\w+)\s*(?:\(([^)]*)\))?\s*:\s*\[*(\w+)", body)]
        for name, members in re.findall(r"\bunion\s+(\w+)\s*=\s*([\w| ]+)", text):
            self.members[name] = members.split(" | ")


class Writer:
    def __init__(self, schema, rng):
        self.schema, self.rng = schema, rng
        self.composites = sorted(schema.fields) + sorted(schema.members)
        self.slips = rng.choice([0, 0, 0, 0.005, 0.01, 0.03, 0.1])
        names = "FGHK"[:rng.choice([0, 0, 1, 4])]
        self.fragments = [(n, rng.choice(["Query", "Hammer", "Saw", "Maker", "Person"])) for n in names]
        self.open = 0  # fragments below this one may be spread

    def slip(self):
        return self.rng.random() < self.slips

    def directive(self, anywhere=False):
        if self.slip():
            return " " + self.rng.choice(["@note", '@note(text: "x") @note', "@once", "@skip(if: true)", "@include(if: $d)",
                                          "@once @once", "@needs(level: 1)", "@skip", "@none"])
        return " @skip(if: false)" if anywhere and self.rng.random() < 0.05 else ""

    def arguments(self, names):
        if self.slip():
            names = names + ["zz"]
        likely = 0.2 if len(names) > 3 else 0.4
        some = [n for n in names if (n in NEEDED and not self.slip()) or self.rng.random() < likely]
        if self.slip():
            some = some * 2
        wanted = {"a": "1", "b": "2", "id": "4", "first": "3", "unit": "GRAM", "name": '"x"', "short": "true", "limit": "1",
                  "state": "FREE"}
        given = [f"{n}: {self.literal(n) if n not in wanted or self.slip() else wanted[n]}" for n in some]
        return f"({', '.join(given)})" if given else ""

    def literal(self, name=""):
        good = GOOD.get(name)
        return self.rng.choice(LITERALS if self.slip() or not good else good)

    def field(self, parent, depth):
        fields = self.schema.fields.get(parent, [])
        if not fields and not self.slip():
            return "__typename"
        if not fields or self.slip():
            name, args = self.rng.choice([("__typename", []), ("nothing", ["x"]), ("name", [])])
            of = "String"
        else:
            name, args, of = self.rng.choice(fields)
        composite = of in self.composites
        if composite and depth <= 0:
            return "__typename"
        alias = self.rng.choice(["x: ", "y: ", "name: "]) if self.rng.random() < 0.15 else ""
        braces = composite if not self.slip() else not composite
        below = self.selections(of if composite else "Saw", depth - 1) if braces else ""
        return f"{alias}{name}{self.arguments(args)}{self.directive(True)}{' ' + below if below else ''}"

    def selections(self, parent, depth):
        parts = []
        for _ in range(self.rng.randrange(1, 5)):
            roll = self.rng.random()
            if roll < 0.7:
                parts.append(self.field(parent, depth))
            elif roll < 0.85 and depth > 0:
                of = self.rng.choice(self.near(parent))
                condition = "" if self.rng.random() < 0.2 else f" on {of}"
                below = self.selections(of if condition else parent, depth - 1)
                parts.append(f"...{condition}{self.directive(True)} {below}")
            elif self.slip():
                parts.append("..." + self.rng.choice(["F", "G", "H", "K", "Unknown"]))
            elif any(of == parent for _, of in self.fragments[self.open:]):
                name = self.rng.choice([n for n, of in self.fragments[self.open:] if of == parent])
                parts.append(f"...{name}{self.directive(True)}")
            else:
                parts.append("__typename")
        return "{ " + " ".join(parts) + " }"

    def near(self, parent):
        if self.slip():
            return self.composites + ["Int", "Range", "Nothing"]
        return self.schema.members.get(parent) or ["Hammer", "Saw"] if parent in ("Node", "Named", "Priced") else [parent]

    def operation(self, name):
        kind, root = self.rng.choice([("query", "Query")] * 3 + [("mutation", "Mutation")])
        body = self.selections(root, 4)
        used = [v for v in VARIABLES if f"${v}" in body or self.slip()]
        if self.slip():
            used = used[1:]
        variables = ", ".join(f"${v}: {self.rng.choice(VARIABLES[v])}" for v in used)
        return f"{kind} {name}{'(' + variables + ')' if variables else ''}{self.directive()} {body}"

    def document(self):
        names = ["A"] if self.rng.random() < 0.7 else ["A", self.rng.choice(["B", "A", ""])]
        parts = [self.operation(n) for n in names]
        for self.open, (n, of) in enumerate(self.fragments, 1):
            parts.append(f"fragment {n} on {of}{self.directive()} {self.selections(of, 2)}")
        if self.rng.random() < 0.7:  # no unused ones
            parts = [p for p in parts if not p.startswith("fragment") or sum(f"...{p[9]}" in q for q in parts)]
        if self.slip():
            parts.append("fragment F on Saw { id }")
        return "\n".join(parts)


def documents(schema_text, seed, n):
    rng = random.Random(seed)
    schema = Schema(schema_text)
    return "".join(f"### random {seed}/{i}\n{Writer(schema, rng).document()}\n" for i in range(n))


if __name__ == "__main__":
    with open(__file__.replace("random_documents.py", "schema.graphql"), encoding="utf-8") as f:
        sys.stdout.write(documents(f.read(), int(sys.argv[1]), int(sys.argv[2])))
