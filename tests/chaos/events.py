"""Clients of two writd on one database send transactions of random length, of which some are rolled back, at random isolation levels,
while sequencers are killed and stopped, their sessions ended, and a long transaction is open in another database. wal2json
reads from PostgreSQL's own log what was committed, and says whether the event log is right:

- the same events, each once; none of a transaction that was rolled back or refused;
- of one key, whose writers are serialised by a row lock, in the order of their commits;
- what was acknowledged before another request began has the lower positions;
- no reader, at any time, sees a gap, or a position at or below one that it has read.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402

# Who is late sleeps at its COMMIT, when its events have long been written.
SCHEMA = """
create table account (id int primary key, n bigint not null);
insert into account select i, 0 from generate_series(1, 8) i;
create table late (id bigint generated always as identity, ms float not null);
create function be_late() returns trigger language plpgsql as $$ begin perform pg_sleep(new.ms / 1000); return null; end $$;
create constraint trigger be_late after insert on late deferrable initially deferred for each row execute function be_late();
grant select, update on account to writ;
grant insert on late to writ;
"""

MANIFEST = """
specVersion: 1
event_log: { readers: [anonymous] }
commands:
  draw:
    allow: [anonymous]
    sql: update account set n = n + 1 where id = :id returning id, n
    returns: one
    events: [{ name: drawn, key: $args.id, payload: { n: $result.n } }]
  told:
    allow: [anonymous]
    sql: select :token::text as token
    returns: one
    events: [{ name: told, payload: { token: $args.token, nr: 1 } }, { name: told, payload: { token: $args.token, nr: 2 } }]
  late: { allow: [anonymous], sql: insert into late (ms) values (:ms), returns: none }
  dwell: { allow: [anonymous], sql: "select pg_sleep(:ms::float / 1000)::text as done", returns: one }
  refuse: { allow: [anonymous], check: select false }
"""

LONGEST_MS = 60
REFUSED = 0.2
PATIENCE_S = 120


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.acknowledged = []  # (began, answered, token)
        self.refused = set()  # tokens
        self.wrong = []

    def count(self, name, n=1):
        with self.lock:
            self.counts[name] += n

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)


class Clients:
    def __init__(self, sites, transactions, threads, seed, tally):
        self.sites, self.tally, self.seed = sites, tally, seed
        self.numbers = collections.deque(range(transactions))
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def running(self):
        return any(thread.is_alive() for thread in self.threads)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)

    def work(self, number):
        chance = random.Random(f"{self.seed} client {number}")
        while not self.over.is_set():
            try:
                token = f"t{self.numbers.popleft():06d}"
            except IndexError:
                return
            self.send(token, chance)

    def send(self, token, chance):
        commands = [{"command": "told", "args": {"token": token}}]
        if chance.random() < 0.6:
            commands.append({"command": "draw", "args": {"id": chance.randrange(1, 9)}})
        if chance.random() < 0.4:
            commands.append({"command": "late", "args": {"ms": chance.random() * LONGEST_MS}})
        if chance.random() < 0.3:
            commands.append({"command": "dwell", "args": {"ms": chance.random() * LONGEST_MS}})
        chance.shuffle(commands)
        refuse = chance.random() < REFUSED
        if refuse:
            commands.append({"command": "refuse"})
        body = {"commands": commands}
        if chance.random() < 0.1:
            body["isolation"] = chance.choice(["repeatable_read", "serializable"])
        began = time.monotonic()
        try:
            answer = chance.choice(self.sites).client.command("transactional_command_set", body)
        except (OSError, ValueError, AssertionError):
            self.tally.count("no answer")
            return
        answered = time.monotonic()
        self.tally.count(f"answered {answer.status}")
        with self.tally.lock:
            if answer.status == 200:
                self.tally.acknowledged.append((began, answered, token))
            elif answer.status < 500:
                self.tally.refused.add(token)
        if refuse and answer.status == 200:
            self.tally.complain(f"{token} was not refused")


class Reader(threading.Thread):
    """Reads on from where it is, again and again."""

    def __init__(self, tally, over):
        super().__init__(daemon=True)
        self.tally, self.over, self.last, self.reads = tally, over, 0, 0

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError, ValueError, harness.psycopg.Error):
                self.take(self.read())
            time.sleep(0.001)

    def take(self, positions):
        self.reads += 1
        for position in positions:
            if position != self.last + 1:
                self.tally.complain(f"{type(self).__name__}: position {position} behind {self.last}")
            self.last = position


class SqlReader(Reader):
    def __init__(self, database, tally, over):
        super().__init__(tally, over)
        self.connection = database.connect()

    def read(self):
        # From a little ahead: what had a gap when it was read, or is put below, shows.
        rows = self.connection.execute("select position from writ.event where position > %s order by position",
                                       (max(self.last - 50, 0),)).fetchall()
        again = [position for (position,) in rows if position <= self.last]
        if again != list(range(max(self.last - 50, 0) + 1, self.last + 1)):
            self.tally.complain(f"what was read up to {self.last} has changed: {again}")
        return [position for (position,) in rows if position > self.last]


class HttpReader(Reader):
    def __init__(self, site, tally, over):
        super().__init__(tally, over)
        self.site = site

    def read(self):
        answer = self.site.client.get(f"/events?limit=1000&after={self.last}")
        if answer.status == 400:
            self.tally.complain(f"a reader at {self.last} is told: {answer.text}")
        return [event["position"] for event in answer.json["events"]] if answer.status == 200 else []


class Faults:
    def __init__(self, cluster, database, sites, seed):
        self.cluster, self.database, self.sites = cluster, database, sites
        self.chance = random.Random(f"{seed} faults")
        self.counts = collections.Counter()

    def one(self):
        fault = self.chance.choices([self.kill, self.stop, self.end_session, self.kill_worker], [6, 2, 2, 1])[0]
        self.counts[fault.__name__] += 1
        fault()

    def pids(self, name):
        return [pid for site in self.sites for pid in site.writ.workers() if comm(pid) == name]

    def kill(self):
        for pid in self.pids("writd events"):
            if self.chance.random() < 0.7:
                send(pid, signal.SIGKILL)

    def stop(self):
        """One that goes on later with what it was about to do."""
        pids = self.pids("writd events")
        pid = self.chance.choice(pids) if pids else None
        send(pid, signal.SIGSTOP)
        time.sleep(self.chance.random() * 0.5)
        send(pid, signal.SIGCONT)

    def end_session(self):
        self.database.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'writ' and query like "
                              "'%%sequencer%%' or query like '%%event_new%%' and usename = 'writ'")

    def kill_worker(self):
        pids = self.pids("writd border")
        send(self.chance.choice(pids) if pids else None, signal.SIGKILL)


def comm(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
        return name.read().strip()
    return None


def send(pid, number):
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Witness:
    """What PostgreSQL's own log says was appended, in the order of the commits."""

    def __init__(self, database):
        self.database = database
        # Newer PostgreSQL wants to be told which plugins anybody may use.
        if database.execute("select 1 from pg_settings where name = 'output_plugin_libraries'"):
            database.execute("alter system set output_plugin_libraries = 'wal2json'")
            database.execute("select pg_reload_conf()")
            time.sleep(0.5)
        database.execute("select pg_create_logical_replication_slot('witness', 'wal2json')")

    def events(self):
        """[(seq, name, key, payload)]"""
        found = []
        for (line,) in self.database.execute(
                "select data from pg_logical_slot_get_changes('witness', null, null, 'format-version', '2', "
                "'add-tables', 'writ.event_new', 'actions', 'insert')"):
            change = json.loads(line)
            if change["action"] != "I":
                continue
            row = {column["name"]: column["value"] for column in change["columns"]}
            found.append((row["seq"], row["name"], row["key"], json.loads(row["payload"])))
        return found


# ---- the verdict


def judge(tally, database, witness, readers):
    log = database.execute("select seq, name, key, payload, position from writ.event order by position")
    seen = witness.events()
    by_seq = {row[0]: row for row in log}
    missing = [row for row in seen if row[0] not in by_seq]
    strange = sorted(set(by_seq) - {row[0] for row in seen})
    changed = [row for row in seen if row[0] in by_seq and by_seq[row[0]][:4] != row]
    if [row[4] for row in log] != list(range(1, len(log) + 1)):
        tally.complain("positions have gaps")
    for name, found in (("missing", missing), ("not in PostgreSQL's log", strange), ("changed", changed)):
        if found:
            tally.complain(f"{len(found)} {name}: {found[:3]}")
    if len(by_seq) != len(log) or len({row[0] for row in seen}) != len(seen):
        tally.complain("an event is there twice")
    refused = judge_refused(tally, log)
    keys = judge_keys(tally, log, seen)
    pairs = judge_order(tally, log)
    for reader in readers:
        if reader.last != len(log):
            tally.complain(f"a reader came to {reader.last} of {len(log)}")
    return {"events": len(log), "of the witness": len(seen), "missing": len(missing), "strange": len(strange),
            "of what was refused": refused, "out of order in their key": keys, "out of order though acknowledged": pairs}


def judge_refused(tally, log):
    tokens = {row[3]["token"] for row in log if row[1] == "told"}
    there = tokens & tally.refused
    unknown = {token for _, _, token in tally.acknowledged} - tokens
    if there:
        tally.complain(f"of what was refused: {sorted(there)[:5]}")
    if unknown:
        tally.complain(f"acknowledged, and not there: {sorted(unknown)[:5]}")
    return len(there)


def judge_keys(tally, log, seen):
    orders = collections.defaultdict(lambda: ([], []))
    for _, name, key, payload, _ in log:
        if name == "drawn":
            orders[key][0].append(payload["n"])
    for _, name, key, payload in seen:
        if name == "drawn":
            orders[key][1].append(payload["n"])
    wrong = 0
    for key, (ours, theirs) in orders.items():
        if ours != theirs or ours != list(range(1, len(ours) + 1)):
            wrong += 1
            tally.complain(f"key {key}: {ours[:20]} and committed as {theirs[:20]}")
    return wrong


def judge_order(tally, log):
    """Each against the highest position of all that was acknowledged before it began."""
    places = collections.defaultdict(list)
    for _, name, _, payload, position in log:
        if name == "told":
            places[payload["token"]].append(position)
    done = sorted((answered, max(places[token]), token) for _, answered, token in tally.acknowledged if token in places)
    highest, who, i, wrong = 0, None, 0, 0
    for began, _, token in sorted(tally.acknowledged):
        while i < len(done) and done[i][0] < began:
            highest, who = max((highest, who or ""), done[i][1:])
            i += 1
        if token in places and min(places[token]) < highest:
            wrong += 1
            tally.complain(f"{token} at {places[token]}, though {who} at {highest} was acknowledged before it began")
    return wrong


# ---- all of it


@contextlib.contextmanager
def stranger(cluster):
    """A transaction with a snapshot and a number of its own, in another database, all the while."""
    with cluster.connect("postgres", autocommit=False) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select pg_current_xact_id()")
        yield
        connection.rollback()


def run(transactions, kills, seed, threads=16, say=print, manifest=MANIFEST, before=None):
    """Gives what went wrong, as a list of texts. before: called with the database, ahead of everything."""
    begun = time.monotonic()
    tally, over = Tally(), threading.Event()
    settings = {"workers": 6, "runners": 1, "runner": {"poll_ms": 100}, "log_level": "error", "max_requests": 1000}
    with harness.Postgres(wal_level="logical", max_replication_slots=4, max_wal_senders=4) as cluster:
        database = harness.Database(cluster, "events", SCHEMA)
        if before:
            before(database)
        witness = Witness(database)
        # Partitions so small that a round fills several, and each writd makes its own.
        with harness.Site(database, manifest, **settings, event_log={"partition": 50}) as one, \
                harness.Site(database, manifest, **settings, event_log={"partition": 170}) as two, stranger(cluster):
            sites = [one, two]
            clients, faults = Clients(sites, transactions, threads, seed, tally), Faults(cluster, database, sites, seed)
            readers = [SqlReader(database, tally, over), SqlReader(database, tally, over), HttpReader(one, tally, over),
                       HttpReader(two, tally, over)]
            for reader in readers:
                reader.start()
            clients.start()
            try:
                for number in range(1, kills + 1):
                    while clients.running() and len(clients.numbers) > transactions * (1 - number / (kills + 1)) and not tally.wrong:
                        time.sleep(0.005)
                    faults.one()
                while clients.running() and not tally.wrong:
                    time.sleep(0.02)
            finally:
                clients.stop()
            settle(tally, database, readers)
            over.set()
            for reader in readers:
                reader.join(30)
            verdict = judge(tally, database, witness, readers)
            log = one.writ.log() + two.writ.log()
        database.execute("select pg_drop_replication_slot('witness')")
    seconds = time.monotonic() - begun
    say(f"{transactions} transactions through {kills} faults in {seconds:.0f} s (--seed {seed}): "
        + ", ".join(f"{n} {name}" for name, n in verdict.items()))
    for counts in (tally.counts, faults.counts, {"reads": sum(reader.reads for reader in readers)}):
        say("  " + ", ".join(f"{name}: {n}" for name, n in sorted(counts.items())))
    if tally.wrong:
        say("\n".join(tally.wrong[:20]))
        say(log[-5000:])
    return tally.wrong


def settle(tally, database, readers):
    try:
        harness.wait_until(lambda: not database.one("select count(*) from writ.event_new"), "all to have positions", PATIENCE_S)
        end = database.one("select max(position) from writ.event")
        harness.wait_until(lambda: all(reader.last >= end for reader in readers), "all to be read", PATIENCE_S)
    except TimeoutError as error:
        tally.complain(str(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="tests/chaos/events",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=20000, help="(default %(default)s)")
    parser.add_argument("--kills", type=int, default=200, help="faults (default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32),
                        help="the same seed: the same faults in the same order")
    chosen = parser.parse_args()
    try:
        return 1 if run(chosen.transactions, chosen.kills, chosen.seed) else 0
    finally:
        harness.workspace().remove()


if __name__ == "__main__":
    sys.exit(main())
