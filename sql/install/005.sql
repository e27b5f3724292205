-- Schema writ, version 5: the event log. Domain events are facts: one is here when and only when the transaction that it tells
-- of was committed. All tables are the login role's, as those before.

-- What transactions append to, and the sequencer empties: rows here are committed or about to be, and have no position yet.
-- seq is drawn when a row is written: who waited for another transaction, or began when its commit was acknowledged, has a
-- higher one. Numbers of transactions that were rolled back are missing, and a lower one may become visible later.
create table writ.event_new (
  seq bigint generated always as identity primary key,
  name text not null,
  key text,
  payload jsonb not null,
  at timestamptz not null default clock_timestamp(),
  command text not null,
  role text not null,
  caller_user text,
  traceparent text,
  mutation uuid not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000,
        toast.autovacuum_vacuum_cost_delay = 0);
comment on table writ.event_new is 'Events without a position yet: the sequencer moves them to writ.event.';

-- The log, which readers read: rows are only ever added behind the last one, and only by one transaction at a time, so a
-- position that is visible has all below it visible too. Positions have no gaps. What is old is deleted from the front.
create table writ.event (
  position bigint primary key,
  seq bigint not null,
  name text not null,
  key text,
  payload jsonb not null,
  at timestamptz not null,
  command text not null,
  role text not null,
  caller_user text,
  traceparent text,
  mutation uuid not null
) with (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
create index event_name on writ.event (name, position);
create index event_key on writ.event (key, position) where key is not null;
comment on table writ.event is 'The event log: every committed event once, by position. GET /events and projections read it.';

-- Up to where the log was deleted: positions go on behind it even when the log is empty.
create table writ.event_tail (
  position bigint not null default 0
);
create unique index event_tail_one on writ.event_tail ((true));
insert into writ.event_tail default values;
comment on table writ.event_tail is 'The last position that was cleaned away; 0: none. One row.';

-- How far a projection has come: moved in the transaction that does the projection's own writes.
create table writ.projection (
  name text primary key,
  position bigint not null default 0,           -- the last event that it has seen
  updated timestamptz not null default now(),
  failed_at bigint,                             -- the position of the event at which it stands; null: it does not
  failed_since timestamptz,
  error text
);
comment on table writ.projection is 'How far each projection of the manifest has come: see writ projection.';

-- Readers of the log that ask for it to be kept until they have been there.
create table writ.event_reader (
  name text primary key,
  position bigint not null,
  updated timestamptz not null default now()
);
comment on table writ.event_reader is 'Named readers of the event log, kept by writ.reader(): nothing behind them is cleaned away.';

-- "Up to here I have it all": the reader of this name needs nothing up to position, and all behind it. Position null: it is
-- gone. The lock keeps the cleaning away until the transaction ends. Has no rights of its own: who calls it needs those on the
-- tables.
create function writ.reader(name text, "position" bigint) returns bigint
language plpgsql volatile as $$
declare
  gone bigint;
begin
  if reader.position is null then
    delete from writ.event_reader r where r.name = reader.name;
    return null;
  end if;
  select t.position into gone from writ.event_tail t for share;
  if reader.position < gone then
    perform writ.fail('EVENTS_GONE', 'Events up to position ' || gone || ' have been cleaned away.', 409);
  end if;
  insert into writ.event_reader as r (name, position) values (reader.name, reader.position)
    on conflict on constraint event_reader_pkey do update set position = excluded.position, updated = now();
  return reader.position;
end $$;
comment on function writ.reader(text, bigint) is
  'Says how far a named reader of the event log has come; cleaning keeps what is behind it. Null: forget the reader.';

revoke all on all tables in schema writ from public;
revoke all on function writ.reader(text, bigint) from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 5';
