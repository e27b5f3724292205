-- Schema writ, version 2: the tables of "exactly once". They are written by the login role of writd alone, ahead of and behind
-- the statements of the application, which run as the caller's role; `writ install` grants that one role what it needs.

-- A keyed request that was applied, with its answer: in the same transaction as what it wrote. Found again by id, whatever the
-- lengths of role, user and key; fingerprint tells another request with the same key.
create table writ.idempotency (
  id bytea primary key,                         -- SHA-256 of the caller's role, who it is, and the key
  key text not null,                            -- as the client sent it, for people
  fingerprint bytea not null,                   -- SHA-256 of what was asked for
  answer text not null,                         -- the body that was answered, byte for byte
  created timestamptz not null default now()
);
create index idempotency_created on writ.idempotency (created);
comment on table writ.idempotency is 'Answers of requests that came with an Idempotency-Key. Old rows are cleaned away by writd.';

-- What after-hooks are to be told: an outbox, written in the transaction of the work that it tells of, emptied by the
-- runners. What was delivered is deleted at once; what is here is still to be done, or a dead letter.
create table writ.outbox (
  id bigint generated always as identity primary key, -- the order of one key's items
  due timestamptz not null default now(),       -- claimed no sooner; with an owner, the end of its lease
  created timestamptz not null default now(),
  dead timestamptz,                             -- a dead letter since then
  last_try timestamptz,
  mutation uuid not null,
  owner uuid,                                   -- of the lease: another with each claim
  attempts integer not null default 0,          -- that failed
  last_status integer,                          -- of HTTP, at the last of them; null: there was no answer
  held boolean not null default false,          -- put off behind another item of its key, whose end makes it due
  hook text not null,                           -- its name; the manifest says where that is
  key text,                                     -- items of one hook and key are delivered in order; null: no order
  last_answer text,                             -- its beginning, or why there was none
  payload text not null                         -- the body, byte for byte
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000,
        toast.autovacuum_vacuum_cost_delay = 0);
-- Each question of the runners has its index, and must not be answered by another one that statistics make look as good at the
-- moment: by walking the primary key, say. Hence id + 0, and id > 0, which only one of them knows.
create index outbox_due on writ.outbox (hook, due) where dead is null;
create index outbox_key on writ.outbox (hook, key, (id + 0)) where key is not null and dead is null;
create index outbox_leased on writ.outbox (hook, key) where key is not null and dead is null and owner is not null;
create index outbox_dead_key on writ.outbox (hook, key) where key is not null and dead is not null;
create index outbox_dead on writ.outbox (dead) where dead is not null and id > 0;
comment on table writ.outbox is 'After-hooks still to be called, and those that failed for good: see writ jobs.';

revoke all on all tables in schema writ from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 2';
