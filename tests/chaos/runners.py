"""Mutations of 20 steps, several side by side, half of them with steps on two clusters, while runners, workers, the streamer, the
supervisor and PostgreSQL are killed at random points, and runners and workers stopped for longer than their leases. At the end each
mutation that was accepted has ended, the effect of each SQL step is there exactly once, on its own datasource, and so is what was to
follow; what was answered to a waiting caller is what happened. Who follows the state by a stream, and comes again when that breaks, is
told each of its versions once and in order, and the end.

It knows only what a client knows, and what the tables hold.
"""

import argparse
import collections
import contextlib
import http.client
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402
import sse  # noqa: E402
from service import Service  # noqa: E402

# No unique constraint: what is done twice is there twice.
SCHEMA = """
create table ledger (id bigint generated always as identity primary key, key text not null, step text not null);
grant select, insert on ledger to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  book: { allow: [anonymous], sql: "insert into ledger (key, step) values (:key, :step) returning id, key, step", returns: one }
  slowly: { allow: [anonymous], sql: "insert into ledger (key, step) select :key, :step from pg_sleep(0.05) returning id, key", returns: one }
  far_book: { allow: [anonymous], datasource: far, sql: "insert into ledger (key, step) values (:key, :step) returning id, key, step", returns: one }
  far_slowly: { allow: [anonymous], datasource: far, sql: "insert into ledger (key, step) select :key, :step from pg_sleep(0.05) returning id, key", returns: one }
  refuse: { allow: [anonymous], check: select false, error: { code: REFUSED } }
  program: { allow: [anonymous], http: "SERVICE/program", args: { key: text, step: text } }
"""

LEASE_MS = 1000
STEPS = 20
PATIENCE_S = 120  # for one mutation, whatever happens
SIDE_BY_SIDE = 8
WAITING = 0.25  # the share whose caller waits, with a key
FAILING = 0.2   # the share that is refused at the step before the last
ELSEWHERE = 0.5 # the share whose steps are on two datasources, each on either; its home is that of the first
QUIET_S = 0.4   # between two kills, at most
PAUSED = 0.3    # beside so many kills a process is stopped for longer than its lease, and goes on with what it was about to do


def commands_of(key, chance, failing):
    """20 of them, each with its own row; and the rows, those of the datasource far with an f."""
    commands, rows, elsewhere = [], [], chance.random() < ELSEWHERE
    for number in range(1, STEPS + 1):
        step, kind = f"{number:02d}", chance.random()
        args = {"key": {"$ref": f"s{number - 1:02d}.key"} if number > 1 and commands[-1].get("as") else key, "step": step}
        if failing and number == STEPS - 1:
            commands.append({"command": "refuse"})
            continue
        if failing and number == STEPS:
            commands.append({"command": "book", "args": {"key": key, "step": "never"}})
            continue
        far = "far_" if elsewhere and chance.random() < 0.5 else ""
        if far:
            step += "f"
            args["step"] = step
        rows.append(step)
        if kind < 0.1 and not far:
            commands.append({"command": "program", "args": {"key": key, "step": step}})
        elif kind < 0.2:
            rows.append(step + "b")
            commands.append({"command": "transactional_command_set", "args": {"commands": [
                {"command": far + "book", "args": args, "as": "inner"},
                {"command": far + "book", "args": {"key": {"$ref": "inner.key"}, "step": step + "b"}}]}})
        else:
            commands.append({"command": far + ("slowly" if kind < 0.3 else "book"), "as": f"s{number:02d}", "args": args})
    return commands, rows, elsewhere


class Clients:
    """Threads that have one mutation after the other run."""

    def __init__(self, site, databases, seed):
        self.site, self.databases, self.seed = site, databases, seed
        self.lock = threading.Lock()
        self.wanted = {}  # key: (rows, ends)
        self.counts = collections.Counter()
        self.wrong = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(SIDE_BY_SIDE)]

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)

    def work(self, number):
        chance = random.Random(f"{self.seed} client {number}")
        turn = 0
        while not self.over.is_set():
            turn += 1
            key = f"{number}-{turn}"
            failing = chance.random() < FAILING
            commands, rows, elsewhere = commands_of(key, chance, failing)
            with self.lock:
                self.counts["on two datasources"] += elsewhere
            if chance.random() < WAITING:
                self.wait_for_answer(key, commands, rows, failing)
            else:
                self.accept(key, commands, rows, failing)

    def send(self, body, headers):
        try:
            return self.site.client.command("execute_command_set", body, headers=headers)
        except (OSError, ValueError, AssertionError):
            return None

    def until(self, key, body, headers, good):
        """Sends it until the answer is one of these."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = self.send(body, headers)
            if answer is not None and good(answer):
                return answer
            if answer is not None and answer.status < 500 and answer.status != 409:
                self.complain(f"{key}: {answer}")
                return None
            time.sleep(0.05)
        self.complain(f"{key}: no good answer within {PATIENCE_S} s; the last one was {answer}")
        return None

    def accept(self, key, commands, rows, failing):
        # On the other datasource than the first step, where there are two.
        far = "" if commands[0]["command"].startswith("far_") or not any(row.endswith("f") for row in rows) else "far_"
        follow = [{"command": far + "book", "args": {"key": key, "step": end + far[:1]}} for end in ("complete", "error")]
        body = {"commands": commands, "on_complete": follow[:1], "on_error": follow[1:]}
        answer = self.until(key, body, {"Idempotency-Key": key}, lambda answer: answer.status == 202)
        if not answer:
            return
        with self.lock:
            self.wanted[key] = rows + [("error" if failing else "complete") + far[:1]]
            self.counts["in the background"] += 1
        self.follow(key, answer.json["mutation"], "error" if failing else "complete")
        self.wait_for_end(key, answer.json["mutation"])

    def follow(self, key, mutation, end):
        """Its state, through whatever happens: each version once and in order, and the end."""
        deadline, seen, last = time.monotonic() + PATIENCE_S, 0, None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError), \
                    sse.open(self.site.client, f"/mutation/{mutation}/events", last=last) as stream:
                while stream.status == 200 and (event := stream.next()):
                    version, last = int(event.id.partition("/")[0]), event.id
                    if event.type == "end":
                        if event.json["status"] != end:
                            self.complain(f"{key}: mutation {mutation} is told to have ended as {event.data}")
                        return
                    if version <= seen or event.type == "change" and version != seen + 1:
                        self.complain(f"{key}: version {version} of mutation {mutation} is told behind {seen}")
                    seen = version
            with self.lock:
                self.counts["streams broken"] += 1
            time.sleep(0.1)
        self.complain(f"{key}: the end of mutation {mutation} is not told within {PATIENCE_S} s")

    def wait_for_end(self, key, mutation):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(harness.psycopg.Error):
                if not any(database.one("select count(*) from writ.mutation where ended is null and %s::uuid in (id, parent)", [mutation])
                           for database in self.databases):
                    return
            time.sleep(0.05)
        self.complain(f"{key}: mutation {mutation} has not ended within {PATIENCE_S} s")

    def wait_for_answer(self, key, commands, rows, failing):
        """Sends it until it is told how it ended, and then once more."""
        def good(answer):
            return answer.status == 200 or answer.status < 500 and answer.json["code"] == "REFUSED"
        first, again = (self.until(key, {"commands": commands}, {"Idempotency-Key": key}, good) for _ in range(2))
        if not first or not again:
            return
        with self.lock:
            self.wanted[key] = rows
            self.counts["waited for"] += 1
        if (first.status == 200) == failing or (again.status, again.json.get("results")) != (first.status, first.json.get("results")):
            self.complain(f"{key}: answered {first}, then {again}")


def go_on(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


class Kills:
    def __init__(self, clusters, site, seed):
        self.clusters, self.site = clusters, site
        self.chance = random.Random(f"{seed} kills")
        self.counts = collections.Counter()
        self.kinds = [(self.runner, 10), (self.worker, 4), (self.streamer, 2), (self.supervisor, 2), (self.postgres, 1), (self.backend, 1)]

    def one(self):
        kinds, weights = zip(*self.kinds)
        kill = self.chance.choices(kinds, weights)[0]
        self.counts[kill() or kill.__name__] += 1

    def pause(self):
        pids = self.processes("writd backgr", "writd border")
        if not pids or self.chance.random() > PAUSED:
            return
        pid = self.chance.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(1.5 * LEASE_MS / 1000, go_on, [pid])
        timer.daemon = True
        timer.start()
        self.counts["paused"] += 1

    def processes(self, *names):
        found = []
        for pid in self.site.writ.workers():
            with contextlib.suppress(OSError):
                if open(f"/proc/{pid}/comm", encoding="ascii").read().strip().startswith(names):
                    found.append(pid)
        return found

    def kill_one(self, *names):
        """A process of that name; a runner where there is none."""
        pids = self.processes(*names)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
        return bool(pids)

    def runner(self):
        self.kill_one("writd backgr")

    def worker(self):
        self.kill_one("writd border", "writd inside")

    def streamer(self):
        if not self.kill_one("writd stream"):
            self.runner()
            return "runner"

    def supervisor(self):
        self.site.writ.kill()
        self.site.writ.start()

    def postgres(self):
        """All of one at once: it recovers at the next start."""
        cluster = self.chance.choice(self.clusters)
        cluster.process.send_signal(signal.SIGQUIT)
        cluster.process.wait(60)
        cluster.start()

    def backend(self):
        """PostgreSQL then ends all others as well, and recovers."""
        with contextlib.suppress(harness.psycopg.Error, ProcessLookupError):
            cluster = self.chance.choice(self.clusters)
            pids = [pid for (pid,) in cluster.execute("select pid from pg_stat_activity where usename = 'writ'")]
            if pids:
                os.kill(self.chance.choice(pids), signal.SIGKILL)


def judge(clients, databases):
    """What the tables say, against what was asked for."""
    there = collections.Counter()
    for database, far in zip(databases, (False, True)):
        rows = database.execute("select key, step from ledger")
        there.update(rows)
        if any(step.rstrip("b").endswith("f") != far for _, step in rows):
            clients.complain(f"rows of the other datasource are in {database.name}")

    def both(sql):
        return [row for database in databases for row in database.execute(sql)]
    wanted = {(key, step) for key, steps in clients.wanted.items() for step in steps}
    left = both("select id, step, attempts, owner, due - now(), away, error from writ.mutation where ended is null")
    found = {"lost": sorted(wanted - set(there)), "doubled": sorted(place for place, n in there.items() if n > 1),
             "not asked for": sorted((key, step) for key, step in set(there) - wanted if key in clients.wanted),
             "not ended": left,
             "dead": both("select id, error from writ.mutation where dead")}
    for name, places in found.items():
        if places:
            clients.complain(f"{name}: {places[:5]} ...")
    return {name: len(places) for name, places in found.items()}


def program(site_of):
    """A program whose own call books the row; it is run as often as it takes."""
    def run(request):
        try:
            answer = site_of().inside.command("book", request.json["args"], headers={"Writ-Call": request.headers["writ-call"]})
        except (OSError, ValueError, AssertionError):
            return 503, {}
        return {"result": answer.json["result"]} if answer.status == 200 else (503, {})
    return run


def run(kills, seed, say=print):
    """All of it, on servers of its own. Gives what went wrong, as a list of texts."""
    begun = time.monotonic()
    with harness.Postgres(restart_after_crash="on") as cluster, harness.Postgres(restart_after_crash="on") as abroad, Service() as service:
        database, far = harness.Database(cluster, "runners", SCHEMA), harness.Database(abroad, "runners_far", SCHEMA)
        site = harness.Site(database, MANIFEST.replace("SERVICE", service.url("")), workers=4, inside_workers=3, background_runners=3,
                            background={"lease_ms": LEASE_MS, "poll_ms": 100, "claims": 4, "attempts": 1000}, timeout_ms=10000,
                            runners=1, streams={"most": 100, "poll_ms": 100, "heartbeat_s": 1},
                            log_level="info", datasources={"default": database.conninfo, "far": far.conninfo})
        service.at("/program", program(lambda: site))
        with site:
            clients, trouble = Clients(site, (database, far), seed), Kills((cluster, abroad), site, seed)
            for thread in clients.threads:
                thread.start()
            try:
                for _ in range(kills):
                    time.sleep(trouble.chance.random() * QUIET_S)
                    if clients.wrong:
                        break
                    trouble.pause()
                    trouble.one()
            finally:
                clients.over.set()
                for thread in clients.threads:
                    thread.join(PATIENCE_S + 30)
            if any(thread.is_alive() for thread in clients.threads):
                clients.complain("a client hangs")
            verdict = judge(clients, (database, far))
            rows, log = sum(map(len, clients.wanted.values())), site.writ.log()
    say(f"{len(clients.wanted)} mutations of {STEPS} steps through {kills} kills in {time.monotonic() - begun:.0f} s (--seed {seed}): "
        f"{rows} effects, " + ", ".join(f"{n} {name}" for name, n in verdict.items()))
    for counts in (clients.counts, trouble.counts):
        say("  " + ", ".join(f"{name}: {n}" for name, n in sorted(counts.items())))
    if clients.wrong:
        say("\n".join(clients.wrong[:20]))
        say(log[-20000:])
    return clients.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="tests/chaos/runners",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="(default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32),
                        help="the same seed: the same kills in the same order")
    chosen = parser.parse_args()
    try:
        return 1 if run(chosen.kills, chosen.seed) else 0
    finally:
        harness.workspace().remove()


if __name__ == "__main__":
    sys.exit(main())
