"""Clients send requests with an Idempotency-Key, each again and again until it is answered 200, while everything between
them and the disk is killed, cut and restarted at random. At the end each key was applied exactly once, who asked
again was given the same answer, and the after-hooks were told of each key, of an account in the order of its payments,
and of nothing that was rolled back.

It knows only what a client knows, and what the tables hold.
"""

import argparse
import collections
import pathlib
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402
import webhook  # noqa: E402

# No unique constraint on key: what is done twice is there twice.
SCHEMA = """
create table ledger (id bigint generated always as identity primary key, key text not null, part int not null);
create table account (id int primary key, balance bigint not null);
insert into account select i, 0 from generate_series(1, 8) i;
grant select, insert on ledger to writ;
grant select, update on account to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  book:
    allow: [anonymous]
    sql: insert into ledger (key, part) values (:key, :part) returning id, key
    returns: one
    hooks: { after: { booked: { url: "HOOK/booked", attempts: 100 } } }
  pay:
    allow: [anonymous]
    sql: update account set balance = balance + 1 where id = :id returning id, balance
    returns: one
    hooks: { after: { paid: { url: "HOOK/paid", key: [account, $args.id], attempts: 100 } } }
  refuse: { allow: [anonymous], check: select false }
  again: { allow: [anonymous], sql: select count(*) as n from ledger where id = :id, returns: one }
"""

LEASE_MS = 1000
EMPTY_S = 120  # for the outbox to be empty, when the faults are over
PATIENCE_S = 180  # for one key, however many tries it takes
SENT_TWICE = 0.2  # the share of keys that are asked for once more when they are done
AT_ONCE = 0.1  # the share of keys that two clients send at the same time
REFUSED = 0.1  # the share of keys ahead of which something is sent that is rolled back: nobody may be told of it


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.answers = {}  # key: body of each 200
        self.wrong = []

    def count(self, name, n=1):
        with self.lock:
            self.counts[name] += n

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)


def body_of(key, account):
    return {"commands": [
        {"command": "book", "as": "first", "args": {"key": key, "part": 1}},
        {"command": "pay", "args": {"id": account}},
        {"command": "book", "args": {"key": key, "part": 2}},
        {"command": "again", "args": {"id": {"$ref": "first.id"}}}]}


class Clients:
    """Threads that work through the keys."""

    def __init__(self, site, requests, threads, seed):
        self.site, self.tally = site, Tally()
        self.keys = collections.deque(range(requests))
        self.requests = requests
        self.seed = seed
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)]
        self.over = threading.Event()

    def start(self):
        for thread in self.threads:
            thread.start()

    def done(self):
        return len(self.tally.answers)

    def running(self):
        return any(thread.is_alive() for thread in self.threads)

    def work(self, number):
        chance = random.Random(f"{self.seed} client {number}")
        while not self.over.is_set():
            try:
                key = f"key-{self.keys.popleft():06d}"
            except IndexError:
                return
            account = chance.randrange(1, 9)
            if chance.random() < REFUSED:
                self.send_refused(key, account)
            if chance.random() < AT_ONCE:
                other = threading.Thread(target=self.until_answered, args=(key, account, chance.random()), daemon=True)
                other.start()
                self.until_answered(key, account, chance.random())
                other.join(PATIENCE_S)
            else:
                self.until_answered(key, account, chance.random())
            if chance.random() < SENT_TWICE:
                self.until_answered(key, account, 0, replay=True)

    def until_answered(self, key, account, jitter, replay=False):
        deadline = time.monotonic() + PATIENCE_S
        pause = 0.01 + jitter / 50
        while not self.over.is_set():
            answer = self.send(key, account)
            if answer is not None and answer.status == 200:
                self.keep(key, answer, replay)
                return
            if time.monotonic() > deadline:
                self.tally.complain(f"{key}: not answered 200 within {PATIENCE_S} s; the last answer was {answer}")
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def send(self, key, account):
        self.tally.count("requests sent")
        try:
            answer = self.site.client.command("transactional_command_set", body_of(key, account),
                                              headers={"Idempotency-Key": key})
        except (OSError, ValueError, AssertionError):  # no connection, or it ended in the middle
            self.tally.count("no answer")
            return None
        if answer.status == 200:
            return answer
        self.tally.count(f"answered {answer.status}")
        if answer.status < 500 and (answer.status, answer.json.get("code")) not in (
                (409, "IDEMPOTENCY_CONFLICT"), (409, "DEADLOCK"), (409, "SERIALIZATION_FAILURE"), (409, "LOCK_TIMEOUT")):
            self.tally.complain(f"{key}: {answer}")
        return answer

    def send_refused(self, key, account):
        body = body_of(f"refused {key}", account)
        body["commands"].append({"command": "refuse"})
        self.tally.count("requests to be rolled back")
        try:
            answer = self.site.client.command("transactional_command_set", body)
        except (OSError, ValueError, AssertionError):
            return
        if answer.status < 400:
            self.tally.complain(f"{key}: not refused: {answer}")

    def keep(self, key, answer, replay):
        replayed = answer.header("idempotent-replay") == "true"
        with self.tally.lock:
            if replayed:
                self.tally.counts["replays"] += 1
            first = self.tally.answers.setdefault(key, answer.body)
        if first != answer.body:
            self.tally.complain(f"{key}: two answers: {first!r} and {answer.body!r}")
        if replay and not replayed:
            self.tally.complain(f"{key}: done already, and no replay: {answer}")


class Faults:
    """What may go wrong, one at a time."""

    def __init__(self, cluster, site, proxy, hook, seed):
        self.cluster, self.site, self.proxy, self.hook = cluster, site, proxy, hook
        self.chance = random.Random(f"{seed} faults")
        self.counts = collections.Counter()
        self.kinds = [(self.kill_worker, 6), (self.kill_backend, 2), (self.terminate_backend, 4), (self.cut, 4),
                      (self.cut_at_commit, 8), (self.cut_answers, 6), (self.stop_worker, 3), (self.restart_postgres, 1),
                      (self.crash_postgres, 1), (self.reload, 2), (self.restart_writd, 1), (self.kill_runner, 4),
                      (self.stop_runner, 2), (self.kill_nginx_worker, 3), (self.stop_postgres, 2),
                      (self.kill_hook_server, 3)]

    def one(self):
        kinds, weights = zip(*self.kinds)
        fault = self.chance.choices(kinds, weights)[0]
        fault()
        self.counts[fault.__name__.replace("_", " ")] += 1

    def one_of(self, runners):
        """A worker's pid, or a runner's."""
        pids = [pid for pid in self.site.writ.workers() if is_runner(pid) == runners]
        return self.chance.choice(pids) if pids else None

    def signal(self, pid, number):
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return None
        return pid

    def stop_for(self, pid, seconds):
        """As a machine that swaps: it goes on a little later, with what it was about to do."""
        pid = self.signal(pid, signal.SIGSTOP)
        time.sleep(seconds)
        self.signal(pid, signal.SIGCONT)

    def kill_worker(self):
        self.signal(self.one_of(runners=False), signal.SIGKILL)

    def kill_runner(self):
        self.signal(self.one_of(runners=True), signal.SIGKILL)

    def stop_worker(self):
        self.stop_for(self.one_of(runners=False), self.chance.random() / 2)

    def stop_runner(self):
        """For longer than its lease: others have taken over when it goes on."""
        self.stop_for(self.one_of(runners=True), 1.5 * LEASE_MS / 1000)

    def kill_nginx_worker(self):
        pids = self.site.nginx.children()
        self.signal(self.chance.choice(pids) if pids else None, signal.SIGKILL)

    def stop_postgres(self):
        """All of it: nobody is refused, and nobody gets an answer."""
        pids = [self.cluster.pid, *self.cluster.children()]
        for pid in pids:
            self.signal(pid, signal.SIGSTOP)
        time.sleep(1)
        for pid in pids:
            self.signal(pid, signal.SIGCONT)

    def kill_hook_server(self):
        self.hook.kill()
        self.hook.start()

    def backends(self):
        try:
            rows = self.cluster.execute("select pid from pg_stat_activity where usename = 'writ'")
        except harness.psycopg.Error:
            return []
        return [pid for (pid,) in rows]

    def kill_backend(self):
        """PostgreSQL then ends all others as well, and recovers."""
        for pid in self.backends()[:1]:
            os.kill(pid, signal.SIGKILL)
        self.wait_for_postgres()

    def terminate_backend(self):
        for pid in self.backends()[:2]:
            try:
                self.cluster.execute("select pg_terminate_backend(%s)", (pid,))
            except harness.psycopg.Error:
                pass

    def cut(self):
        self.proxy.ask("cut")

    def cut_at_commit(self):
        """The Sync that commits comes through, or does not; its answer never does."""
        if self.chance.random() < 0.5:
            self.proxy.ask("rule", way="to_server", match=harness.SYNC, action="cut", **{"pass": self.chance.random() < 0.7})
        else:
            self.proxy.ask("rule", way="to_client", match=harness.READY_FOR_QUERY, action="cut")

    def cut_answers(self):
        self.proxy.ask("rule", way="to_client", bytes=self.chance.randrange(1, 3000), action="cut")

    def restart_postgres(self):
        self.cluster.restart()
        self.wait_for_postgres()

    def crash_postgres(self):
        self.cluster.process.send_signal(signal.SIGQUIT)  # immediate shutdown: recovery at the next start
        self.cluster.process.wait(60)
        self.cluster.start()
        self.wait_for_postgres()

    def reload(self):
        self.site.writ.reload()

    def restart_writd(self):
        self.site.writ.kill()
        self.site.writ.start()

    def wait_for_postgres(self):
        def there():
            try:
                return self.cluster.execute("select 1")
            except harness.psycopg.Error:
                return None
        harness.wait_until(there, "PostgreSQL to be back", 60)


def is_runner(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as name:
            return name.read().strip() == "writd runner"
    except (FileNotFoundError, ProcessLookupError):
        return False


def judge_hooks(tally, database, hook):
    """What the service was told, against what the tables say. Of one account the first telling of each payment is in the
    order of its balances: they wait for each other's rows."""
    wanted = {(key, part) for key, part in database.execute("select key, part from ledger")}
    booked, paid, ids = collections.Counter(), collections.defaultdict(list), set()
    for request in hook.received():
        body = request.json
        ids.add(request.id)
        if request["path"] == "/booked":
            booked[body["args"]["key"], body["args"]["part"]] += 1
        elif body["result"]["balance"] not in paid[body["args"]["id"]]:
            paid[body["args"]["id"]].append(body["result"]["balance"])
    untold, untrue = sorted(wanted - set(booked)), sorted(set(booked) - wanted)
    for name, found in (("not told of", untold), ("told of, and not there", untrue)):
        if found:
            tally.complain(f"{name}: {found[:5]} ...")
    for account, balance in database.execute("select id, balance from account"):
        if paid[account] != list(range(1, balance + 1)):
            tally.complain(f"account {account} has {balance} and was told of so: {paid[account][:50]} ...")
    if len(ids) != len(wanted) * 3 // 2:
        tally.complain(f"{len(ids)} items were told, of {len(wanted) * 3 // 2}")
    return {"not told": len(untold), "told of what was rolled back": len(untrue),
            "told again": len(hook.received()) - len(ids)}


def judge(tally, database, requests):
    """What the tables say. {name: number}, with lost and doubled among them."""
    harness.wait_until(database.postgres.ready, "PostgreSQL to be there behind the last fault", 60)
    rows = dict(((key, part), n) for key, part, n in
                database.execute("select key, part, count(*) from ledger group by key, part"))
    keys = [f"key-{n:06d}" for n in range(requests)]
    answered = {(key, part) for key in tally.answers for part in (1, 2)}
    lost = sorted(answered - set(rows))
    doubled = sorted(place for place, n in rows.items() if n > 1)
    strange = sorted(set(rows) - {(key, part) for key in keys for part in (1, 2)})
    paid = database.one("select sum(balance) from account")
    unanswered = [key for key in keys if key not in tally.answers]
    for name, found in (("lost", lost), ("doubled", doubled), ("not asked for", strange), ("never answered", unanswered)):
        if found:
            tally.complain(f"{name}: {found[:5]} ...")
    if paid != len(rows) / 2:
        tally.complain(f"{paid} payments for {len(rows) / 2:g} requests that are booked")
    return {"lost": len(lost), "doubled": len(doubled)}


def wait_for_outbox(tally, database):
    try:
        harness.wait_until(lambda: not database.one("select count(*) from writ.outbox"), "an empty outbox",
                           EMPTY_S * harness.PATIENCE)
    except TimeoutError:
        left = database.execute("select id, hook, key, attempts, held, due - now(), last_answer from writ.outbox limit 5")
        tally.complain(f"still in the outbox after {EMPTY_S} s: {left}")


def run(requests, faults, seed, threads=12, say=print):
    """All of it, on servers of its own. Gives what went wrong, as a list of texts."""
    begun = time.monotonic()
    with harness.Postgres(restart_after_crash="on") as cluster, webhook.Webhook() as hook:
        database = harness.Database(cluster, "exactly_once", SCHEMA)
        with harness.Proxy(cluster) as proxy, harness.Site(
                database, MANIFEST.replace("HOOK", hook.url("")), workers=4, runners=2,
                runner={"lease_ms": LEASE_MS, "poll_ms": 200}, datasources={"default": proxy.conninfo(database.name)},
                timeout_ms=10000, max_requests=500, log_level="warn") as site:
            clients, trouble = Clients(site, requests, threads, seed), Faults(cluster, site, proxy, hook, seed)
            clients.start()
            try:
                for number in range(1, faults + 1):
                    share = number / (faults + 1)
                    while clients.running() and clients.done() < requests * share and not clients.tally.wrong:
                        time.sleep(0.005)
                    trouble.one()
                proxy.ask("clear")
                while clients.running() and not clients.tally.wrong:
                    time.sleep(0.02)
            finally:
                clients.over.set()
                for thread in clients.threads:
                    thread.join(60)
            verdict = judge(clients.tally, database, requests)
            wait_for_outbox(clients.tally, database)
            verdict.update(judge_hooks(clients.tally, database, hook))
            log = site.writ.log()
    say(f"{requests} keyed requests through {faults} faults in {time.monotonic() - begun:.0f} s (--seed {seed}): "
        + ", ".join(f"{n} {name}" for name, n in verdict.items()))
    for counts in (clients.tally.counts, trouble.counts):
        say("  " + ", ".join(f"{name}: {n}" for name, n in sorted(counts.items())))
    if clients.tally.wrong:
        say("\n".join(clients.tally.wrong[:20]))
        say(log[-20000:])
    return clients.tally.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="tests/chaos/exactly-once",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10000, help="keys (default %(default)s)")
    parser.add_argument("--faults", type=int, default=100, help="(default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32),
                        help="the same seed: the same faults in the same order")
    chosen = parser.parse_args()
    try:
        return 1 if run(chosen.requests, chosen.faults, chosen.seed) else 0
    finally:
        harness.workspace().remove()


if __name__ == "__main__":
    sys.exit(main())
