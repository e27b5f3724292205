"""Times: what has a zone and what has none is one moment, in columns with a zone and without, whatever the session's TimeZone is."""

import pytest

import harness

MODEL = """
type Event { id: ID! @id  zoned: DateTime  plain: DateTime @db(type: "timestamp")  short: DateTime @db(type: "timestamp(3)")
  day: DateTime @db(type: "date")  own: DateTime @db(type: "public.moment")  own_plain: DateTime @db(type: "public.plain_moment")
  plains: [DateTime] @db(type: "timestamp")  days: [DateTime] @db(type: "date")  label: Label }
type Label { at: DateTime! @id(strategy: NONE) @db(type: "timestamp")  text: String  events: [Event] }
type Stamped { id: ID! @id  text: String  made: DateTime @createdAt @db(type: "public.moment")
  changed: DateTime @updatedAt @db(type: "public.moment") }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
commands:
  of_zone: { sql: "select :at::timestamptz as at, array[:at::timestamptz] as all", returns: one }
  of_none: { sql: "select :at::timestamp as at, array[:at::timestamp] as all", returns: one }
  of_day: { sql: "select :at::date as at", returns: one }
  of_text: { sql: "select :at::text as at", returns: one }
"""

ZONE = "America/New_York"


@pytest.fixture(scope="module")
def site(database):
    database.execute("create domain moment as timestamptz; create domain plain_moment as timestamp")
    database.execute(f"alter database {database.name} set timezone = '{ZONE}'")
    harness.create_tables(database, MODEL)
    with harness.Site(database, MANIFEST, workers=1, inside_workers=2, files={"schema.graphql": MODEL}) as site:
        yield site


FIELDS = ("zoned", "plain", "short", "day", "own", "own_plain")
SELECT = "{ " + " ".join(FIELDS) + " plains days label { at } }"


def kept(database):
    """As PostgreSQL has it, in UTC."""
    with database.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(f'select {", ".join(f"{f}::timestamp::text" for f in FIELDS)}, plains::text, days::text, label::text'
                                  ' from "Event" order by id desc limit 1').fetchone()


def answered(at):
    day = at[:10] + "T00:00:00.000Z"
    return {**{f: at for f in FIELDS}, "day": day, "plains": [at], "days": [day], "label": {"at": at}}


def make(at, every=None):
    data = {**{f: at for f in FIELDS}, "plains": {"set": every or [at]}, "days": {"set": [at]},
            "label": {"create": {"at": at}}}
    return {"command": "createEvent", "args": {"data": data, "select": SELECT}}


EVE = "2025-12-31T23:30:00.000Z"
GIVEN = [
    ("of_zone", "2026-01-01T01:30:00+02:00", EVE),
    ("of_none", "2025-12-31T23:30:00", EVE),
    ("of_day", "2025-12-31", "2025-12-31T00:00:00.000Z"),
    ("of_zone", "2026-07-01T01:30:00.125+02", "2026-06-30T23:30:00.125Z"),
    ("of_text", "2026-01-01T01:30:00+02:00", EVE),
    ("of_text", "2026-01-01 01:30+02", EVE),
    ("of_text", "2026-01-01 01:30 Europe/Helsinki", EVE),
    ("of_text", "2025-12-31T16:30-0700", EVE),
    ("of_text", "2025-12-31T23:30:00Z", EVE),
    ("of_text", "2025-12-31T23:30:00z", EVE),
    ("of_text", "2025-12-31 23:30", EVE),
    ("of_text", "2025-12-31", "2025-12-31T00:00:00.000Z"),
]


@pytest.mark.parametrize("command, at, utc", GIVEN)
def test_a_result_is_the_moment_that_it_says(site, database, command, at, utc):
    database.execute('truncate "Event", "Label"')
    every = {"$ref": "first.all"} if command in ("of_zone", "of_none") else None
    answer = site.inside.set({"command": command, "as": "first", "args": {"at": at}}, make({"$ref": "first.at"}, every),
                             {"command": "events", "args": {"where": {"plain": {"$ref": "first.at"}, "zoned_in": [{"$ref": "first.at"}],
                                                                      "day": {"$ref": "first.at"}}, "select": SELECT}},
                             {"command": "label", "args": {"where": {"at": {"$ref": "first.at"}}, "select": "{ at }"}})
    assert answer.status == 200, answer.text
    assert answer.results[1] == answered(utc)
    assert answer.results[2:] == [[answered(utc)], {"at": utc}]
    time, day = utc[:-1].replace("T", " ").removesuffix(".000"), utc[:10]
    short = time.rstrip("0") if "." in time else time
    midnight = day + " 00:00:00"
    assert kept(database) == (short, short, short, midnight, short, short, f'{{"{short}"}}', f"{{{day}}}", short)


@pytest.mark.parametrize("at, utc", [(at, utc) for command, at, utc in GIVEN if "Europe" not in at])
def test_and_so_is_what_is_given(site, database, at, utc):
    database.execute('truncate "Event", "Label"')
    assert site.inside.set(make(at)).results[0] == answered(utc)


def test_none_is_none(site, database):
    answer = site.inside.set({"command": "of_zone", "as": "first", "args": {"at": None}},
                             {"command": "createEvent", "args": {"data": {f: {"$ref": "first.at"} for f in FIELDS}, "select": SELECT}})
    assert answer.results[1] == {**{f: None for f in FIELDS}, "plains": [], "days": [], "label": None}


def test_a_time_without_end(site, database):
    answer = site.inside.set({"command": "of_zone", "as": "first", "args": {"at": "infinity"}},
                             {"command": "createEvent", "args": {"data": {f: {"$ref": "first.at"} for f in FIELDS}, "select": SELECT}})
    assert answer.results[1] == {**{f: "infinity" for f in FIELDS}, "plains": [], "days": [], "label": None}


@pytest.mark.parametrize("column", ["plain", "zoned"])
def test_what_is_no_time_is_refused(site, column):
    answer = site.inside.set({"command": "of_text", "as": "first", "args": {"at": "some day"}},
                             {"command": "createEvent", "args": {"data": {column: {"$ref": "first.at"}}}})
    assert (answer.status, answer.code) == (422, "DATA_ERROR")


def test_stamps_of_a_domain(site, database):
    """@createdAt and @updatedAt are of now, and can be found by what was answered."""
    made = site.inside.command("createStamped", {"data": {}, "select": "{ id made changed }"}).result
    assert made["made"] == made["changed"]
    seconds = database.one("select abs(extract(epoch from now() - made)) from \"Stamped\"")
    assert seconds < 3600
    assert site.inside.command("stampeds", {"where": {"made": made["made"]}, "select": "{ id }"}).result == [{"id": made["id"]}]
    changed = site.inside.command("updateStamped", {"where": {"id": made["id"]}, "data": {"text": "x"}, "select": "{ made changed }"}).result
    assert changed["made"] == made["made"] < changed["changed"]
