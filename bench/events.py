"""What one event costs: a signup and a single insert beside the same with an event each, interleaved in one run, the sequencer at
work all the while. Then how many positions a second the sequencer gives to events that wait, and how fast old ones are cleaned
away."""

import argparse
import contextlib
import json
import statistics
import sys
import time

import measure
import servers
from steps import with_commands
from workloads import WORKLOADS

INSERT = WORKLOADS["insert"].posts["writ"]

# name: (what it is compared with, (path, body), rows that a request adds to table, table, events of a request)
STEPS = {
    "signup": ("signup", with_commands(), "app_user", 0),
    "signup, an event": ("signup", with_commands(add_user="add_user_told"), "app_user", 1),
    "insert": ("insert", (INSERT[0], json.dumps(INSERT[1])), "item", 0),
    "insert, an event": ("insert", (INSERT[0] + "_told", json.dumps(INSERT[1])), "item", 1),
}


def clear(database):
    database.execute("truncate writ.event, writ.event_new; update writ.event_tail set position = 0")


def count_events(database):
    return database.one("select (select count(*) from writ.event) + (select count(*) from writ.event_new)")


def measure_one(name, stack, database, seconds, tag):
    _, (path, body), table, events = STEPS[name]
    measure.reset(database)
    clear(database)
    before = measure.count_rows(database)[table]
    roots = {"nginx": stack.nginx.pid, "writ": stack.applications["writ"].pid, "postgres": database.postgres.pid}
    cpu = {part: measure.cpu_ns(pid) for part, pid in roots.items()}
    load = measure.wrk(stack.nginx, path, body, seconds, tag)
    left = database.one("select count(*) from writ.event_new")
    measure.settle(database)
    cpu = {part: (measure.cpu_ns(pid) - cpu[part]) / 1000 / load.done for part, pid in roots.items()}
    load.must_be_clean()
    added = measure.count_rows(database)[table] - before
    if added != load.done or count_events(database) != load.done * events:
        raise measure.Wrong(f"{name}: {added} rows and {count_events(database)} events for {load.done} requests")
    return load, cpu, left


def show(found):
    print(f"  {'':20}{'req/s':>9}{'of without':>12}{'p50 ms':>9}{'p99 ms':>9}{'waiting':>9}   CPU us: {'nginx':>7}{'app':>7}{'postgres':>10}")
    for name, turns in found.items():
        base = [load.rps for load, _, _ in found[STEPS[name][0]]]
        ratio = statistics.median(load.rps / other for (load, _, _), other in zip(turns, base))
        loads = [load for load, _, _ in turns]
        cpu = {part: statistics.median(used[part] for _, used, _ in turns) for part in turns[0][1]}
        print(f"  {name:20}{statistics.median(load.rps for load in loads):9.0f}{ratio:12.2f}"
              f"{statistics.median(load.p50_ms for load in loads):9.2f}{statistics.median(load.p99_ms for load in loads):9.2f}"
              f"{statistics.median(left for _, _, left in turns):9.0f}"
              f"           {cpu['nginx']:7.0f}{cpu['writ']:7.0f}{cpu['postgres']:10.0f}")


def until(true, what):
    deadline = time.monotonic() + 300
    begun = time.monotonic()
    while not true():
        if time.monotonic() > deadline:
            raise measure.Wrong(f"not within 300 s: {what}")
        time.sleep(0.01)
    return time.monotonic() - begun


def sequencer(database, waiting):
    """writd is started when they wait already."""
    clear(database)
    database.execute("insert into writ.event_new (name, key, payload, command, role, mutation) select 'item_added', 'k' || i % 1000, "
                     "jsonb_build_object('args', jsonb_build_object('name', 'k' || i, 'n', i), 'result', jsonb_build_object('id', i)), "
                     f"'add_item', 'anonymous', gen_random_uuid() from generate_series(1, {waiting}) i")
    database.execute("vacuum analyze writ.event_new")
    database.execute("checkpoint")
    with servers.Stack(database, 0, ["writ"], runners=1):
        until(lambda: database.one("select count(*) from writ.event") > 0, "the first one")
        first = database.one("select count(*) from writ.event")
        seconds = until(lambda: database.one("select max(position) from writ.event") == waiting, "all to have positions")
    print(f"  sequencer: {(waiting - first) / seconds:.0f} positions a second, of {waiting} events that waited")


def cleaning(database, events):
    database.execute("update writ.event set at = now() - interval '2 hours'")
    database.execute("vacuum analyze writ.event")
    with servers.Stack(database, 0, ["writ"], runners=1, event_log={"keep_hours": 1}):
        until(lambda: database.one("select position from writ.event_tail") > 0, "the first batch")
        first = database.one("select position from writ.event_tail")
        seconds = until(lambda: database.one("select position from writ.event_tail") == events, "all to be cleaned away")
    print(f"  cleaning: {(events - first) / seconds:.0f} events a second, in batches of 1000 with a pause of 100 ms")


def bench(chosen, synchronous_commit, last):
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(servers.postgres(synchronous_commit))
        database = servers.database(cluster, install=True)
        print(f"synchronous_commit {synchronous_commit}; {measure.CONNECTIONS} connections, {servers.WORKERS} workers;"
              f" medians of {chosen.rounds} rounds of {chosen.seconds} s")
        with servers.Stack(database, 0, ["writ"], runners=1) as site:
            found = {name: [] for name in STEPS}
            names = list(STEPS)
            for number in range(chosen.rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    if number == 0:
                        measure_one(name, site, database, 1, "warm")  # every worker connects and prepares
                    found[name].append(measure_one(name, site, database, chosen.seconds, f"r{number}"))
            show(found)
        if not last:
            return
        sequencer(database, chosen.waiting)
        if chosen.clean:
            cleaning(database, chosen.waiting)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/events")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default %(default)s)")
    parser.add_argument("--waiting", type=int, default=200000, help="events for the sequencer (default %(default)s)")
    parser.add_argument("--no-clean", dest="clean", action="store_false", help="do not measure the cleaning")
    parser.add_argument("--synchronous-commit", choices=("off", "on"), nargs="*", default=["off", "on"],
                        help="of the cluster (default: one after the other)")
    chosen = parser.parse_args()
    modes = chosen.synchronous_commit or ["on"]

    def all_modes():
        for mode in modes:
            bench(chosen, mode, mode == modes[-1])
    return measure.program("bench/events", 700 + len(modes) * len(STEPS) * (chosen.rounds + 1) * (chosen.seconds + 10), all_modes)


if __name__ == "__main__":
    sys.exit(main())
