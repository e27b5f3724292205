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

revoke all on all tables in schema writ from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 2';
