"""The data model and PostgreSQL: writ schema ddl, apply, introspect, check; schema: in a manifest; writ check."""

import itertools
import re
import subprocess

import pytest

import harness

count = itertools.count(1)


@pytest.fixture
def fresh(postgres):
    """Makes databases, with SQL run in them."""
    made = []

    def make(sql=""):
        made.append(harness.Database(postgres, f"schema_{next(count)}", sql, install=False))
        return made[-1]

    yield make
    for database in made:
        database.drop()


class Folder:
    def __init__(self, database, model=None):
        self.path = harness.workspace().folder("schema")
        self.database = database
        self.file = self.path / "model.graphql"
        if model is not None:
            self.file.write_text(model)

    def tool(self, *arguments):
        """(exit status, standard output, standard error)"""
        done = subprocess.run([str(harness.workspace().bin / "writ"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60 * harness.PATIENCE, env=harness.environment(), cwd=self.path,
                              **harness.identity())
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def schema(self, action, *arguments):
        file = [] if action == "introspect" else [self.file]
        source = [] if action == "ddl" else ["--conninfo", self.database.admin_conninfo]
        return self.tool("schema", action, *source, *arguments, *file)

    def must(self, action, *arguments):
        status, out, errors = self.schema(action, *arguments)
        assert (status, errors) == (0, ""), (out, errors)
        return out


def problems(errors):
    """[(line, kind, text)] of what the tool said."""
    return [(int(line or 0), kind, text)
            for line, kind, text in re.findall(r"^\S+?:(?:(\d+):)? (error|warning): (.*)$", errors, re.M)]


def introspected(database, *arguments):
    """The SDL of a database; it passes schema check without a difference."""
    folder = Folder(database)
    text = folder.must("introspect", *arguments)
    folder.file.write_text(text)
    assert "no difference" in folder.must("check"), text
    return text


def block(text, name):
    """The lines of one type or enum, without its first and last."""
    found = re.search(rf"^(?:type|enum) {name}\b.*?^}}", text, re.M | re.S)
    assert found, (name, text)
    return found.group(0)


def has(text, *lines):
    for line in lines:
        assert re.search("^ *" + re.escape(line) + "$", text, re.M), (line, text)


# ---------------------------------------------------------------------------------------------------- realistic schemas

MUSIC_SHOP = """
create type media as enum ('CD', 'vinyl', 'MP3 (320 kbit/s)');
comment on type media is 'What it is sold on';
create table artist (id serial primary key, name varchar(120) not null unique);
comment on table artist is 'Who plays';
comment on column artist.name is 'As it stands on the "cover"';
create table album (id serial primary key, title varchar(160) not null, artist_id integer not null references artist,
  released date, unique (artist_id, title));
create index on album (artist_id);
create table genre (id smallint primary key, name text);
create table track (id bigserial primary key, name varchar(200) not null,
  album_id integer references album on delete set null,
  genre_id smallint references genre, milliseconds integer not null check (milliseconds > 0), bytes bigint,
  price numeric(10,2) not null default 0.99, sold_on media not null default 'CD',
  explicit boolean not null default false,
  search tsvector generated always as (to_tsvector('simple', name)) stored);
create table playlist (id serial primary key, name text not null default 'It''s mine');
create table playlist_track (playlist_id integer not null references playlist on delete cascade,
  track_id bigint not null references track on delete cascade, primary key (playlist_id, track_id));
create table employee (id serial primary key, last_name text not null, first_name text not null,
  reports_to integer references employee, hired timestamp);
create table customer (id serial primary key, email text not null unique, support_rep_id integer references employee,
  phones text[] not null default '{}', settings jsonb);
create table invoice (id serial primary key, customer_id integer not null references customer,
  total numeric(10,2) not null,
  created_at timestamptz not null default now());
create table invoice_line (id serial primary key, invoice_id integer not null references invoice on delete cascade,
  track_id bigint not null references track, quantity integer not null default 1);
"""

FILM_RENTAL = """
create domain year as integer check (value between 1901 and 2155);
create type mpaa_rating as enum ('G', 'PG', 'PG-13', 'R', 'NC-17');
create table language (language_id serial primary key, name char(20) not null,
  last_update timestamp not null default now());
create table actor (actor_id serial primary key, first_name varchar(45) not null, last_name varchar(45) not null,
  last_update timestamp not null default now());
create table category (category_id serial primary key, name varchar(25) not null);
create table film (film_id serial primary key, title varchar(255) not null, description text, release_year year,
  language_id smallint not null, original_language_id integer references language,
  rental_duration smallint not null default 3, rental_rate numeric(4,2) not null default 4.99,
  rating mpaa_rating default 'G'::mpaa_rating, special_features text[], fulltext tsvector,
  last_update timestamp not null default now());
alter table film alter language_id type integer, add foreign key (language_id) references language;
create table film_actor (actor_id integer not null references actor, film_id integer not null references film,
  last_update timestamp not null default now(), primary key (actor_id, film_id));
create table film_category (film_id integer references film, category_id integer references category,
  primary key (film_id, category_id));
create table country (country_id serial primary key, country text not null);
create table city (city_id serial primary key, city text not null, country_id integer not null references country);
create table address (address_id serial primary key, address text not null, city_id integer not null references city,
  location point);
create table store (store_id serial primary key, manager_staff_id integer not null unique,
  address_id integer not null references address);
create table staff (staff_id serial primary key, first_name text not null,
  address_id integer not null references address,
  email text, store_id integer not null references store, active boolean not null default true,
  username text not null unique,
  picture bytea);
alter table store add foreign key (manager_staff_id) references staff deferrable initially deferred;
create table customer (customer_id serial primary key, store_id integer not null references store,
  create_date date not null default current_date, address_id integer not null references address,
  active boolean default true);
create table inventory (inventory_id serial primary key, film_id integer not null references film,
  store_id integer not null references store);
create table rental (rental_id serial primary key, rental_date timestamp not null, return_date timestamp,
  inventory_id integer not null references inventory, customer_id integer not null references customer,
  staff_id integer not null references staff, unique (rental_date, inventory_id, customer_id));
create table payment (payment_id serial primary key, customer_id integer not null references customer,
  rental_id integer references rental on delete set null, amount numeric(5,2) not null, held_for interval);
create view film_list as select film_id, title from film;
create table film_text (film_id integer primary key references film on delete cascade, text text not null);
"""

COMPANIES = """
create schema sales;
create schema stock;
create extension citext schema stock;
create table sales.company (id uuid primary key default gen_random_uuid(), name stock.citext not null unique);
create table sales.customer (company_id uuid not null references sales.company on delete cascade, no integer not null,
  name text not null, primary key (company_id, no));
create table sales."order" (company_id uuid not null references sales.company, order_no bigint not null,
  customer_no integer not null,
  placed timestamptz(3) not null, primary key (company_id, order_no),
  foreign key (company_id, customer_no) references sales.customer);
create table stock.article (sku varchar(20) primary key, "Name" text not null,
  replaced_by varchar(20) references stock.article);
create table sales.order_line (company_id uuid not null, order_no bigint not null, line_no smallint not null,
  sku varchar(20) not null references stock.article on delete restrict, amount numeric not null default 1,
  primary key (company_id, order_no, line_no),
  foreign key (company_id, order_no) references sales."order" on delete cascade);
create table stock.warehouse (code text collate "C" primary key);
create table stock.shelf (warehouse text collate "C" not null references stock.warehouse, nr integer not null,
  primary key (warehouse, nr));
create table stock.lies_on (sku varchar(20) not null references stock.article on delete cascade,
  w text collate "C" not null,
  n integer not null, primary key (sku, w, n), foreign key (w, n) references stock.shelf on delete cascade);
create table sales.log (text text);
create table sales.delivery (id integer generated always as identity primary key, company_id uuid, order_no bigint,
  foreign key (company_id, order_no) references sales."order" on delete set null);
"""


def test_music_shop(fresh):
    text = introspected(fresh(MUSIC_SHOP))
    artist, album, track = (block(text, name) for name in ("Artist", "Album", "Track"))
    assert '"Who plays"\ntype Artist @db(name: "artist") {' in text
    has(artist, "id: Int! @id", '"As it stands on the \\"cover\\""',
        'name: String! @unique @db(type: "character varying(120)")',
        "albums: [Album!]!")
    assert 'type Album @db(name: "album") @unique(fields: ["artist", "title"]) {' in album
    has(album, 'artist: Artist! @db(name: "artist_id")', 'released: DateTime @db(type: "date")', "tracks: [Track!]!")
    has(track, "id: BigInt! @id", 'price: Decimal! @default(value: 0.99) @db(type: "numeric(10,2)")',
        "sold_on: Media! @default(value: CD)", "explicit: Boolean! @default(value: false)",
        'album: Album @db(name: "album_id")',
        "# left out: column search: it is generated by PostgreSQL")
    has(block(text, "Genre"), 'id: Int! @id(strategy: NONE) @db(type: "smallint")')
    has(block(text, "Media"), "CD", 'Vinyl @db(name: "vinyl")', 'MP3__320_kbit_s_ @db(name: "MP3 (320 kbit/s)")')
    has(block(text, "Playlist"),
        """name: String! @default(value: "It's mine")""", 'tracks: [Track!]! @relation(name: "PlaylistTrack")')
    assert 'type PlaylistTrack @relationTable @db(name: "playlist_track") {' in text
    has(block(text, "Employee"), 'reports_to: Employee @relation(name: "EmployeeReports_to")',
        'employees_by_reports_to: [Employee!]! @relation(name: "EmployeeReports_to")')
    has(block(text, "Customer"), "phones: [String!]!", "settings: Json", 'support_rep: Employee @db(name: "support_rep_id")')
    has(block(text, "Invoice"), "created_at: DateTime! @createdAt",
        "invoiceLines: [InvoiceLine!]! @relation(onDelete: CASCADE)")


def test_film_rental(fresh):
    text = introspected(fresh(FILM_RENTAL))
    film, actor = block(text, "Film"), block(text, "FilmActor")
    has(film, 'release_year: Int @db(type: "\\"public\\".\\"year\\"")', "rating: MpaaRating @default(value: G)",
        'language: Language! @relation(name: "FilmLanguage") @db(name: "language_id")',
        'original_language: Language @relation(name: "FilmOriginal_language") @db(name: "original_language_id")',
        "special_features: [String!]!", 'last_update: DateTime! @updatedAt @db(type: "timestamp without time zone")',
        "# left out: column fulltext: there is no scalar for its type", "filmText: FilmText @relation(onDelete: CASCADE)",
        'categories: [Category!]! @relation(name: "FilmCategory")')
    has(block(text, "MpaaRating"), 'PG_13 @db(name: "PG-13")', 'NC_17 @db(name: "NC-17")')
    assert 'type FilmActor @db(name: "film_actor") @id(fields: ["actor", "film"]) {' in actor
    assert 'type FilmText @db(name: "film_text") @id(fields: ["film"]) {' in text
    has(block(text, "Store"),
        'manager_staff: Staff! @relation(name: "StoreManager_staff", link: INLINE) @db(name: "manager_staff_id")')
    has(block(text, "Staff"), "# left out: column picture: there is no scalar for its type")
    assert 'type Rental @db(name: "rental") @unique(fields: ["rental_date", "inventory", "customer"]) {' in text
    assert "film_list" not in text


def test_companies(fresh):
    database = fresh(COMPANIES)
    text = introspected(database, "--schema", "sales", "--schema", "stock")
    assert 'extend schema @db(schema: "sales")' in text
    assert 'type Order @db(name: "order") @id(fields: ["company", "order_no"]) {' in text
    has(block(text, "Company"), "id: UUID! @id", 'name: String! @unique @db(type: "\\"stock\\".\\"citext\\"")',
        "customers: [Customer!]! @relation(onDelete: CASCADE)")
    has(block(text, "Order"), 'customer: Customer! @db(names: ["company_id", "customer_no"])',
        'placed: DateTime! @db(type: "timestamp(3) with time zone")')
    assert 'type OrderLine @db(name: "order_line") @id(fields: ["order", "line_no"]) {' in text
    has(block(text, "Article"), "Name: String!", 'replaced_by: Article @relation(name: "ArticleReplaced_by")',
        'shelves: [Shelf!]! @relation(name: "LiesOn")')
    has(block(text, "LiesOn"), 'a: Article @db(name: "sku")', 'b: Shelf @db(names: ["w", "n"])')
    has(block(text, "Warehouse"), "code: ID! @id(strategy: NONE)")
    has(block(text, "Delivery"), 'order: Order @db(names: ["company_id", "order_no"])')
    assert "# left out: table log: it has no primary key" in text
    alone = Folder(database).must("introspect", "--schema", "stock")
    assert "type Article" in alone and "Company" not in alone


# ---------------------------------------------------------------------------------------------------- a fixed point

EVERY_KIND = """
"Every kind of relation"
type User {
  id: ID! @id
  email: String! @unique
  articles: [Article!]!
  follows: [User!]! @relation(name: "Follows")
  followers: [User!]! @relation(name: "Follows")
  best: User @relation(name: "Best")
  profile: Profile
  needs: Must! @relation(link: INLINE)
  createdAt: DateTime! @createdAt
  updatedAt: DateTime! @updatedAt
  colours: [Colour!]!
  colour: Colour @default(value: GREEN)
}
enum Colour { RED GREEN BLUE }
type Must { id: UUID! @id user: User! }
type Article {
  id: ID! @id
  "the title" title: String! @default(value: "it's \\\\ 5%")
  author: User! reader: User @relation(name: "Reader") tags: [Tag]
}
type Tag { id: Int! @id name: String! @unique articles: [Article] roles: [Role] }
type Role { id: BigInt! @id other: ID @unique }
type Profile { id: UUID! @id user: User! @relation(link: INLINE) x: Float n: Decimal b: BigInt j: Json list: [Int] }
type Team @id(fields: ["league", "no"]) {
  league: String! no: Int! players: [Player]
  home: [Match] @relation(name: "Home", onDelete: CASCADE) away: [Match] @relation(name: "Away")
}
type Player {
  id: Int! @id(strategy: SEQUENCE) @sequence(name: "pl", initialValue: -10, allocationSize: 5)
  team: Team
  boss: Player @relation(name: "Boss" link: INLINE) minion: Player @relation(name: "Boss")
  wife: Player @relation(name: "W" link: TABLE) husband: Player @relation(name: "W")
  fans: [User] @relation(name: "Fans" link: TABLE)
}
type Match @id(fields: ["home", "no"]) @unique(fields: ["away", "no"]) {
  no: Int! home: Team! @relation(name: "Home") away: Team! @relation(name: "Away")
}
type Solo { id: ID! @id(strategy: NONE) one: Tag @relation(link: TABLE) two: Team! @relation(link: TABLE) }
type Wears @relationTable @db(name: "worn by") { player: Player @db(name: "p") colour: Paint @db(name: "c") }
type Paint { id: ID! @id worn: Player @relation(name: "Wears") }
extend type Nothing { a: Int }
""".replace("extend type Nothing { a: Int }\n", "")


def statements(ddl):
    """DDL as a set of what it makes: the order of columns and statements does not matter."""
    found = set()
    for table, body in re.findall(r"^create table (.*?) \(\n(.*?)\n\);$", ddl, re.M | re.S):
        found |= {f"{table}: {line.strip().rstrip(',')}" for line in body.splitlines()}
    return found | {line for line in ddl.splitlines() if line.endswith(";") and line != ");"}


def test_what_was_applied_comes_back(fresh):
    """ddl, apply, check, introspect, check, ddl, apply: the same database, and so on for ever."""
    first = Folder(fresh(), EVERY_KIND)
    status, ddl, errors = first.schema("ddl")
    assert status == 0, errors
    first.must("apply")
    assert "no difference" in first.must("check")
    text = introspected(first.database)
    second = Folder(fresh(), text)
    again = second.must("ddl")
    assert statements(again) == statements(ddl)
    second.must("apply")
    assert introspected(second.database) == text
    assert dump(first.database) == dump(second.database)


def test_links_have_indexes(fresh):
    """Deleting a row looks for those that refer to it: by an index that begins with the columns of the foreign key."""
    folder = Folder(fresh(), EVERY_KIND)
    folder.must("apply")
    assert folder.database.one("select count(*) from pg_constraint where contype = 'f'") > 20
    assert folder.database.execute("""
        select conrelid::regclass, conkey from pg_constraint where contype = 'f' and not exists (
          select from pg_index where indrelid = conrelid and
            (select array_agg(n order by n) from unnest((indkey::int2[])[0:cardinality(conkey) - 1]) as n)
            = (select array_agg(n order by n) from unnest(conkey) as n))""") == []


def dump(database):
    """Columns, constraints and indexes as PostgreSQL describes them."""
    return database.execute("""
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
          left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'S') order by 1, 2""") + database.execute("""
        select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
         where connamespace = 'public'::regnamespace order by 1, 2""") + database.execute("""
        select tablename, regexp_replace(indexdef, 'INDEX \\S+ ON', 'INDEX ON')
          from pg_indexes where schemaname = 'public' order by 1, 2""")


def test_promises_are_kept_by_the_database(fresh):
    folder = Folder(fresh(), """
        type Parent { id: ID! @id  name: String!  child: Child! @relation(link: INLINE)  tags: [Tag] }
        type Child { id: ID! @id  parent: Parent }
        type Tag { id: ID! @id  parents: [Parent] }""")
    folder.must("apply")
    database = folder.database
    with database.connect(autocommit=False) as connection:  # a parent carries its child's key, whichever is written first
        connection.execute("""insert into "Parent" (id, name, child) values ('p', 'x', 'c')""")
        connection.execute("""insert into "Child" (id) values ('c')""")
        connection.execute("""insert into "Tag" (id) values ('t'); insert into "_ParentToTag" values ('p', 't')""")
        connection.commit()
    for sql, code in [("""insert into "Parent" (id, name) values ('q', 'y')""", "23502"),
                      ("""insert into "Parent" (id, name, child) values ('q', 'y', 'c')""", "23505"),
                      ("""insert into "Parent" (id, name, child) values ('q', 'y', 'd')""", "23503"),
                      ("""insert into "_ParentToTag" values ('p', 't')""", "23505"),
                      ("""delete from "Child" """, "23503")]:
        with pytest.raises(harness.psycopg.Error) as refused:
            database.execute(sql)
        assert refused.value.sqlstate == code, sql
    database.execute("""delete from "Tag" """)
    assert database.one("""select count(*) from "_ParentToTag" """) == 0
    database.execute("""insert into "Child" (id) select chr(n) from generate_series(65, 122) as n where chr(n) <> 'c'""")
    assert database.one("""select string_agg(id, '' order by id) from "Child" """).startswith("ABCDEF")


def test_keys_of_other_writers(fresh):
    """The columns' defaults make keys of the same kind as writ does, in the order of time."""
    folder = Folder(fresh(), "type A { id: UUID! @id  n: Int }  type B { id: ID! @id  n: Int }")
    folder.must("apply")
    for table, form in [("A", "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"), ("B", "c[0-9a-f]{24}")]:
        rows = [folder.database.execute(f"""insert into "{table}" (n) values ({n}) returning id, pg_sleep(0.005)""") for n in range(3)]
        keys = [str(row[0][0]) for row in rows]
        assert keys == sorted(keys) and len(set(keys)) == 3 and all(re.fullmatch(form, key) for key in keys), keys


def test_apply_wants_empty_schemas_and_does_all_or_nothing(fresh):
    database = fresh("create table there (id integer)")
    folder = Folder(database, "type A { id: ID! @id }\n")
    status, _, errors = folder.schema("apply")
    assert status == 1 and "There are tables already: public.there" in errors
    assert "1 types are there now" in folder.must("apply", "--schema", "other")
    assert database.execute("select tablename from pg_tables where schemaname = 'other'") == [("A",)]
    assert "no difference" in folder.must("check", "--schema", "other")
    status, _, errors = folder.schema("check")
    assert status == 1 and problems(errors)[0][:2] == (1, "error") and 'there is no table "public"."A"' in errors
    broken = Folder(fresh(), 'type A { id: ID! @id  b: String @db(type: "no_such_type") }\n')
    status, _, errors = broken.schema("apply")
    assert status == 1 and "no_such_type" in errors
    assert broken.database.one("select count(*) from pg_class where relnamespace = 'public'::regnamespace") == 0


def test_extensions_do_not_count_as_tables(fresh):
    folder = Folder(fresh("create extension pg_stat_statements; create extension citext"),
                    'type A { id: ID! @id  b: String @db(type: "public.citext") }\n')
    folder.must("apply")
    assert "no difference" in folder.must("check")


# ---------------------------------------------------------------------------------------------------- differences

PET_TABLES = """
create type kind as enum ('CAT', 'DOG');
create table owner (id text collate "C" primary key, name text not null, email text unique, age integer);
create sequence owner_cuid owned by owner.id;
create table pet (id integer generated by default as identity primary key, kind kind not null,
  owner text collate "C" not null references owner);
create table friend (a integer not null references pet on delete cascade,
  b integer not null references pet on delete cascade, primary key (a, b));
"""

PET_MODEL = """\
type Owner @db(name: "owner") {
  id: ID! @id
  name: String!
  email: String @unique
  age: Int
  pets: [Pet!]!
}
type Pet @db(name: "pet") {
  id: Int! @id
  kind: Kind!
  owner: Owner!
  likes: [Pet] @relation(name: "Friend")
  liked: [Pet] @relation(name: "Friend")
}
enum Kind @db(name: "kind") { CAT DOG }
type Friend @relationTable @db(name: "friend") { a: Pet  b: Pet }
"""

DIFFERENCES = [  # what is done to the database; line in the file, kind, part of the text
    ("alter table friend rename to befriend", 12, "error", 'there is no table "public"."friend" for the links'),
    ("alter table owner drop age", 5, "error", 'the table "public"."owner" has no column age'),
    ("alter table owner alter age type bigint", 5, "error", "is of type bigint, which is no Int"),
    ("alter table owner alter age type smallint", 5, "error", 'write @db(type: "smallint")'),
    ("alter table owner alter age type integer[] using array[age]", 5, "error", "write the type in [ ]"),
    ("alter table owner alter name type varchar(40)", 3, "error", 'write @db(type: "character varying(40)")'),
    ("alter table owner alter name drop not null", 3, "warning", "can be NULL: writ alone keeps the promise"),
    ("alter table owner alter age set not null", 5, "error", "the column age is NOT NULL; write ! behind its type"),
    ("alter table owner drop constraint owner_email_key", 4, "error", "email is unique in the file"),
    ("alter table owner drop constraint owner_email_key; alter table owner add unique (email) deferrable", 4, "error",
     "checked at once"),
    ("alter table owner drop constraint owner_email_key; create unique index on owner (email) where age > 3", 4,
     "error", "condition"),
    ("drop sequence owner_cuid", None, None, None),
    ("alter table pet alter id drop identity", 9, "error", "neither an identity column nor does it own a sequence"),
    ("alter table pet drop constraint pet_owner_fkey", 11, "warning", "there is no foreign key from (\"owner\")"),
    ("alter table pet alter owner drop not null", 11, "warning", "can be NULL"),
    ("alter table pet add unique (owner)", 11, "error", "so only one Pet can have a link to the same Owner"),
    ("alter table pet drop constraint pet_owner_fkey;"
     "alter table pet add foreign key (owner) references owner on delete cascade",
     11, "error",
     "ON DELETE CASCADE), and the file does not say so; write @relation(onDelete: CASCADE) on the field of Owner"),
    ("alter table pet drop constraint pet_owner_fkey;"
     "alter table pet add foreign key (owner) references owner on delete set default",
     11, "error", "ON DELETE SET DEFAULT"),
    ("alter table friend drop constraint friend_pkey", 12, "warning", "no unique constraint on the pair"),
    ("alter table friend add unique (a)", 12, "error", "a Pet has at most one link; make its field no list"),
    ("alter table friend drop constraint friend_a_fkey", 12, "warning", 'there is no foreign key from ("a")'),
    ("alter table friend add since date not null", 12, "error", "so no link can be written"),
    ("alter table owner add born date not null", 1, "warning", "the file does not know it: no row can be created"),
    ("alter table owner add born date not null default now()", None, None, None),
    ("alter type kind add value 'FISH'", 15, "error", "has a label FISH, which the file does not know"),
    ("alter type kind rename value 'DOG' to 'dog'", 15, "error", "has no label DOG"),
    ("alter table pet drop kind; drop type kind", 15, "error", 'there is no enum "public"."kind"'),
    ("create table bill (id integer, owner text references owner on delete cascade)", 1, "warning",
     "the database deletes rows of public.bill"),
    ("alter table pet add seller text references owner on delete cascade", 8, "error",
     "the file does not know the relation"),
    ("alter table owner alter id type text collate \"default\"", 2, "warning", "the column id has another collation"),
    ("alter table owner drop age; alter table owner add age integer generated always as (1) stored", 5, "error",
     "cannot be written"),
]


@pytest.mark.parametrize("change, line, kind, text", DIFFERENCES, ids=lambda value: str(value)[:60])
def test_check_tells_each_difference(fresh, change, line, kind, text):
    folder = Folder(fresh(PET_TABLES), PET_MODEL)
    assert "no difference" in folder.must("check")
    folder.database.execute(change)
    status, out, errors = folder.schema("check")
    assert status == (1 if "error: " in errors else 0), (out, errors)
    if text is None:
        assert errors == ""
    else:
        assert any(found[:2] == (line, kind) and text in found[2] for found in problems(errors)), errors


def test_a_hint_can_be_put_into_the_file(fresh):
    folder = Folder(fresh('''create domain "odd \\ ""name" as varchar(40);
        create table pet (id uuid primary key, name "odd \\ ""name")'''),
                    'type Pet @db(name: "pet") {\n  id: UUID! @id\n  name: String\n}\n')
    _, _, errors = folder.schema("check")
    hint = re.search(r"write (@db\(type: .*\))", errors)[1]
    folder.file.write_text(folder.file.read_text().replace("String", "String " + hint))
    assert "no difference" in folder.must("check")


def test_a_file_may_be_stricter(fresh):
    """1:1 without UNIQUE and with SET NULL, as Prisma 1 made them: warnings, no errors."""
    folder = Folder(fresh("""
        create table a (id varchar(25) primary key, b varchar(25));
        create table b (id varchar(25) primary key);
        alter table a add foreign key (b) references b on delete set null"""), """
        type A @db(name: "a") { id: ID! @id(strategy: NONE) @db(type: "varchar(25)")  b: B! @relation(link: INLINE) }
        type B @db(name: "b") { id: ID! @id(strategy: NONE) @db(type: "varchar(25)")  a: A @relation(onDelete: CASCADE) }""")
    status, out, errors = folder.schema("check")
    assert status == 0 and "2 types, no errors" in out
    assert [kind for _, kind, _ in problems(errors)] == ["warning", "warning"]


USER = "type User { id: ID! @id  name: String %s }\n"


@pytest.mark.parametrize("profile, list, way", [
    ('type Profile @id(fields: ["user"]) {\n  user: User!%s\n  text: String }', "profiles: [Profile]", "profiles: Profile"),
    ('type Profile @id(fields: ["user"]) {\n  user: User!%s\n  text: String }', "", "profile: Profile"),
    ('type Profile @unique(fields: ["user"]) { id: ID! @id\n  user: User%s }', "profiles: [Profile]", "profiles: Profile"),
])
def test_a_link_that_is_the_key_is_of_one_to_one(fresh, profile, list, way):
    """What makes tables is what `check` takes; what is refused says how it can be."""
    wrong = Folder(fresh(), USER % list + profile % "")
    for action in ("ddl", "apply", "check"):
        status, out, errors = wrong.schema(action)
        (problem,) = problems(errors)
        assert (status, out, problem[:2]) == (1, "", (3, "error")), (out, errors)
        assert "the type Profile, not a list, and write @relation(link: INLINE) here" in problem[2]
    right = Folder(fresh(), USER % way + profile % " @relation(link: INLINE)")
    right.must("apply")
    assert "no difference" in right.must("check")


def test_a_foreign_key_of_which_a_part_is_never_null(fresh):
    """A relation can say it only where something else gives the column its value; else the columns stay what they are."""
    text = introspected(fresh("""
        create table tenant (id integer primary key);
        create table person (tenant integer, no integer, primary key (tenant, no));
        create table task (id integer primary key, tenant integer not null, by integer, foreign key (tenant, by) references person);
        create table note (id integer primary key, tenant integer not null references tenant, by integer,
          foreign key (tenant, by) references person)"""))
    has(block(text, "Task"), "tenant: Int!", "by: Int", "# left out: foreign key task_tenant_by_fkey: a column of it is NOT NULL and "
        "others are not, and no key or required relation has it")
    has(block(text, "Note"), "tenant: Tenant!", 'person: Person @db(names: ["tenant", "by"])')


def test_a_label_of_no_letters(fresh):
    text = introspected(fresh("create type size as enum ('', 'big'); create table box (id integer primary key, size size default '')"))
    again = Folder(fresh(), text)
    again.must("apply")
    assert introspected(again.database) == text


def test_a_circle_that_cannot_be_written(fresh):
    tables = """create table a (id integer primary key, b integer not null);
                create table b (id integer primary key, a integer not null references a);
                alter table a add foreign key (b) references b"""
    model = """type A @db(name: "a") { id: Int! @id(strategy: NONE)  b: B! @relation(name: "X")
                  bs: [B] @relation(name: "Y") }
               type B @db(name: "b") { id: Int! @id(strategy: NONE)  a: A! @relation(name: "Y")
                 as: [A] @relation(name: "X") }"""
    status, _, errors = Folder(fresh(tables), model).schema("check")
    assert status == 1 and "in a circle of foreign keys that are not deferrable" in errors
    assert "no difference" in Folder(fresh(tables + " deferrable"), model).must("check")


# ---------------------------------------------------------------------------------------------------- names

EVIL = ['x"; drop table victim; --', "x'; drop table victim; --", "$$; drop table victim; $$", "select", "Größe über ä",
        "a.b", "UPPER",
        "\\'; drop table victim; --", "with\nnewline } type Evil { id: ID! @id }", "%s%n", '"', "日本語"]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text_of(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@pytest.mark.parametrize("name", EVIL)
def test_names_are_only_names(fresh, name):
    """In tables, columns, enums, labels, sequences, schemas, defaults and comments; from the file and from the catalog."""
    n = text_of(name)
    folder = Folder(fresh(), f"""
        extend schema @db(schema: {n})
        {n} type A @db(name: {n}) {{
          id: Int! @id(strategy: SEQUENCE) @sequence(name: {text_of(name + 's')})
          {n} text: String! @unique @default(value: {n}) @db(name: {n})
          kind: Kind @default(value: ONE)
          b: B @relation(link: INLINE) @db(name: {text_of(name + '2')})
          bs: [B] @relation(name: "Link")
        }}
        {n} enum Kind @db(name: {text_of(name + 'e')}) {{ ONE @db(name: {n}) }}
        type Link @relationTable @db(name: {text_of(name + 'l')}) {{ a: A @db(name: {n})
          b: B @db(name: {text_of(name + 'b')}) }}
        type B {{ id: ID! @id @db(name: {n})  a: A }}""".replace(
            "b: B @relation(link: INLINE)", 'b: B @relation(name: "One", link: INLINE)').replace(
            "  a: A }", '  a: A @relation(name: "One")  as: [A] @relation(name: "Link") }'))
    folder.database.execute("create table victim (id integer)")
    folder.must("apply")
    assert "no difference" in folder.must("check")
    text = introspected(folder.database, "--schema", name)
    again = Folder(fresh(), text)
    again.must("apply")
    assert introspected(again.database, "--schema", name) == text
    for database in (folder.database, again.database):
        assert database.one("select count(*) from pg_namespace where nspname = %s", [name]) == 1
        assert database.one(f"select count(*) from {quoted(name)}.{quoted(name)}") == 0
        assert database.one("select count(*) from pg_class where relname = 'Evil' or relname like 'drop%%'") == 0
    assert folder.database.one("select count(*) from victim") == 0


def test_introspection_keeps_names_apart(fresh):
    """Tables and columns whose names would clash in the API get others, and their own with @db(name:)."""
    text = introspected(fresh("""
        create table "user" (id integer primary key, name text, name_not text, "AND" text, "1st" text, "__x" text);
        create table users (id integer primary key);
        create table "User" (id integer primary key);
        create table user_connection (id integer primary key);
        create table query (id integer primary key);
        create table string (id integer primary key);
        create table "user-create-input" (id integer primary key, a integer references "user",
          "a_id" integer references "user");
        """))
    assert len(re.findall(r"^type ", text, re.M)) == 7
    assert re.search(r'name_not_+: String @db\(name: "name_not"\)', text)
    assert re.search(r'AND_+: String @db\(name: "AND"\)', text)
    assert re.search(r'_1st: String @db\(name: "1st"\)', text)


def test_comments_of_what_is_left_out_stay_comments(fresh):
    text = introspected(fresh("""
        create table "no key\n}\ntype Evil { id: ID! @id }\n#" (a integer);
        create table t (id integer primary key, "a\r}\ntype Evil { id: ID! @id }\n#" bytea)"""))
    assert re.findall(r"^ *type \w+", text, re.M) == ["type T"]
    assert len(re.findall(r"^ *# left out: .*Evil", text, re.M)) == 2


# ---------------------------------------------------------------------------------------------------- the manifest


def with_manifest(database, model, schema="schema: { file: ./model.graphql }"):
    folder = Folder(database, model)
    manifest = f"specVersion: 1\n{schema}\ncommands:\n  nothing: {{ sql: select 1 as one }}\n"
    (folder.path / "manifest.yaml").write_text(manifest)
    (folder.path / "writ.yaml").write_text(harness.settings_text(harness.settings_for(database, folder.path)))
    return folder


def test_manifest_names_the_file(fresh):
    database = fresh(PET_TABLES)
    database.install()
    folder = with_manifest(database, PET_MODEL)
    assert folder.tool("-c", "writ.yaml", "check")[0] == 0
    assert "no difference" in folder.tool("-c", "writ.yaml", "schema", "check")[1]
    assert 'create table "public"."pet"' in folder.tool("-c", "writ.yaml", "schema", "ddl")[1]
    database.execute("alter table owner drop age")
    status, _, errors = folder.tool("-c", "writ.yaml", "check")
    assert status == 1 and re.search(r"model\.graphql:5: error: Owner\.age: the table", errors)
    folder.file.write_text(PET_MODEL + "type Broken { name: Strin }\n")
    status, _, errors = folder.tool("-c", "writ.yaml", "check", "--offline")
    assert status == 1 and "model.graphql:17: error: Broken.name: there is no type, enum or scalar Strin" in errors


@pytest.mark.parametrize("schema, text", [
    ("schema: { file: ./nothing.graphql }", "nothing.graphql: error: cannot read it: No such file or directory"),
    ("schema: { file: . }", "error: cannot read it: Is a directory"),
    ("schema: { }", "manifest.yaml:2: error: schema: file: is missing"),
    ("schema: { file: ./model.graphql, datasource: other }", "datasource: other is not in writ.yaml"),
    ("schema: { fil: ./model.graphql }", "did you mean file?"),
    ("schema: ./model.graphql", "manifest.yaml:2: error: schema:"),
])
def test_manifest_mistakes(fresh, schema, text):
    status, _, errors = with_manifest(fresh(), PET_MODEL, schema).tool("-c", "writ.yaml", "check", "--offline")
    assert status == 1 and text in errors


@pytest.mark.parametrize("arguments, status, text", [
    (["schema"], 2, "usage: writ"),
    (["schema", "dll", "x"], 2, "not by dll"),
    (["schema", "introspect", "file"], 2, "takes no file"),
    (["schema", "ddl", "nothing.graphql"], 1, "cannot read it"),
    (["schema", "ddl", "--dry-run"], 2, "takes no --dry-run"),
    (["schema", "introspect", "--conninfo", "host=/nowhere"], 1, "DATABASE_UNAVAILABLE"),
])
def test_command_line(arguments, status, text):
    got, _, errors = Folder(None).tool(*arguments)
    assert got == status and text in errors


def test_examples_of_the_documentation(fresh):
    examples = re.findall(r"^```graphql\n(.*?)^```", (harness.SOURCE / "docs" / "datamodel.md").read_text(), re.M | re.S)
    assert len(examples) == 5
    for example in examples:
        folder = Folder(fresh(), example)
        folder.must("apply")
        assert "no difference" in folder.must("check")
