-- Schema writ, version 6: GraphQL documents that are known by their hash.

create table writ.document (
  hash bytea primary key,                       -- SHA-256 of the text
  text text not null,
  known boolean not null default false,         -- stored by `writ schema persist`; else by a client, and deleted when unused
  created timestamptz not null default now(),
  used timestamptz not null default now(),      -- about: counted again after an hour at the soonest
  check (hash = pg_catalog.sha256(pg_catalog.convert_to(text, 'UTF8')))
);
create index document_used on writ.document (used) where not known;
comment on table writ.document is 'GraphQL documents by hash: those of writ schema persist, and those that clients had stored (Apollo''s persisted queries).';

revoke all on writ.document from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 6';
