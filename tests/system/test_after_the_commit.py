"""Domain events, after-hooks and projections see nothing before the commit, and nothing of what is rolled back: all three of one
transaction, which waits at the last moment there is, a constraint that is deferred to its COMMIT."""

import threading

import pytest

import harness
from webhook import Webhook

SCHEMA = """
create table pet (name text);
create table seen (name text);
grant insert on pet, seen to writ;
create function at_the_commit() returns trigger language plpgsql as $$ begin
  if new.name like 'late%' then perform pg_advisory_xact_lock(77); end if;
  if new.name = 'late and refused' then raise exception 'no' using errcode = '23514'; end if;
  return null;
end $$;
create constraint trigger at_the_commit after insert on pet deferrable initially deferred for each row execute function at_the_commit();
create function project(events jsonb) returns void language sql as $$
  insert into seen select e ->> 'key' from jsonb_array_elements(events) e $$;
"""

MANIFEST = """
specVersion: 1
event_log: { readers: [anonymous] }
projections:
  seen: { function: public.project, truncate: [public.seen] }
commands:
  add_pet:
    allow: [anonymous]
    sql: insert into pet (name) values (:name)
    events: [{ name: added, key: $args.name }]
    hooks: { after: { told: "HOOK/told" } }
"""


@pytest.mark.parametrize("name, status, more", [("late", 200, ["late"]), ("late and refused", 422, [])])
def test_nothing_before_the_commit_and_nothing_of_a_rollback(database, name, status, more):
    def found():
        """What readers of the log, the hook's service, and the projection's table have."""
        events = site.client.get("/events").json["events"]
        return ([event["key"] for event in events], sorted(request.json["args"]["name"] for request in hook.received("/told")),
                [key for (key,) in database.execute("select name from seen")])

    database.execute("truncate writ.event, writ.event_new, writ.projection, seen, pet")
    answers = []
    with Webhook() as hook, harness.Site(database, MANIFEST.replace("HOOK", hook.url("")), workers=3, runners=1,
                                         runner={"poll_ms": 50}) as site:
        late = threading.Thread(target=lambda: answers.append(site.client.command("add_pet", {"name": name})))
        with database.connect() as holder:
            holder.execute("select pg_advisory_lock(77)")
            late.start()
            harness.wait_until(lambda: database.one("select count(*) from pg_locks where locktype = 'advisory' and not granted"),
                               "the transaction to be at its end")
            assert site.client.command("add_pet", {"name": "meanwhile"}).status == 200
            harness.wait_until(lambda: all("meanwhile" in names for names in found()), "what was committed", 20)
            assert found() == (["meanwhile"],) * 3
        late.join(30 * harness.PATIENCE)
        assert [answer.status for answer in answers] == [status]
        assert site.client.command("add_pet", {"name": "then"}).status == 200
        harness.wait_until(lambda: all({"then", *more} <= set(names) for names in found()), "what came behind", 20)
        log, told, seen = found()
    assert log == seen == ["meanwhile", *more, "then"] and told == sorted(log)
