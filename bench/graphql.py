"""A nested create, and a query, through GraphQL beside the same through /command, interleaved in one run. Prints each one's
throughput against that of the command."""

import argparse
import contextlib
import json
import statistics
import sys

import measure
import servers
from servers import harness

MODEL = """
type Person { id: ID! @id  name: String! @unique  posts: [Post] }
type Post { id: ID! @id  title: String!  stars: Int! @default(value: 0)  author: Person }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  Person: { create: { allow: [anonymous] }, query: { allow: [anonymous] } }
  Post: { create: { allow: [anonymous] } }
"""

DATA = {"name": "@NAME@", "posts": {"create": [{"title": "one"}, {"title": "two", "stars": 2}, {"title": "three"}]}}
FIELDS = "{ id name posts { id title stars } }"
CREATE = f"mutation Create($data: PersonCreateInput!) {{ createPerson(data: $data) {FIELDS} }}"
LITERAL = ('mutation { createPerson(data: { name: "@NAME@", posts: { create: '
           f'[{{ title: "one" }}, {{ title: "two", stars: 2 }}, {{ title: "three" }}] }} }}) {FIELDS} }}')
READ = f"query Read($name: String) {{ person(where: {{ name: $name }}) {FIELDS} }}"

# name: (what it is held against, path, body, rows that a request adds)
WAYS = {
    "create: command": ("create: command", "/command/createPerson", {"data": DATA, "select": FIELDS}, 1),
    "create: variables": ("create: command", "/graphql", {"query": CREATE, "variables": {"data": DATA}}, 1),
    "create: another text each time": ("create: command", "/graphql", {"query": LITERAL}, 1),
    "read: command": ("read: command", "/command/person", {"where": {"name": "somebody"}, "select": FIELDS}, 0),
    "read: variables": ("read: command", "/graphql", {"query": READ, "variables": {"name": "somebody"}}, 0),
}

ROWS = 10000

LOCATIONS = """
    location / {
      include writ/writ.conf;
    }
"""


def reset(database):
    """Plans are cached, and nobody analyzes later: made for empty tables they would read all of them, row by row."""
    database.execute('truncate "Person", "Post"')
    database.execute("""insert into "Person" select 'x' || n, 'x' || n from generate_series(1, %s) n""", (ROWS,))
    database.execute("""insert into "Post" select 'x' || n, 'x', 0, 'x' || 1 + n / 3 from generate_series(1, 3 * %s - 3) n""", (ROWS,))
    database.execute('vacuum analyze "Person", "Post"')
    database.execute("checkpoint")


def measure_one(name, front, writ, database, seconds, tag):
    _, path, body, rows = WAYS[name]
    reset(database)
    done = front.client.post("/command/createPerson", {"data": {**DATA, "name": "somebody"}})
    if done.status != 200:
        raise measure.Wrong(f"{name}: {done}")
    roots = {"nginx": front.pid, "writ": writ.pid, "postgres": database.postgres.pid}
    cpu = {part: measure.cpu_ns(pid) for part, pid in roots.items()}
    load = measure.wrk(front, path, json.dumps(body), seconds, tag)
    measure.settle(database)
    cpu = {part: (measure.cpu_ns(pid) - cpu[part]) / 1000 / load.done for part, pid in roots.items()}
    load.must_be_clean()
    added = database.one('select count(*) from "Person"') - ROWS - 1
    if added != load.done * rows:
        raise measure.Wrong(f"{name}: {added} rows for {load.done} requests")
    return load, cpu


def show(found):
    print(f"  {'':32}{'req/s':>9}{'of command':>12}{'p50 ms':>9}{'p99 ms':>9}   CPU us: {'nginx':>7}{'writ':>7}{'postgres':>10}")
    for name, turns in found.items():
        base = found[WAYS[name][0]]
        ratio = statistics.median(load.rps / other.rps for (load, _), (other, _) in zip(turns, base))
        loads = [load for load, _ in turns]
        cpu = {part: statistics.median(used[part] for _, used in turns) for part in turns[0][1]}
        print(f"  {name:32}{statistics.median(load.rps for load in loads):9.0f}{ratio:12.2f}"
              f"{statistics.median(load.p50_ms for load in loads):9.2f}{statistics.median(load.p99_ms for load in loads):9.2f}"
              f"           {cpu['nginx']:7.0f}{cpu['writ']:7.0f}{cpu['postgres']:10.0f}")


def bench(chosen):
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(servers.postgres("off"))
        database = harness.Database(cluster, "bench")
        harness.create_tables(database, MODEL)
        writ = stack.enter_context(harness.Writ(database, MANIFEST, files={"schema.graphql": MODEL}, workers=servers.WORKERS,
                                                log_level="warn"))
        front = stack.enter_context(servers.Front(LOCATIONS, writ.border_socket))
        print(f"{measure.CONNECTIONS} connections, {servers.WORKERS} workers; medians of {chosen.rounds} rounds of {chosen.seconds} s")
        found = {name: [] for name in WAYS}
        names = list(WAYS)
        for number in range(chosen.rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                if number == 0:
                    measure_one(name, front, writ, database, 1, "warm")  # every worker connects and prepares
                found[name].append(measure_one(name, front, writ, database, chosen.seconds, f"r{number}"))
        show(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/graphql")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default %(default)s)")
    chosen = parser.parse_args()
    return measure.program("bench/graphql", 120 + len(WAYS) * (chosen.rounds + 1) * (chosen.seconds + 10), lambda: bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
