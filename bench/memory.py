"""Private memory of one worker over many requests of all kinds: it should be the same after a million as after a
thousand."""

import argparse
import json
import sys

import measure
import servers
from workloads import WORKLOADS

SAMPLES = 20
MOST_KB = 2048
GROWTH_KB = 64  # between the first sample and the last: room for the allocator's own mood, none for a leak


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/memory")
    parser.add_argument("--requests", type=int, default=100_000, help="at least so many (default %(default)s)")
    return parser.parse_args()


def kinds():
    """(name, path, body, is it refused?)"""
    for name in WORKLOADS:
        yield (name, *WORKLOADS[name].post("writ"), False)
    yield "taken", "/command/sign_up", json.dumps({"username": "seed1", "email": None}), True
    yield "bad JSON", "/command/sign_up", '{"username": "@NAME@", "email": }', True
    yield "bad argument", "/command/add_item", json.dumps({"name": "@NAME@", "n": "many"}), True
    yield "unknown", "/command/@", "{}", True


def one_of_each(database, nginx, turn):
    """A second of every kind of request; how many were answered."""
    measure.reset(database)
    answered = 0
    for number, (name, path, body, refused) in enumerate(kinds()):
        load = measure.wrk(nginx, path, body, 1, tag=f"m{turn:04}k{number}")
        if load.errors or (load.done if refused else load.refused) or not load.done + load.refused:
            raise measure.Wrong(f"{name}: {load.done} done, {load.refused} refused, {load.errors}")
        answered += load.done + load.refused
        measure.settle(database)
    return answered


def watch(database, wanted):
    with servers.writ(servers.Route(database, None), workers=1, inside_workers=1, max_requests=0) as writ, \
            servers.Front(servers.WRIT_LOCATION, writ.border_socket) as nginx:
        print(f"{'requests':>10}{'private kB':>12}", flush=True)
        worker, samples, answered, shown = None, [], 0, 0
        while answered < wanted:
            answered += one_of_each(database, nginx, len(samples))
            (busiest,) = measure.busiest(writ, 1)
            if worker not in (None, busiest):
                raise measure.Wrong(f"worker {worker} was replaced by {busiest}\n{writ.log()}")
            worker = busiest
            samples.append(measure.private_kb(worker))
            if len(samples) == 1 or answered - shown >= wanted / SAMPLES or answered >= wanted:
                print(f"{answered:10}{samples[-1]:12}", flush=True)
                shown = answered
    grown = samples[-1] - samples[0]
    print(f"grown by {grown} kB")
    if samples[-1] > MOST_KB:
        raise measure.Wrong(f"the worker has {samples[-1]} kB, more than {MOST_KB}")
    if grown > GROWTH_KB:
        raise measure.Wrong(f"the worker has grown by {grown} kB, more than {GROWTH_KB}")


def main():
    chosen = arguments()

    def work():
        with servers.postgres(log_min_messages="fatal") as cluster:
            watch(servers.database(cluster, install=True), chosen.requests)

    return measure.program("bench/memory", 300 + chosen.requests // 200, work)


if __name__ == "__main__":
    sys.exit(main())
