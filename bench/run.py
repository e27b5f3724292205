"""Measures writ through nginx, php-fpm behind the same nginx, and pgbench alone, side by side. README.md tells the
method."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import sys
import time

import measure
import servers
from servers import harness
from workloads import STANDARD, WORKLOADS

SYSTEMS = ["pgbench", "pgbench-pipeline", "writ", "php"]
DELAYS_MS = [0, 1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/run")
    parser.add_argument("--quick", action="store_true", help="one round of one second each: is all in order?")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write the results there as well")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default %(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME,...", default=[],
                        help="systems (%s) and workloads (%s)" % (", ".join(SYSTEMS), ", ".join(WORKLOADS)))
    parser.add_argument("--delay", metavar="MS,...", default=",".join(map(str, DELAYS_MS)),
                        help="round trips between application and PostgreSQL, in ms (default %(default)s)")
    parser.add_argument("--synchronous-commit", choices=("off", "on"), default="off",
                        help="off (default) shows the processor's share, on what a durable site gets")
    chosen = parser.parse_args()
    names = [name for words in chosen.only for name in words.split(",")]
    unknown = [name for name in names if name not in (*SYSTEMS, *WORKLOADS)]
    if unknown:
        parser.error(f"--only: there is no {', '.join(unknown)}")
    chosen.systems = [name for name in SYSTEMS if name in names] or SYSTEMS
    chosen.workloads = [WORKLOADS[name] for name in [name for name in WORKLOADS if name in names] or STANDARD]
    chosen.delays = [float(word) if "." in word else int(word) for word in chosen.delay.split(",")]
    if chosen.quick:
        chosen.rounds = chosen.seconds = 1
    if chosen.json:
        chosen.json = chosen.json.absolute()
        if not os.access(chosen.json.parent, os.W_OK):
            parser.error(f"--json: cannot write into {chosen.json.parent}")
        chosen.json.unlink(missing_ok=True)  # a run that fails leaves no old results behind
    return chosen


def prove(system, workload, stack, database):
    """One request by hand: it does the work, and says so; and the same signup again is refused."""
    path, body = workload.post(system)
    body = body.replace("@NAME@", f"prove-{system}-{workload.name}")
    before = measure.count_rows(database)
    answer = stack.nginx.client.post(path, body)
    if answer.status != 200:
        raise measure.Wrong(f"{system}, {workload.name}: {answer}")
    measure.check_rows(workload, before, measure.count_rows(database), measure.Load(1, 1, 0, 0, 0))
    if workload.rows["app_user"]:
        again = stack.nginx.client.post(path, body)
        if again.status != 409 or again.json["code"] != "USERNAME_TAKEN":
            raise measure.Wrong(f"{system}, {workload.name}, a taken name: {again}")


def warm_up(system, workload, stack):
    """Every worker gets some requests: it connects and prepares before the clock runs."""
    path, body = workload.post(system)

    def post(number):
        return stack.nginx.client.post(path, body.replace("@NAME@", f"warm-{system}-{workload.name}-{number}")).status

    with concurrent.futures.ThreadPoolExecutor(measure.CONNECTIONS) as pool:
        wrong = [status for status in pool.map(post, range(8 * measure.CONNECTIONS)) if status != 200]
    if wrong:
        raise measure.Wrong(f"answered {wrong}")


def measure_one(system, workload, stack, database, seconds, tag):
    measure.reset(database)
    roots = {"postgres": database.postgres.pid}
    if system in stack.applications:
        roots.update(nginx=stack.nginx.pid, **{system: stack.applications[system].pid})
    rows = measure.count_rows(database)
    cpu = {name: measure.cpu_ns(pid) for name, pid in roots.items()}
    if system in stack.applications:
        load = measure.wrk(stack.nginx, *workload.post(system), seconds, tag)
    else:
        often = stack.proxy is None and workload.name != "set50"
        load = measure.pgbench(stack.route, workload.scripts[system], seconds, 0.1 if often else 1)
    measure.settle(database)
    cpu = {name: measure.cpu_ns(pid) - cpu[name] for name, pid in roots.items()}
    load.must_be_clean()
    measure.check_rows(workload, rows, measure.count_rows(database), load)
    used = {name: ns / 1000 / load.done for name, ns in cpu.items()}
    private = None
    if system in stack.applications:
        workers = measure.busiest(stack.applications[system], servers.WORKERS)
        private = statistics.median(measure.private_kb(pid) for pid in workers)
    return load, used, private


def rounds(workload, stack, database, chosen):
    """{system: [(load, cpu, private) of each round]}; the order of systems moves on by one each round."""
    found = {system: [] for system in chosen.systems}
    for number in range(chosen.rounds):
        turn = number % len(chosen.systems)
        for system in chosen.systems[turn:] + chosen.systems[:turn]:
            try:
                if number == 0 and system in stack.applications:
                    prove(system, workload, stack, database)
                    warm_up(system, workload, stack)
                found[system].append(
                    measure_one(system, workload, stack, database, chosen.seconds, f"r{number}"))
            except measure.Wrong as wrong:
                raise measure.Wrong(f"{system}, {workload.name}: {wrong}") from None
    return found


def median(values):
    values = list(values)
    return statistics.median(values) if None not in values else None


def results(workload, delay_ms, found):
    """One entry of --json for each system. Ratios are of the same round, and then their median."""
    entries = []
    base = [load.rps for load, _, _ in found["pgbench"]] if "pgbench" in found else None
    for system, turns in found.items():
        loads = [load for load, _, _ in turns]
        cpu = {part: median(used.get(part) for _, used, _ in turns) for part in ("nginx", "writ", "php", "postgres")}
        if system != "php":
            del cpu["php"]
        entries.append({
            "workload": workload.name, "system": system, "delay_ms": delay_ms,
            "rps": round(median(load.rps for load in loads), 1),
            "p50_ms": round(median(load.p50_ms for load in loads), 3),
            "p99_ms": round(median(load.p99_ms for load in loads), 3),
            "ratio": round(median(load.rps / other for load, other in zip(loads, base)), 3) if base else None,
            "cpu_us": {part: round(us, 1) if us is not None else None for part, us in cpu.items()},
            "worker_private_kb": median(private for _, _, private in turns)})
    return entries


def show(entries):
    def cell(value, form):
        return "-" if value is None else format(value, form)

    first = entries[0]
    print(f"\n{first['workload']}, {first['delay_ms']} ms of round trip\n")
    print(f"  {'':18}{'req/s':>9}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}   CPU us: {'nginx':>7}{'app':>7}"
          f"{'postgres':>10}   {'kB/worker':>9}")
    for e in entries:
        cpu = e["cpu_us"]
        print(f"  {e['system']:18}{e['rps']:9.0f}{cell(e['ratio'], '.2f'):>8}{e['p50_ms']:9.2f}{e['p99_ms']:9.2f}"
              f"           {cell(cpu['nginx'], '.0f'):>7}{cell(cpu.get('php', cpu['writ']), '.0f'):>7}"
              f"{cell(cpu['postgres'], '.0f'):>10}   {cell(e['worker_private_kb'], '.0f'):>9}")
    rps = {e["system"]: e["rps"] for e in entries}
    if "writ" in rps and "php" in rps:
        print(f"  writ is {rps['writ'] / rps['php']:.2f} times php")
    sys.stdout.flush()


def round_trip_us(route, times=200):
    """How long one empty statement takes by this route: shows what the delay proxy really adds."""
    with harness.psycopg.connect(route.conninfo, autocommit=True) as connection:
        took = []
        for _ in range(times):
            start = time.perf_counter()
            connection.execute("select 1")
            took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def bench(chosen):
    entries = []
    with servers.postgres(chosen.synchronous_commit) as cluster:
        database = servers.database(cluster, install="writ" in chosen.systems)
        version = cluster.execute("show server_version")[0][0]
        print(f"PostgreSQL {version}, synchronous_commit {chosen.synchronous_commit};"
              f" {measure.CONNECTIONS} connections of wrk, {servers.WORKERS} workers of writ and php-fpm,"
              f" {servers.WORKERS} clients of pgbench;\nmedians of {chosen.rounds} rounds of {chosen.seconds} s;"
              f" {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before")
        for delay_ms in chosen.delays:
            with servers.Stack(database, delay_ms, chosen.systems) as stack:
                print(f"\nselect 1, {delay_ms} ms of round trip: {round_trip_us(stack.route):.0f} us")
                for workload in chosen.workloads:
                    found = results(workload, delay_ms, rounds(workload, stack, database, chosen))
                    show(found)
                    entries += found
    return entries


def main():
    chosen = arguments()

    def work():
        entries = bench(chosen)
        if chosen.json:
            chosen.json.write_text(json.dumps(entries, indent=1) + "\n")

    turns = len(chosen.systems) * len(chosen.workloads) * len(chosen.delays) * chosen.rounds
    return measure.program("bench/run", 120 + turns * (chosen.seconds + 10), work)


if __name__ == "__main__":
    sys.exit(main())
