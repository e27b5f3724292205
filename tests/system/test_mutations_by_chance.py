"""Mutations of models by chance, alone and many at once: what is promised holds, whatever is asked for; and races."""

import collections
import concurrent.futures
import random
import threading

import pytest

import harness
from mutated import do, empty, rows, site, strays, tables

# -------------------------------------------------------------------------- inputs by chance


FIELDS = {  # relation fields: model at the other end, list, the field that leads back
    "Person": {"boss": ("Person", False, "staff"), "staff": ("Person", True, "boss"),
               "following": ("Person", True, "followers"),
               "followers": ("Person", True, "following"), "pets": ("Pet", True, "owner"), "home": ("Place", False, None),
               "likes": ("Place", True, None)},
    "Pet": {"owner": ("Person", False, "pets"), "toys": ("Toy", True, "pet")},
    "Toy": {"pet": ("Pet", False, "toys"), "parts": ("Part", True, "toy")},
    "Part": {"toy": ("Toy", False, "parts")},
    "Place": {},
    "Folder": {"parent": ("Folder", False, "children"), "children": ("Folder", True, "parent"),
               "files": ("File", True, "folder")},
    "File": {"folder": ("Folder", False, "files"), "pins": ("Pin", True, "file")},
    "Pin": {"file": ("File", False, "pins")},
}
REQUIRED = {("Pet", "owner"), ("File", "folder"), ("Pin", "file")}


class Chance:
    """Inputs that the schema allows."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = 0

    def name(self, model):
        return {"title" if model == "Place" else "name": f"{model}{self.random.randrange(6)}"}

    def where(self, model):
        return {"id": f"{model}{self.random.randrange(6)}"} if model == "Pin" else self.name(model)

    def data(self, model, back, create, depth):
        data = {}
        if create:
            self.made += 1
            data = self.name(model) if self.random.random() < 0.3 else {key: f"new{self.made}" for key in self.name(model)}
            if model == "Pin":
                data = {}
        elif model == "Person" and self.random.random() < 0.5:
            data = {"age": self.random.choice([1, None, {"increment": 1}]), "tags": {"push": "x"}}
        for field, (there, is_list, its_back) in FIELDS[model].items():
            required = (model, field) in REQUIRED
            if field == back or (self.random.random() > 0.35 and not (required and create)):
                continue
            data[field] = self.operations(there, is_list, required, its_back, create, depth)
        return data

    def operations(self, there, is_list, required, back, create, depth):
        kinds = ["create", "connect", "connectOrCreate"] + ["upsert"] * (not required or not create)
        if not create:
            kinds += ["update"] + ["delete", "disconnect"] * (is_list or not required) + ["set", "updateMany",
                "deleteMany"] * is_list
        if depth <= 0:
            kinds = [kind for kind in kinds if kind in ("connect", "disconnect", "delete", "set",
                                                        "deleteMany")] or ["connect"]
        chosen = self.random.sample(kinds, min(len(kinds), self.random.randrange(1,
            4))) if is_list else [self.random.choice(kinds)]
        return {kind: self.operation(kind, there, is_list, back, create, depth - 1) for kind in chosen}

    def operation(self, kind, there, is_list, back, create, depth):
        def one():
            new = self.data(there, back, True, depth) if kind in ("create", "connectOrCreate", "upsert") else None
            old = self.data(there, back, False, depth) if kind in ("update", "upsert") else None
            where = self.where(there)
            if kind == "upsert":
                return {"where": where, "update": old, "create": new} if is_list or create else {"update": old,
                    "create": new}
            if kind == "update":
                return {"where": where, "data": old} if is_list else old
            if kind in ("delete", "disconnect") and not is_list:
                return True
            if kind in ("updateMany", "deleteMany"):
                some = {} if there in ("Pin", "Place") else {"name_in": [f"{there}1", f"{there}2"]}
                return {"where": some, "data": {}} if kind == "updateMany" else some
            return {"create": new, "connectOrCreate": {"where": where, "create": new}}.get(kind, where)
        return [one() for _ in range(self.random.randrange(4))] if is_list else one()


    def request(self, kinds):
        model = self.random.choice(sorted(FIELDS))
        kind = self.random.choice(kinds)
        args = {"where": self.where(model)} if kind != "create" else {}
        if kind in ("create", "update"):
            args["data"] = self.data(model, None, kind == "create", 3)
        if kind == "upsert":
            args.update(update=self.data(model, None, False, 2), create=self.data(model, None, True, 2))
        return kind + model, args


def some_rows(do):
    for i in range(7):
        do("createPerson", data={"name": f"Person{i}", "likes": {"create": {"title": f"Place{i}"}}, "pets": {"create": {
            "name": f"Pet{i}", "toys": {"create": {"name": f"Toy{i}", "parts": {"create": {"name": f"Part{i}"}}}}}}})
        do("createFolder", data={"name": f"Folder{i}", "files": {"create": {"name": f"File{i}",
            "pins": {"create": {"id": f"Pin{i}"}}}}})


@pytest.mark.parametrize("seed", range(20))
def test_by_chance(site, do, database, seed):
    """Whatever compiles, PostgreSQL prepares; and what is refused is refused for a reason that we know."""
    chance = Chance(seed)
    some_rows(do)
    codes = collections.Counter()
    for _ in range(25):
        command, args = chance.request(["create", "update", "upsert", "delete"])
        answer = site.inside.command(command, args)
        assert answer.status == 200 or answer.json.get("prisma_code") in (3010, 3039, 3041, 3042), (command, args,
            answer.text)
        codes[answer.status if answer.status == 200 else answer.json["prisma_code"]] += 1
        assert strays(database) == 0
    assert codes[200] >= 5


# -------------------------------------------------------------------------- two at once


def together(site, n, requests):
    """n clients, each with its list of commands; all answers."""
    barrier = threading.Barrier(n)

    def one(client):
        barrier.wait()
        return [site.inside.command(name, args) for name, args in requests(client)]
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return [answer for answers in pool.map(one, range(n)) for answer in answers]


def all_well(answers):
    assert [answer.text for answer in answers if answer.status != 200] == []


def test_upserts_at_once(site, do, database):
    def requests(client):
        return [("upsertPerson", {"where": {"name": f"p{i}"}, "create": {"name": f"p{i}", "age": 1},
                                  "update": {"age": {"increment": 1}}}) for i in range(20)]
    all_well(together(site, 8, requests))
    assert database.execute('select count(*), min(age), max(age) from "Person"') == [(20, 8, 8)]


def test_connect_or_create_at_once(site, do, database):
    def requests(client):
        return [("createPerson", {"data": {"name": f"p{client}.{i}", "home": {"connectOrCreate": {
            "where": {"title": f"t{i}"}, "create": {"title": f"t{i}"}}}, "likes": {"connectOrCreate": [
                {"where": {"title": f"t{j}"}, "create": {"title": f"t{j}"}} for j in (i, i + 1)]}}}) for i in range(10)]
    all_well(together(site, 8, requests))
    assert rows(database, "Place") == 11 and rows(database, "_Likes") == 160


def test_a_stranger_makes_the_row_first(site, do, database):
    """A writer that knows nothing of our locks: the upsert waits for it, and is tried again."""
    with database.connect(autocommit=False) as stranger:
        stranger.execute("""insert into "Person" (id, name, "createdAt", "updatedAt") values ('s', 'ann', now(), now())""")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(site.inside.command, "upsertPerson",
                                 {"where": {"name": "ann"}, "create": {"name": "ann"}, "update": {"age": 5}})
            harness.wait_until(lambda: database.one("select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                                                    "and datname = current_database()"), "the upsert waits")
            stranger.commit()
            assert (answer.result().result["id"], answer.result().result["age"]) == ("s", 5)


def test_one_child_for_two_parents(site, do, database):
    for i in range(4):
        do("createPerson", data={"name": f"p{i}"})
    do("createPerson", data={"name": "o", "pets": {"create": [{"name": f"pet{i}"} for i in range(10)]}})

    def requests(client):
        return [("updatePerson", {"where": {"name": f"p{client}"}, "data": {"pets": {"connect": {"name": f"pet{i}"}}}})
                for i in range(10)]
    all_well(together(site, 4, requests))
    assert database.one('select count(*) from "Pet" join "Person" on owner = "Person".id') == 10


def test_opposite_orders(site, do, database):
    """No deadlock: rows are locked in one order, whatever the order of the input."""
    for i in range(6):
        do("createPerson", data={"name": f"p{i}", "age": 0, "pets": {"create": [{"name": f"{i}.{j}"} for j in range(3)]}})
    mark = site.database.postgres.log_mark()

    def requests(client):
        order = range(6) if client % 2 else range(5, -1, -1)
        follow = [{"name": f"p{i}"} for i in order]
        return [("updatePerson", {"where": {"name": f"p{i}"}, "data": {
            "age": {"increment": 1}, "following": {"set": follow}, "pets": {"update": [
                {"where": {"name": f"{i}.{j}"}, "data": {"toys": {"create": {"name": f"{client}.{i}.{j}"}}}}
                for j in (range(3) if client % 2 else (2, 1, 0))]}}}) for i in order]
    all_well(together(site, 8, requests))
    assert "deadlock" not in site.database.postgres.log_since(mark)
    assert database.execute('select min(age), max(age) from "Person"') == [(8, 8)]
    assert rows(database, "Toy") == 8 * 18


def test_one_to_one_at_once(site, do, database):
    """Each lid is on one cup, each cup has one lid, and nobody gets an error for it."""
    for i in range(4):
        do("createCup", data={"name": f"c{i}", "lid": {"create": {"name": f"l{i}"}}})
    mark = site.database.postgres.log_mark()

    def requests(client):
        for i in range(12):
            cup, lid = f"c{(client + i) % 4}", f"l{i * client % 4}"
            yield ("updateCup", {"where": {"name": cup}, "data": {"lid": {"connect": {"name": lid}}}}) if client % 3 else \
                ("updateLid", {"where": {"name": lid}, "data": {"cup": {"connect": {"name": cup}}}})
            if client == 1:
                yield "updateCup", {"where": {"name": cup}, "data": {"lid": {"create": {"name": f"new{i}"}}}}
    all_well(together(site, 8, requests))  # links move while others wait for them
    assert "deadlock" not in site.database.postgres.log_since(mark)
    assert database.one('select count(distinct lid) = count(lid) from "Cup"')
    assert rows(database, "Lid") == 16


def test_opposite_ways(site, do, database):
    """One comes from the parent to its child, the other from the child to its parent."""
    for i in range(4):
        do("createPerson", data={"name": f"p{i}", "age": 0, "boss": {"create": {"name": f"b{i}", "age": 0}},
                                 "pets": {"create": {"name": f"pet{i}"}}})
    mark = site.database.postgres.log_mark()

    def requests(client):
        for i in [0, 1, 2, 3] * 5:
            if client % 2:
                yield "updatePet", {"where": {"name": f"pet{i}"}, "data": {"owner": {"update": {
                    "age": {"increment": 1}, "boss": {"update": {"age": {"increment": 1}}}}}}}
            else:
                yield "updatePerson", {"where": {"name": f"b{i}"}, "data": {"age": {"increment": 1}, "staff": {
                    "update": {"where": {"name": f"p{i}"}, "data": {"age": {"increment": 1}, "pets": {
                        "updateMany": {"where": {}, "data": {"name": f"pet{i}"}}}}}}}}
    all_well(together(site, 8, requests))
    assert "deadlock" not in site.database.postgres.log_since(mark)
    assert database.execute('select min(age), max(age) from "Person"') == [(40, 40)]


def test_by_chance_at_once(site, do, database):
    """Anything at all from many at the same time: everybody gets an answer that has to do with the request."""
    some_rows(do)
    mark = site.database.postgres.log_mark()
    answers = together(site, 8, lambda client: [Chance(1000 + client).request(["update", "upsert", "delete"])
                                                for client in range(client * 40, client * 40 + 40)])
    codes = collections.Counter(answer.status if answer.status == 200 else (answer.json.get("prisma_code") or answer.code)
                                for answer in answers)
    assert "deadlock" not in site.database.postgres.log_since(mark)
    assert set(codes) <= {200, 3010, 3011, 3039, 3041, 3042}, [a.text for a in answers if a.status != 200]
    assert strays(database) == 0
