"""What the background costs. Accepting a set (202, runners stopped) against the same set run while its caller waits; how fast
one runner empties the queue of single-insert steps; and both at once. Beside them pgbench, which does by hand the SQL of
accepting, and the SQL of one such step with its mark."""

import argparse
import contextlib
import statistics
import sys
import time

import measure
import servers
from servers import harness
from workloads import NAMES, WORKLOADS

ASYNC = "Prefer: respond-async"

# The statements of writ's own flights, as its manifest and its requests make them. Keep in step with mutations/*.c.
SETTINGS = ("select set_config('request.jwt.claims', '{\"role\":\"anonymous\"}', true), set_config('request.role', 'anonymous', true), "
            "set_config('request.user', '', true), set_config('request.id', '0198c5f0-7b1e-7c3d-9a4e-5f6071829304', true);\n")
READY = "\\if :ready = 0\nselect 1;\n\\set ready 1\n\\endif\n"
STEPS = """'[{"id":"add_item","title":"add_item","status":"pending"}]'"""
ACCEPT = NAMES + READY + "\\startpipeline\nbegin;\n" + SETTINGS + f"""
insert into writ.mutation (id, due, deadline, command, args, role, request_id) values (md5(:name::text)::uuid, clock_timestamp(),
  now() + 86400 * interval '1 s', 'add_item', '{{"name":"x","n":1}}'::json, 'anonymous', '0198c5f0');
select writ.state_new(md5(:name::text)::uuid, null, {STEPS}::jsonb, '{{}}', null);
commit;
\\endpipeline
"""
DRAIN = NAMES + READY + """select id as id from writ.mutation where ended is null order by due limit 1 for update skip locked \\gset
\\startpipeline
begin;
""" + SETTINGS + """
select coalesce((select case when exists (select from writ.mutation_cancel c where c.mutation = :id::uuid) then 'x' else '' end
  from writ.mutation where id = :id::uuid and ended is null for no key update), 'lost');
insert into item (name, n) values (:name, 1) returning id;
with m as (update writ.mutation set step = 1, ended = now(), outcome = 'complete', answer = '{"result":{"id":1}}' where id = :id::uuid
  returning id, answer::json as a)
insert into writ.state_mark (mutation, attempt, name, payload) select id, 1, x.name, jsonb_build_object('result', a -> 'result')
  from m cross join (values (1, 'TRANSACTION_COMPLETED'), (2, 'MUTATION_COMPLETED')) as x (o, name);
commit;
\\endpipeline
"""


def empty(database):
    measure.reset(database)
    database.execute("truncate writ.mutation, writ.mutation_result, writ.mutation_cancel, writ.state, writ.state_change, writ.state_mark")


def waiting(database):
    return database.one("select count(*) from writ.mutation where ended is null")


def load(stack, workload, seconds, tag, header=""):
    done = measure.wrk(stack.nginx, *WORKLOADS[workload].post("writ"), seconds, tag, header=header)
    done.must_be_clean()
    return done


def accepting(stack, database, workload, chosen):
    """Ratio, and what each made in a second: medians of pairs."""
    pairs = []
    for number in range(chosen.rounds):
        empty(database)
        blocking = load(stack, workload, chosen.seconds, f"b{number}").rps
        empty(database)
        accepted = load(stack, workload, chosen.seconds, f"a{number}", ASYNC)
        if waiting(database) != accepted.done:
            raise measure.Wrong(f"{waiting(database)} mutations for {accepted.done} answers of 202")
        pairs.append((accepted.rps / blocking, accepted.rps, blocking))
    ratio, rps, blocking = (statistics.median(column) for column in zip(*pairs))
    print(f"  accept {workload:10}{rps:9.0f}/s   run while waiting {blocking:7.0f}/s   ratio {ratio:5.2f}")


def drained(database, before, seconds):
    """How many have ended since."""
    deadline = time.monotonic() + seconds
    while waiting(database) and time.monotonic() < deadline:
        time.sleep(0.05)
    if waiting(database):
        raise measure.Wrong(f"{waiting(database)} mutations are left")
    return before


def draining(database, chosen):
    """One runner of its own, for what was accepted before."""
    rates = []
    for number in range(chosen.rounds):
        with servers.Stack(database, 0, ["writ"], runners=0, background_runners=0) as stack:
            empty(database)
            count = load(stack, "insert", chosen.seconds, f"d{number}", ASYNC).done
        rows = measure.count_rows(database)["item"]
        with servers.writ(servers.Route(database, None), workers=1, runners=0, background_runners=1):
            drained(database, count, 120)
        if measure.count_rows(database)["item"] - rows != count:
            raise measure.Wrong(f"{measure.count_rows(database)['item'] - rows} rows for {count} mutations")
        took = float(database.one("select extract(epoch from max(ended) - min(ended)) from writ.mutation"))
        rates.append(count / took)
    print(f"  one runner         {statistics.median(rates):9.0f}/s   ({count} in the last round)")


def both(database, chosen):
    with servers.Stack(database, 0, ["writ"], runners=0, background_runners=1) as stack:
        empty(database)
        begun = time.monotonic()
        accepted = load(stack, "insert", chosen.seconds, "both", ASYNC)
        ended = accepted.done - waiting(database)
        took = time.monotonic() - begun
        print(f"  both at once       {accepted.rps:9.0f}/s accepted, {ended / took:9.0f}/s run by one runner meanwhile")
        drained(database, accepted.done, 120)


def by_hand(database, chosen):
    route = servers.Route(database, None)
    empty(database)
    one = measure.pgbench(route, ACCEPT, chosen.seconds)
    print(f"  pgbench, accepting {one.rps:9.0f}/s   ({servers.WORKERS} clients)")
    workers, measure.WORKERS = measure.WORKERS, 1
    try:
        one = measure.pgbench(route, DRAIN, chosen.seconds)
    finally:
        measure.WORKERS = workers
    print(f"  pgbench, one step  {one.rps:9.0f}/s   (1 client, two round trips each)")


def bench(chosen):
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(servers.postgres(chosen.synchronous_commit))
        database = servers.database(cluster, install=True)
        print(f"synchronous_commit {chosen.synchronous_commit} (accepting and marking wait for the disk in any case);"
              f" medians of {chosen.rounds} rounds of {chosen.seconds} s")
        with servers.Stack(database, 0, ["writ"], runners=0, background_runners=0) as site:
            for workload in ("signup", "insert"):
                load(site, workload, 1, "warm")
                accepting(site, database, workload, chosen)
        draining(database, chosen)
        both(database, chosen)
        by_hand(database, chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="bench/mutations")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default %(default)s)")
    parser.add_argument("--synchronous-commit", choices=("off", "on"), default="on", help="of the cluster (default %(default)s)")
    chosen = parser.parse_args()
    return measure.program("bench/mutations", 300 + 40 * chosen.rounds * chosen.seconds, lambda: bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
