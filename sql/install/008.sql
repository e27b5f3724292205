-- Schema writ, version 8: durable mutations whose steps are on several datasources. The row of a mutation is in one database, its
-- home. A step elsewhere commits its writes together with a row there, which alone says that it is done, until the home has heard.

-- Which database this is, for rows elsewhere that belong to mutations of this one: names of datasources are each writd's own.
create table writ.installation (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid()
);
insert into writ.installation default values;
comment on table writ.installation is 'A name of this database that no other has.';

-- A step, done here, of a mutation whose row is elsewhere. Without a result it is a fence: tries older than the attempt have to stay
-- out. It is kept while its home may ask for it, and six hours at least: a try that was stopped for longer than a part of that is refused
-- for its age, so none can find the row gone.
create table writ.mutation_step (
  mutation uuid not null,
  step integer not null,
  born uuid not null,                           -- as of the mutation
  home uuid not null,                           -- writ.installation of the mutation's
  attempt integer not null,                     -- of those that have begun it here, the newest
  result json,                                  -- what it gave; null: it is not done
  due timestamptz not null default now() + interval '6 hours', -- when its home is asked whether it still needs it
  primary key (mutation, step, born)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index mutation_step_due on writ.mutation_step (due);
comment on table writ.mutation_step is 'Steps, done here, of durable mutations of other databases.';

-- The datasource on which the step after those done was begun, where that is another one and its end is not known here yet.
alter table writ.mutation add away text;

-- What a client names is not taken twice while its row is there; this never is. Null, of older ones: as the id.
alter table writ.mutation add born uuid, alter born set default gen_random_uuid();

revoke all on all tables in schema writ from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 8';
