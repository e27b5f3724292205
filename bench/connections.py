"""Many connections at few workers, and idle ones at a single worker: does anybody wait longer than for the work?"""

import argparse
import sys
import time

import measure
import servers
from workloads import WORKLOADS

MANY = 256
P99_MS = 1000  # with 256 in the queue and some thousand answers a second a turn comes after some 50 ms
WAIT_MS = 250  # of a request that has a worker to itself; a worker held by a stranger costs seconds


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/connections")
    parser.add_argument("--seconds", type=int, default=10, help="of the load (default %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="beside idle connections (default %(default)s)")
    return parser.parse_args()


def many_at_once(database, seconds):
    workload = WORKLOADS["signup"]
    print(f"{MANY} connections at once, {servers.WORKERS} workers, signup")
    with servers.Stack(database, 0, ["writ"]) as stack:
        measure.reset(database)
        rows = measure.count_rows(database)
        load = measure.wrk(stack.nginx, *workload.post("writ"), seconds, connections=MANY)
        measure.settle(database)
        measure.check_rows(workload, rows, measure.count_rows(database), load)
    print(f"  {load.rps:.0f} requests/s, p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms,"
          f" longest {load.max_ms:.1f} ms, {load.refused} refused, {load.errors or 'no errors'}")
    load.must_be_clean()
    if load.p99_ms > P99_MS:
        raise measure.Wrong(f"p99 is {load.p99_ms:.0f} ms, more than {P99_MS}")


def timed(nginx):
    path, body = WORKLOADS["insert"].post("writ")
    start = time.perf_counter()
    answer = nginx.client.post(path, body)
    if answer.status != 200:
        raise measure.Wrong(str(answer))
    return (time.perf_counter() - start) * 1000


def two_nginx(database, requests):
    """One after the other through two nginx, so that the first has just been answered, and holds what it holds, when
    the second asks. Each also holds an idle connection of a client."""
    print("\ntwo nginx, one worker, insert: the requests of the second")
    for name, keepalive in (("as in nginx-conf/", False), ("the first with keepalive switched on", True)):
        with servers.writ(servers.Route(database, None), workers=1) as writ, \
                servers.Front(servers.WRIT_LOCATION, writ.border_socket, keepalive) as first, \
                servers.Front(servers.WRIT_LOCATION, writ.border_socket) as second, \
                first.client.connect(), second.client.connect():
            timed(second)
            alone = [timed(second) for _ in range(requests)]
            beside = [(timed(first), timed(second))[1] for _ in range(requests)]
        print(f"  {name}:")
        for what, times in (("alone", alone), ("after each of the first's", beside)):
            print(f"    {what:27}p50 {measure.percentile(times, 50):.1f} ms, p99 {measure.percentile(times, 99):.1f}"
                  f" ms, longest {max(times):.1f} ms")
        if max(beside) > WAIT_MS:
            raise measure.Wrong(f"a request waited {max(beside):.0f} ms for another nginx's idle connection")


def main():
    chosen = arguments()

    def work():
        with servers.postgres() as cluster:
            database = servers.database(cluster, install=True)
            many_at_once(database, chosen.seconds)
            two_nginx(database, chosen.requests)

    return measure.program("bench/connections", 180 + chosen.seconds + chosen.requests, work)


if __name__ == "__main__":
    sys.exit(main())
