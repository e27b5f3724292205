"""The same work in every system's words: what pgbench runs, and what is posted to writ and to php.

@NAME@ in a body is replaced by load.lua with a name that is used once. pgbench makes its names of the client's number
and a counter. Both are scattered, as real names are: in sorted order all would meet on one page of the index. Each
workload says how many rows one transaction adds to each table; that is checked after every run.
"""

import json

# pgbench has no counter of its own: n starts at 0 for each client (-D n=0). \set is not sent to the server.
NAMES = r"""\set n :n + 1
\set name 100000000000 + permute(:client_id * 100000000 + :n, 10000000000)
"""

# With -M prepared pgbench 15 prepares a script's statements when it sends the first one, and cannot do that inside a
# pipeline. So each client sends one statement ahead, once.
PIPELINE = r"""\if :ready = 0
select 1;
\set ready 1
\endif
\startpipeline
"""

CHECK = "select not exists (select from app_user where username = :name);\n"
ADD_USER = "insert into app_user (username, email) values (:name, :name || '@example.org') returning "
ADD_AUDIT = "insert into audit (user_id, action) values (%s, 'signup');\n"
ADD_ITEM = "insert into item (name, n) values (:name, %d) returning id;\n"
BEGIN, COMMIT = "begin;\n", "commit;\n"


def add_items(count):
    return "".join(ADD_ITEM % i for i in range(1, count + 1))


def command(name, args, **more):
    return {"command": name, **more, "args": args}


USER = {"username": "@NAME@", "email": "@NAME@@example.org"}
ITEMS = [{"name": "@NAME@", "n": i} for i in range(1, 51)]


class Workload:
    def __init__(self, name, rows, pgbench, pipeline, writ, php):
        self.name = name
        self.rows = rows  # table: rows that one transaction adds
        self.scripts = {"pgbench": NAMES + pgbench, "pgbench-pipeline": NAMES + PIPELINE + pipeline + "\\endpipeline\n"}
        self.posts = {"writ": writ, "php": php}  # (path, body)

    def post(self, system):
        path, body = self.posts[system]
        return path, json.dumps(body)


SIGNUP = dict(
    rows={"app_user": 1, "audit": 1, "item": 0},
    pgbench=BEGIN + CHECK + ADD_USER + "id \\gset\n" + ADD_AUDIT % ":id" + COMMIT,
    pipeline=BEGIN + CHECK + ADD_USER + "set_config('bench.id', id::text, true);\n"
    + ADD_AUDIT % "nullif(current_setting('bench.id'), '')::bigint" + COMMIT,
    php=("/php/signup.php", USER),
)

SET50 = dict(
    rows={"app_user": 0, "audit": 0, "item": 50},
    pgbench=BEGIN + add_items(50) + COMMIT,
    pipeline=BEGIN + add_items(50) + COMMIT,
    php=("/php/set50.php", {"items": ITEMS}),
)

WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "signup",
            writ=(
                "/command/transactional_command_set",
                {
                    "commands": [
                        command("unique_username", {"username": "@NAME@"}),
                        command("add_user", USER, **{"as": "user"}),
                        command("add_audit", {"user_id": {"$ref": "user.id"}, "action": "signup"}),
                    ]
                },
            ),
            **SIGNUP,
        ),
        Workload(
            "insert",
            rows={"app_user": 0, "audit": 0, "item": 1},
            pgbench=add_items(1),
            pipeline=add_items(1),
            writ=("/command/add_item", ITEMS[0]),
            php=("/php/insert.php", ITEMS[0]),
        ),
        Workload(
            "set50",
            writ=("/command/transactional_command_set", {"commands": [command("add_item", item) for item in ITEMS]}),
            **SET50,
        ),
        # The same rows by one command that takes arrays.
        Workload(
            "set50_arrays",
            writ=("/command/add_items", {"names": [i["name"] for i in ITEMS], "numbers": [i["n"] for i in ITEMS]}),
            **SET50,
        ),
        Workload("signup_composite", writ=("/command/sign_up", USER), **SIGNUP),
    )
}

STANDARD = ["signup", "insert", "set50"]
