"""What the steps of a mutation cost: signup alone, with permission queries, with a key as well, replayed, and with an
after-hook's row in the outbox, interleaved in one run. Prints each one's throughput against signup alone."""

import argparse
import contextlib
import json
import statistics
import sys

import measure
import servers
from workloads import WORKLOADS

KEY = "Idempotency-Key: @NAME@"


def with_commands(**names):
    """The signup, with other commands of the manifest in the place of its own."""
    path, body = WORKLOADS["signup"].posts["writ"]
    commands = [{**c, "command": names.get(c["command"], c["command"])} for c in body["commands"]]
    return path, json.dumps({"commands": commands})


# name: ((path, body), header field, rows that a request adds to app_user)
STEPS = {
    "signup": (with_commands(), "", 1),
    "guarded": (with_commands(add_user="add_user_guarded"), "", 1),
    "guarded and keyed": (with_commands(add_user="add_user_guarded"), KEY, 1),
    "replay": (with_commands(add_user="add_user_guarded"), "Idempotency-Key: always-the-same", 0),
    "after-hook": (with_commands(add_user="add_user_hooked"), "", 1),
}


def replayed(name, path, body):
    """The body of a replay is the same each time."""
    return path, body.replace("@NAME@", "replayed") if name == "replay" else body


def measure_one(name, stack, database, seconds, tag):
    (path, body), header, rows = STEPS[name]
    path, body = replayed(name, path, body)
    measure.reset(database)
    database.execute("truncate writ.idempotency, writ.outbox")
    if name == "replay":
        answer = stack.nginx.client.post(path, body, {"Idempotency-Key": "always-the-same"})
        if answer.status != 200:
            raise measure.Wrong(f"{name}: {answer}")
    before = measure.count_rows(database)
    roots = {"nginx": stack.nginx.pid, "writ": stack.applications["writ"].pid, "postgres": database.postgres.pid}
    cpu = {part: measure.cpu_ns(pid) for part, pid in roots.items()}
    load = measure.wrk(stack.nginx, path, body, seconds, tag, header=header)
    measure.settle(database)
    cpu = {part: (measure.cpu_ns(pid) - cpu[part]) / 1000 / load.done for part, pid in roots.items()}
    load.must_be_clean()
    added = measure.count_rows(database)["app_user"] - before["app_user"]
    if added != load.done * rows:
        raise measure.Wrong(f"{name}: {added} rows for {load.done} requests")
    return load, cpu


def show(found):
    base = [load.rps for load, _ in found["signup"]]
    print(f"  {'':20}{'req/s':>9}{'of signup':>11}{'p50 ms':>9}{'p99 ms':>9}   CPU us: {'nginx':>7}{'app':>7}{'postgres':>10}")
    for name, turns in found.items():
        ratio = statistics.median(load.rps / other for (load, _), other in zip(turns, base))
        loads = [load for load, _ in turns]
        cpu = {part: statistics.median(used[part] for _, used in turns) for part in turns[0][1]}
        print(f"  {name:20}{statistics.median(load.rps for load in loads):9.0f}{ratio:11.2f}"
              f"{statistics.median(load.p50_ms for load in loads):9.2f}{statistics.median(load.p99_ms for load in loads):9.2f}"
              f"           {cpu['nginx']:7.0f}{cpu['writ']:7.0f}{cpu['postgres']:10.0f}")


def bench(chosen):
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(servers.postgres(chosen.synchronous_commit))
        database = servers.database(cluster, install=True)
        site = stack.enter_context(servers.Stack(database, 0, ["writ"], runners=0))
        print(f"synchronous_commit {chosen.synchronous_commit}; {measure.CONNECTIONS} connections, {servers.WORKERS} workers;"
              f" medians of {chosen.rounds} rounds of {chosen.seconds} s")
        found = {name: [] for name in STEPS}
        names = list(STEPS)
        for number in range(chosen.rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                try:
                    if number == 0:
                        measure_one(name, site, database, 1, "warm")  # every worker connects and prepares
                    found[name].append(measure_one(name, site, database, chosen.seconds, f"r{number}"))
                except measure.Wrong as wrong:
                    raise measure.Wrong(f"{name}: {wrong}") from None
        show(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/steps")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default %(default)s)")
    parser.add_argument("--synchronous-commit", choices=("off", "on"), default="on",
                        help="of the cluster (default %(default)s: what a key or an outbox row asks for in any case)")
    chosen = parser.parse_args()
    return measure.program("bench/steps", 120 + len(STEPS) * (chosen.rounds + 1) * (chosen.seconds + 10), lambda: bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
