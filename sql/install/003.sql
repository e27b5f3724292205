-- Schema writ, version 3: durable mutations. What was accepted to be run is a row here before that is answered; runners take it,
-- one transaction a step, in which the step's writes and its mark stand together.

-- One mutation: the request, who asked, how far it is, who runs it. While a step's transaction is open it has the lock on this
-- row; so nothing that others must write meanwhile may stand here (a cancellation, the state).
create table writ.mutation (
  id uuid primary key,
  due timestamptz not null default now(),       -- claimed no sooner; with an owner, the end of its lease
  created timestamptz not null default now(),
  deadline timestamptz,                         -- it is given up then; null: never
  ended timestamptz,                            -- null: not yet
  owner uuid,                                   -- of the lease: another with each claim
  parent uuid,                                  -- whose continuation this is
  retry_of uuid,                                -- which one that failed this is once more
  step integer not null default 0,              -- so many are done
  attempts integer not null default 0,          -- that failed, at the step after those
  dead boolean not null default false,          -- ended because all attempts were used up
  outcome text check (outcome in ('complete', 'error', 'cancelled')),
  command text not null,
  args json not null,                           -- the arguments object, as it was sent
  role text not null,                           -- who asked, as at that time
  caller_user text,
  claims text,
  request_id text not null,
  key text,                                     -- Idempotency-Key; null: none
  answer text,                                  -- what was answered, or would have been: the whole body
  error json,                                   -- the one error (RFC 9457): of the end, or of the last attempt
  check ((ended is null) = (outcome is null))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000,
        toast.autovacuum_vacuum_cost_delay = 0);
create index mutation_due on writ.mutation (due) where ended is null;
create index mutation_ended on writ.mutation (ended) where ended is not null;
create unique index mutation_retry_of on writ.mutation (retry_of) where retry_of is not null; -- once: the retry itself may be retried
create index mutation_parent on writ.mutation (parent) where parent is not null;
comment on table writ.mutation is 'Mutations that are run in the background, and those with a key of several transactions: see writ jobs.';

-- What steps gave that were not the last: for references of later ones.
create table writ.mutation_result (
  mutation uuid not null,
  step integer not null,
  result json not null,
  primary key (mutation, step)
);
comment on table writ.mutation_result is 'Results of steps of durable mutations, while others follow them.';

-- Asked to stop before the next step. A row of its own, as the mutation's is locked while a step is at work.
create table writ.mutation_cancel (
  mutation uuid primary key,
  created timestamptz not null default now()
);
comment on table writ.mutation_cancel is 'Durable mutations that are to stop before their next step.';

-- The key of a durable mutation names it in place of an answer, which comes later and is the mutation's.
alter table writ.idempotency add mutation uuid, alter answer drop not null,
  add check (num_nonnulls(answer, mutation) = 1);
create index idempotency_mutation on writ.idempotency (mutation) where mutation is not null;

revoke all on all tables in schema writ from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 3';
