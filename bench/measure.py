"""One measurement: load for some seconds, and what it cost. wrk for what speaks HTTP, pgbench for PostgreSQL alone."""

import os
import pathlib
import re
import shutil
import signal
import sys
import time

from servers import BENCH, WORKERS, harness

CONNECTIONS = 16  # of wrk; applications have WORKERS processes, so there is always one request waiting for each
PATIENCE_S = 10  # for an answer, when the time of the load is over


class Wrong(Exception):
    """What was measured was not the work that was asked for."""


# ------------------------------------------------------------------------------------------------- processor and memory


def tree(root):
    """Process ids of root and everything below it."""
    found = [root]
    for pid in found:
        found += harness.children(pid)
    return found


def cpu_ns(root):
    """Processor time of a tree of processes since each began: of the living to the nanosecond (schedstat), of the dead,
    such as PostgreSQL's backends of clients that left, by what their parent has been told (hundredths of a second)."""
    total = 0
    for pid in tree(root):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # cutime, cstime
    return total


def private_kb(pid):
    """Memory that would come free if the process ended."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))


def busiest(server, count):
    """The workers of a preforking server that did the work: writd has inside workers, too, and they do none here."""

    def used(pid):
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])

    return sorted(server.children(), key=used, reverse=True)[:count]


# ------------------------------------------------------------------------------------------------------------- the load


class Load:
    """What clients counted. done: transactions that succeeded; refused: those that were answered with an error; errors:
    of the transport, as text, empty when there were none."""

    def __init__(self, done, seconds, p50_ms, p99_ms, max_ms, refused=0, errors=""):
        self.done, self.refused, self.seconds, self.errors = done, refused, seconds, errors
        self.p50_ms, self.p99_ms, self.max_ms = p50_ms, p99_ms, max_ms
        self.rps = done / seconds

    def must_be_clean(self):
        if self.errors or self.refused:
            raise Wrong(f"{self.done} done, {self.refused} refused, {self.errors or 'no errors of the transport'}")


def wrk(nginx, path, body, seconds, tag="load", connections=CONNECTIONS, header=""):
    """tag: what the names of this load begin with. header: a field of each request, such as "Idempotency-Key: @NAME@"."""
    folder = harness.workspace().folder("wrk")
    shutil.copy(BENCH / "load.lua", folder)
    (folder / "body").write_text(body)
    said = harness.run(
        ["wrk", "--latency", "-t", 1, "-c", connections, "-d", seconds + PATIENCE_S, "--timeout", PATIENCE_S, "-s",
         folder / "load.lua", f"http://127.0.0.1:{nginx.port}{path}", "--", folder / "body", tag, seconds, connections, header],
        timeout=seconds + PATIENCE_S + 20).stdout
    shutil.rmtree(folder)
    found = re.search(r"^RESULT (.*)$", said, re.M)
    if not found:
        raise Wrong(f"wrk said:\n{said}")
    n = {key: float(value) for key, value in (word.split("=") for word in found[1].split())}
    n["unanswered"] = connections - n["stopped"]
    errors = ", ".join(f"{n[kind]:g} {what}" for kind, what in (
        ("unanswered", "connections without an answer at the end"), ("connect", "connections refused"),
        ("read", "read errors"), ("write", "write errors"), ("timeout", "timeouts")) if n[kind])
    return Load(int(n["requests"] - n["status"]), n["seconds"] or seconds, n["p50"] / 1e3, n["p99"] / 1e3,
                n["max"] / 1e3, int(n["status"]), errors)


def percentile(values, share):
    """The smallest value that is not below `share` of all."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


def pgbench(route, script, seconds, sample=1.0, variables=()):
    """variables: of the script, (name, value), beside n and ready. sample: the share of transactions whose latency is written down; writing costs pgbench a little."""
    folder = harness.workspace().folder("pgbench")
    (folder / "script.sql").write_text(script)
    sampling = [f"--sampling-rate={sample}"] if sample < 1 else []
    done = harness.run(
        ["pgbench", "-n", "-M", "prepared", "-c", WORKERS, "-j", 2, "-T", seconds, "-f", folder / "script.sql",
         "-D", "n=0", "-D", "ready=0", *(f"-D{name}={value}" for name, value in variables), "--log", f"--log-prefix={folder}/latency", *sampling, "-h", route.host, "-U",
         harness.LOGIN_ROLE, route.dbname], timeout=seconds + 30)
    found = {key: re.search(pattern, done.stdout) for key, pattern in (
        ("done", r"transactions actually processed: (\d+)"), ("failed", r"failed transactions: (\d+)"),
        ("tps", r"tps = ([\d.]+)"))}
    if not all(found.values()):
        raise Wrong(f"pgbench said:\n{done.stdout}")
    turns = sorted(turn for file in folder.glob("latency.*") for turn in map(transaction, open(file)))
    shutil.rmtree(folder)
    number = {key: float(match[1]) for key, match in found.items()}
    load = Load(int(number["done"]), number["done"] / number["tps"], *latencies(turns), refused=int(number["failed"]))
    if sample == 1:
        leave_out_preparing(load, turns)
    return load


def transaction(line):
    """(when it ended, client, its number, latency) of a line of pgbench's log; us."""
    client, number, latency, _, end_s, end_us = map(int, line.split()[:6])
    return end_s * 1_000_000 + end_us, client, number, latency


def latencies(turns):
    return (percentile([latency for *_, latency in turns], share) / 1e3 for share in (50, 99, 100))


def leave_out_preparing(load, turns):
    """pgbench prepares within each client's first transaction, and all clients of a thread wait while one does. With a
    delay and fifty statements that is a quarter of a second. So speed and latency are those of the time in which every
    client was past its first transaction and none was done."""
    first, last = {}, {}
    for end, client, *_ in turns:
        first.setdefault(client, end)
        last[client] = end
    begin, end = max(first.values()), min(last.values())
    within = [turn for turn in turns if begin < turn[0] <= end]
    if len(within) < 2 * WORKERS:
        raise Wrong(f"pgbench did only {len(turns)} transactions: too few, measure for longer")
    load.rps = len(within) / (end - begin) * 1e6
    load.p50_ms, load.p99_ms, load.max_ms = latencies(within)


# ------------------------------------------------------------------------------------------------------- the row counts


def reset(database):
    with database.connect() as connection:
        connection.execute((BENCH / "reset.sql").read_text())
        connection.execute("checkpoint")


def count_rows(database):
    (row,) = database.execute(
        "select (select count(*) from app_user), (select count(*) from audit), (select count(*) from item)")
    return dict(zip(("app_user", "audit", "item"), row))


def check_rows(workload, before, after, load):
    """Wrong when the tables do not have exactly the transactions that clients counted."""
    for table, each in workload.rows.items():
        added = after[table] - before[table]
        if added != load.done * each:
            raise Wrong(f"{added} rows in {table}, but clients counted {load.done} transactions of {each}")


def settle(database):
    """Waits for what clients left behind when they stopped: nobody may be at work when rows are counted."""
    quiet = 0
    deadline = time.monotonic() + 20
    with database.connect() as connection:
        while quiet < 3:
            if time.monotonic() > deadline:
                raise Wrong("PostgreSQL was still at work 20 s after the load had ended")
            (active,) = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and state <> 'idle'").fetchone()
            quiet = 0 if active else quiet + 1
            time.sleep(0.02)


# ------------------------------------------------------------------------------------------------------------- programs


def program(name, seconds, work):
    """Runs work() as a program that cannot outlive its time: whatever happens unwinds, and servers are stopped on the
    way. The exit status."""

    def late(*_):
        raise TimeoutError(f"{name}: not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(seconds)
    try:
        work()
        return 0
    except (Wrong, RuntimeError, TimeoutError) as wrong:
        for server in harness.started:
            print(f"---- the end of {server.name}'s log\n{server.log()[-2000:]}", file=sys.stderr)
        print(f"{name}: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        harness.workspace().remove()
