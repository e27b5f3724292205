"""/healthz, /readyz and /metrics: on the inside listener only; counters add up over all workers."""

import os
import re
import signal

import pytest

import harness
from crowd import Later, at_once

SCHEMA = """
create table hit (id bigint generated always as identity primary key, number integer unique);
grant select, insert on hit to writ;
create function stumble() returns integer language plpgsql as $$ begin raise internal_error; end $$;
"""

MANIFEST = """
specVersion: 1
commands:
  hit: { allow: [anonymous], sql: insert into hit (number) values (:number) returning number, returns: one }
  stumble: { allow: [anonymous], sql: select stumble() as x, returns: one }
  pause: { allow: [anonymous], sql: "select pg_sleep(:seconds)::text as slept", args: { seconds: float8 }, returns: one }
"""

WORKERS = 4


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=WORKERS, inside_workers=2) as site:
        yield site


# ---- a parser of the text format (Prometheus, exposition_formats.md), as strict as is useful

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{((?:[a-zA-Z_]\w*=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)*)\}})? (\S+)$")


class Metrics:
    """types: {name: type}; values: {(name, ((label, value), ...)): number}."""

    def __init__(self, text):
        self.types, self.values, helps, last = {}, {}, set(), None
        assert text.endswith("\n")
        for line in text.splitlines():
            if match := re.match(rf"^# HELP ({NAME}) \S.*$", line):
                assert match[1] not in helps, line
                helps.add(match[1])
            elif match := re.match(rf"^# TYPE ({NAME}) (counter|gauge|histogram)$", line):
                assert match[1] not in self.types and match[1] in helps, line
                self.types[match[1]] = match[2]
                last = match[1]
            else:
                match = SAMPLE.match(line)
                assert match, f"not a sample: {line}"
                family = re.sub(r"_(bucket|sum|count)$", "", match[1])
                name = family if self.types.get(family) == "histogram" else match[1]
                assert name == last, f"{line} does not stand behind its TYPE"
                labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")))
                assert (match[1], labels) not in self.values, f"{line} twice"
                self.values[match[1], labels] = float(match[3])
        assert helps == set(self.types)
        for (name, labels), value in self.values.items():
            assert value >= 0, (name, labels, value)
            if self.types.get(name) == "counter":
                assert name.endswith("_total"), name

    def __call__(self, name, **labels):
        return self.values[name, tuple(sorted(labels.items()))]

    def sum(self, name):
        return sum(value for (key, _), value in self.values.items() if key == name)

    def histogram(self, name):
        """[(upper bound, count below)], as sorted by bound."""
        return sorted((float(dict(labels)["le"]), value) for (key, labels), value in self.values.items()
                      if key == f"{name}_bucket")


def metrics(site):
    answer = site.inside.get("/metrics")
    assert answer.status == 200
    assert answer.header("content-type").startswith("text/plain; version=0.0.4")
    return Metrics(answer.text)


def settled(site, name, at_least, **labels):
    """Metrics in which a counter has come so far: a worker counts before it answers, but other things take a moment."""
    return harness.wait_until(lambda: (now := metrics(site))(name, **labels) >= at_least and now, f"{name} {at_least}")


# ---- who may ask what


def test_probes_are_inside_only(site):
    for path, status, kind in (("/healthz", 200, "application/json"), ("/readyz", 200, "application/json"),
                               ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8")):
        answer = site.inside.get(path)
        assert (answer.status, answer.header("content-type")) == (status, kind)
        assert answer.header("cache-control") == "no-store"
        head = site.inside.request("HEAD", path)
        assert (head.status, head.body) == (status, b"")
        wrong = site.inside.post(path, {})
        assert (wrong.status, wrong.code, wrong.header("allow")) == (405, "METHOD_NOT_ALLOWED", "GET, HEAD")
        for method in ("GET", "HEAD", "POST"):
            outside = site.client.request(method, path)
            assert outside.status == 404, (method, path)  # as if there were nothing
        assert site.client.get(path).code == "NOT_FOUND"
    assert site.inside.get("/healthz").json == {"status": "ok"}
    assert site.inside.get("/readyz").json == {"status": "ready"}


def test_ready_is_more_than_alive(database, postgres):
    with harness.Proxy(postgres) as proxy, harness.Site(
            database, MANIFEST, workers=1, datasources={"default": proxy.conninfo(database.name)}) as site:
        assert site.inside.get("/readyz").status == 200
        proxy.ask("refuse", on=True)
        proxy.ask("cut")
        answer = harness.wait_until(lambda: (now := site.inside.get("/readyz")).status != 200 and now, "/readyz to notice")
        assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
        assert site.inside.get("/healthz").status == 200
        proxy.ask("refuse", on=False)
        assert site.inside.get("/readyz").status == 200


# ---- counters


def test_metrics_are_what_prometheus_reads(site):
    now = metrics(site)
    assert {"writ_requests_total", "writ_answers_total", "writ_commits_total", "writ_rollbacks_total", "writ_retries_total",
            "writ_workers", "writ_request_duration_seconds", "writ_reloads_total"} <= set(now.types)
    assert now("writ_workers", pool="border") == WORKERS
    assert now("writ_workers", pool="inside") == 2
    assert now("writ_workers_busy", pool="inside") >= 1  # the one that answers


def test_counters_add_up_over_all_workers(site):
    before = metrics(site)
    # All at once, so that all workers have a share.
    calls = [lambda number=number: site.client.command("hit", {"number": number}) for number in range(40)]
    calls += [lambda: site.client.command("no_such")] * 10 + [lambda: site.client.command("stumble")] * 5
    calls += [lambda: site.client.command("hit", {"number": 1, "x": 2})] * 3
    calls += [lambda number=number: site.client.command("hit", {"number": number}, headers={"Prefer": "tx=rollback"})
              for number in range(100, 107)]
    answers = at_once(calls)
    assert [answer.status for answer in answers] == [200] * 40 + [404] * 10 + [500] * 5 + [400] * 3 + [200] * 7
    duplicate = site.client.command("hit", {"number": 1})
    assert duplicate.status == 409
    workers = {line.split(" pid=")[1].split()[0] for line in site.writ.log().splitlines() if " request who=border" in line}
    assert len(workers) == WORKERS, "not all workers had a share"

    after = metrics(site)

    def grown(name, **labels):
        return after(name, **labels) - before(name, **labels)

    assert grown("writ_requests_total", listener="border") == 66
    assert grown("writ_requests_total", listener="inside") == 1  # the look before
    assert grown("writ_answers_total", status="2xx") == 40 + 7 + 1
    assert grown("writ_answers_total", status="4xx") == 10 + 3 + 1
    assert grown("writ_answers_total", status="5xx") == 5
    assert grown("writ_commits_total") == 40
    assert grown("writ_rollbacks_total") == 5 + 7 + 1
    assert grown("writ_flights_total") == 40 + 5 + 7 + 1
    assert grown("writ_retries_total") == grown("writ_cancels_total") == grown("writ_unknown_outcomes_total") == 0
    assert grown("writ_request_duration_seconds_count") == 67
    assert grown("writ_request_duration_seconds_sum") > grown("writ_database_seconds_total") > 0


def test_the_histogram_is_one(site):
    site.client.command("pause", {"seconds": 0.3})
    now = metrics(site)
    buckets = now.histogram("writ_request_duration_seconds")
    assert buckets[-1][0] == float("inf")
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == now("writ_request_duration_seconds_count") > 0
    before = dict(buckets)
    site.client.command("pause", {"seconds": 0.3})
    after = dict(metrics(site).histogram("writ_request_duration_seconds"))
    # 0.3 s and the two looks: the slow one is not in the bucket of 0.256 s.
    assert after[0.256] - before[0.256] <= 2 and after[4.096] - before[4.096] >= 2


def test_counters_outlive_workers(database):
    with harness.Site(database, MANIFEST, workers=2) as site:
        for number in range(200, 220):
            assert site.client.command("hit", {"number": number}).status == 200
        assert metrics(site)("writ_commits_total") == 20
        starts = metrics(site)("writ_worker_starts_total", pool="border")
        assert starts == 2
        victim = next(pid for pid in site.writ.workers()
                      if open(f"/proc/{pid}/comm").read().strip() == "writd border")
        os.kill(victim, signal.SIGKILL)
        now = settled(site, "writ_worker_starts_total", 3, pool="border")
        assert now("writ_worker_crashes_total", pool="border") == 1
        assert now("writ_worker_crashes_total", pool="inside") == 0
        assert now("writ_commits_total") == 20

        site.writ.reload()
        now = settled(site, "writ_reloads_total", 1)
        harness.wait_until(lambda: metrics(site)("writ_workers", pool="border") == 2, "the old workers to leave")
        for number in range(220, 230):
            assert site.client.command("hit", {"number": number}).status == 200
        now = metrics(site)
        assert now("writ_commits_total") == 30
        assert now("writ_worker_starts_total", pool="border") == 5
        assert now("writ_worker_crashes_total", pool="border") == 1
        assert now("writ_reload_failures_total") == 0

        site.writ.write("specVersion: 1\ncommands: [nonsense]\n")
        site.writ.reload()
        now = settled(site, "writ_reload_failures_total", 1)
        assert now("writ_reloads_total") == 1


def test_counters_never_fall(database):
    """Not even where a reload gives a border worker's place to an inside worker."""
    with harness.Site(database, MANIFEST, workers=1, inside_workers=3) as site:
        before = {}
        for reloads, (workers, inside_workers) in enumerate(((3, 1), (1, 3), (2, 2), (1, 3)), 1):
            site.writ.write(workers=workers, inside_workers=inside_workers)
            site.writ.reload()
            settled(site, "writ_reloads_total", reloads)
            harness.wait_until(lambda: metrics(site)("writ_workers", pool="border") == workers
                               and metrics(site)("writ_workers", pool="inside") == inside_workers, "the old workers to leave")
            now = {pool: metrics(site)("writ_worker_starts_total", pool=pool) for pool in ("border", "inside")}
            for pool, started in (("border", workers), ("inside", inside_workers)):
                assert now[pool] - before.get(pool, now[pool] - started) == started, (pool, before, now)
            before = now


def test_busy_workers(site):
    busy = [Later(site.client.command, "pause", {"seconds": 0.7}) for _ in range(3)]
    harness.wait_until(lambda: metrics(site)("writ_workers_busy", pool="border") == 3, "three busy workers")
    assert [later.get().status for later in busy] == [200] * 3
    harness.wait_until(lambda: metrics(site)("writ_workers_busy", pool="border") == 0, "no busy workers")


def test_connections_to_the_database(database, postgres):
    with harness.Proxy(postgres) as proxy, harness.Site(
            database, MANIFEST, workers=1, inside_workers=1,
            datasources={"default": proxy.conninfo(database.name)}) as site:
        assert metrics(site)("writ_database_connects_total") == 2
        later = Later(site.client.command, "pause", {"seconds": 5})
        harness.wait_until(lambda: metrics(site)("writ_workers_busy", pool="border") == 1, "the worker to be busy")
        harness.wait_until(lambda: database.one("select count(*) from pg_stat_activity where wait_event = 'PgSleep' "
                                                "and datname = current_database()"), "the statement to run")
        proxy.ask("cut")
        assert later.get().status in (500, 503)
        assert metrics(site)("writ_database_lost_connections_total") == 1
        assert site.client.command("hit", {"number": 300}).status == 200
        assert metrics(site)("writ_database_connects_total") == 3
