"""A nested create: a user, two articles, one tag that is there, and all of it read back. writ beside pgbench with the same six
statements by hand (one after the other, and in one pipeline), beside writ's own plan in a pipeline, and beside a small Node service
(by hand with pg, and with Prisma ORM), interleaved in one run. Then how it grows with the number of children."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import sys

import measure
import servers
from servers import BENCH, harness
from workloads import NAMES, PIPELINE

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  User: { create: { allow: [anonymous] } }
  Article: { create: { allow: [anonymous] } }
"""
# Of wrk. With 16 two processors were idle for 7 % of the time, as the load and nginx hand on in batches, with 64 for 3 %; with pgbench
# they never are.
CONNECTIONS = 64
SELECT = "{ id name articles { id title } tags { id name } }"


def body(articles=2, name="@NAME@", tag="t%%"):
    children = [{"title": f"Article {i}"} for i in range(articles)]
    return {"data": {"name": name, "age": 33, "articles": {"create": children}, "tags": {"connect": {"name": tag}}}, "select": SELECT}


READ = """select row_to_json(t) from (select u.id, u.name,
  (select coalesce(json_agg(a), '[]') from (select id, title from "Article" where "user" = u.id order by id) a) as articles,
  (select coalesce(json_agg(g), '[]') from (select g.id, g.name from "Tag" g join "_UserTags" l on l."A" = g.id
    where l."B" = u.id order by g.id) g) as tags from "User" u where u.name = :name::text) t;
"""
TAG = "\\set tag 10 + :n % 90\n"
ADD_USER = """insert into "User" (id, name, age) values ('u' || :name, :name, 33);\n"""
ADD_ARTICLES = "".join(f"""insert into "Article" (id, title, "user") values ('{i}' || :name, 'Article {i}', 'u' || :name);\n"""
                       for i in range(2))
FIND_TAG = """select id as tag_id from "Tag" where name = 't' || :tag"""
LINK = """insert into "_UserTags" ("A", "B") values (%s, 'u' || :name);\n"""
SCRIPTS = {
    "pgbench": NAMES + TAG + "begin;\n" + ADD_USER + ADD_ARTICLES + FIND_TAG + " \\gset\n" + LINK % ":tag_id" + READ + "commit;\n",
    "pgbench-pipeline": NAMES + TAG + PIPELINE + "begin;\n" + ADD_USER + ADD_ARTICLES + LINK % f"({FIND_TAG})" + READ
    + "commit;\n\\endpipeline\n",
}


KEY = r"\bc[0-9a-f]{24}\b"


def plan_script(text):
    """What `writ explain` prints, as a script in one pipeline: (script, its variables). The name and keys are new each time."""
    lines, variables, statement, count = [], [], None, 0
    replace, numbers = {}, {}

    def end():
        nonlocal statement
        if statement is None:
            return
        for number in sorted(replace, reverse=True):
            statement = statement.replace(f"${number}", replace[number])
        lines.append(statement + ";\n")
        statement = None
        replace.clear()

    for line in text.splitlines()[1:]:
        parameter = re.fullmatch(r"       \$(\d+) = (.*)", line)
        if re.match(r" *\d+  -- ", line) or line.strip().startswith(("Flush", "Sync")):
            end()
        elif parameter:
            number, value = int(parameter[1]), parameter[2]
            value = re.sub(r"^E?'(.*)'$", lambda m: m[1].replace("''", "'").replace('\\\\', '\\'), value)
            if value == "NAME":
                replace[number] = ":name"
            elif re.search(KEY, value):  # new ones each time, of about that length
                replace[number] = "('" + re.sub(KEY, lambda m: f"{numbers.setdefault(m[0], len(numbers))}c00000000000' || :name || '", value) + "')"
            elif not value:  # which pgbench has no variable for
                replace[number] = "''"
            else:
                count += 1
                variables.append((f"p{count}", value))
                replace[number] = f":p{count}"
        elif line.startswith("     "):
            statement = line.strip()
    end()
    return NAMES + PIPELINE + "".join(lines) + "\\endpipeline\n", variables


class Node(harness.Server):
    """bench/node: the same service for Node, one process for each processor, 8 connections in all."""

    name = "node"
    stop_signal = signal.SIGTERM

    def __init__(self, kind, route, modules):
        super().__init__()
        self.kind, self.route = kind, route
        self.socket = self.folder / "node.sock"
        self.script = modules / "server.js"
        processes = len(os.sched_getaffinity(0))
        self.settings = {"WITH": kind, "SOCKET": self.socket, "PGHOST": route.host, "PGDATABASE": route.dbname,
                         "PGUSER": harness.LOGIN_ROLE, "PROCESSES": processes, "CONNECTIONS": servers.WORKERS // processes,
                         "NODE_ENV": "production"}

    def command(self):
        return ["env", *(f"{key}={value}" for key, value in self.settings.items()), "node", self.script]

    def ready(self):
        """Node binds its sockets by names that are relative to its folder: /proc/net/unix does not tell whose they are."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0


def node_modules():
    """bench/node with its packages, made in the build folder; NPM leaves what is there. None: there is no Node."""
    if not shutil.which("npm"):
        return None
    folder = harness.workspace().folder("node")
    for file in (BENCH / "node").iterdir():
        if file.name != "node_modules":
            shutil.copy(file, folder)
    # Prisma would load engines that it does not use here: its client is told to do without.
    told = {**os.environ, "DATABASE_URL": "postgresql://none", "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true",
            "PRISMA_QUERY_ENGINE_LIBRARY": "/bin/true", "CHECKPOINT_DISABLE": "1", "HOME": str(folder),
            "npm_config_cache": str(folder / "cache"), "npm_config_update_notifier": "false"}
    harness.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, env=told, timeout=300)
    harness.run(["npx", "prisma", "generate"], cwd=folder, env=told, timeout=120)
    return folder


LOCATION = """
    location /%(name)s/ {
      proxy_pass http://unix:%(socket)s;
      proxy_http_version 1.1;
    }
"""


def workers(delay_ms):
    """Of writd, as docs/operation.md has it for commits that need no wait; 8 where each trip waits for the network."""
    return servers.WORKERS if delay_ms else max(4, 2 * len(os.sched_getaffinity(0)))


class Stack(contextlib.ExitStack):
    """All systems at one delay, behind one nginx."""

    def __init__(self, database, delay_ms, modules):
        super().__init__()
        self.proxy = servers.DelayProxy(database.postgres, delay_ms) if delay_ms else None
        self.route = servers.Route(database, self.proxy)
        self.writ = harness.Writ(self.route, MANIFEST, workers=workers(delay_ms), log_level="warn",
                                 files={"schema.graphql": (BENCH / "nested.graphql").read_text()})
        self.roots = {"writ": self.writ}
        locations = servers.WRIT_LOCATION
        for kind in ("pg", "prisma") if modules else ():
            node = self.roots[f"node-{kind}"] = Node(kind, self.route, modules)
            locations += LOCATION % {"name": kind, "socket": node.socket}
        self.nginx = servers.Front(locations, self.writ.border_socket)
        for server in (self.proxy, *self.roots.values(), self.nginx):
            if server:
                server.start()
                self.callback(server.stop)

    def explain(self):
        text = harness.writ("-c", self.writ.file, "explain", "--role", "anonymous", "createUser",
                            json.dumps(body(name="NAME", tag="t50"))).stdout
        return plan_script(text)

    def path(self, name):
        return "/command/createUser" if name == "writ" else f"/{name.removeprefix('node-')}/create"


def reset(database):
    database.execute('truncate "User", "Article", "_UserTags", "Tag"')
    database.execute("""insert into "Tag" select 't' || n, 't' || n from generate_series(10, 99) n""")
    database.execute("""insert into "User" select 'x' || n, 'x' || n, 1 from generate_series(1, 10000) n""")
    database.execute("""insert into "Article" select 'x' || n, 'x', 'x' || 1 + n % 10000 from generate_series(1, 20000) n""")
    database.execute("""insert into "_UserTags" select 't' || 10 + n % 90, 'x' || 1 + n % 10000 from generate_series(1, 20000) n
                     on conflict do nothing""")
    database.execute('vacuum analyze "User", "Article", "_UserTags", "Tag"')
    database.execute("checkpoint")


def measure_one(name, stack, database, seconds, tag, plan, articles=2, connections=CONNECTIONS):
    reset(database)
    counted = 'select (select count(*) from "User"), (select count(*) from "Article"), (select count(*) from "_UserTags")'
    before = database.execute(counted)[0]
    if name in SCRIPTS:
        load = measure.pgbench(stack.route, SCRIPTS[name], seconds)
    elif name == "plan":
        load = measure.pgbench(stack.route, plan[0], seconds, variables=plan[1])
    else:
        load = measure.wrk(stack.nginx, stack.path(name), json.dumps(body(articles)), seconds, tag, connections)
    measure.settle(database)
    if load.refused:
        raise measure.Wrong(f"{name}: {stack.nginx.client.post(stack.path(name), json.dumps(body(articles, 'odd', 't10')))}")
    load.must_be_clean()
    added = [after - old for after, old in zip(database.execute(counted)[0], before)]
    if added != [load.done, load.done * articles, load.done]:
        raise measure.Wrong(f"{name}: {added} rows for {load.done} requests")
    return load


def all_rounds(stack, database, rounds, seconds):
    """[{name: load}]. The order moves on by one each round."""
    plan, names = stack.explain(), [*SCRIPTS, "plan", *stack.roots]
    for name in names:
        measure_one(name, stack, database, 1, "warm", plan)
    for number in range(rounds):
        order = names[number % len(names):] + names[:number % len(names)]
        found = {name: measure_one(name, stack, database, seconds, f"r{number}", plan) for name in order}
        yield {name: found[name] for name in names}


def quartiles(values):
    """(the first, the median, the third) of at least one value."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def show(rounds, where):
    print(f"  {where}\n  {'':20}{'req/s':>9}{'of pgbench':>12}{'quartiles':>13}{'writ is':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name in rounds[0]:
        loads = [one[name] for one in rounds]
        first, median, third = quartiles([one[name].rps / one["pgbench"].rps for one in rounds])
        times = statistics.median(one["writ"].rps / one[name].rps for one in rounds)
        print(f"  {name:20}{statistics.median(load.rps for load in loads):9.0f}{median:12.2f}{first:8.2f}-{third:.2f}{times:9.2f}x"
              f"{statistics.median(load.p50_ms for load in loads):9.2f}{statistics.median(load.p99_ms for load in loads):9.2f}")


def grow(stack, database, seconds):
    print("  children of one create, one client\n  " + f"{'':20}{'ms':>9}{'us a child':>12}")
    for articles in (1, 10, 100, 1000):
        load = measure_one("writ", stack, database, seconds, f"g{articles}", None, articles, connections=1)
        print(f"  {articles:<20}{load.p50_ms:9.2f}{load.p50_ms * 1000 / articles:12.1f}")


@contextlib.contextmanager
def processors(one):
    """Whatever is started within has the first processor only, or all that there are."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)} if one else every)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


@contextlib.contextmanager
def systems(delay_ms, modules):
    """All of it at one delay, on a cluster of its own."""
    with servers.postgres() as cluster:
        database = harness.Database(cluster, "bench", "", True)
        harness.create_tables(database, (BENCH / "nested.graphql").read_text())
        with Stack(database, delay_ms, modules) as stack:
            yield stack, database


def bench(chosen):
    modules = None if chosen.no_node else node_modules()
    print(f"{CONNECTIONS} connections, {servers.WORKERS} clients of pgbench; medians of {chosen.rounds} rounds of {chosen.seconds} s"
          + ("" if modules else "; without Node"))
    for delay_ms in chosen.delay:
        for one in (False, True) if delay_ms == 0 else (False,):
            with processors(one), systems(delay_ms, modules) as (stack, database):
                show(list(all_rounds(stack, database, chosen.rounds, chosen.seconds)),
                     f"delay {delay_ms:g} ms{', all on one processor' if one else ''}, {workers(delay_ms)} workers")
    with systems(0, None) as (stack, database):
        grow(stack, database, chosen.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/nested")
    parser.add_argument("--rounds", type=int, default=11, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default %(default)s)")
    parser.add_argument("--delay", type=float, nargs="*", default=[0, 1], help="ms of round trip (default 0 1)")
    parser.add_argument("--no-node", action="store_true", help="leave out the Node services")
    chosen = parser.parse_args()
    return measure.program("bench/nested", 400 + 3 * (1 + chosen.rounds) * 7 * (chosen.seconds + 20), lambda: bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
