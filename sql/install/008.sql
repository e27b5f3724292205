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

-- As in version 4, but that what is finished does not begin again.
create or replace function writ.state_core(state jsonb, name text, payload jsonb) returns jsonb
language plpgsql immutable as $$
declare
  steps jsonb := state -> 'steps';
  n integer := jsonb_array_length(steps);
  finished integer;
  i integer;  -- the step that it is about, from 0
  step jsonb;
  value numeric;
  body jsonb := case when jsonb_typeof(payload) = 'object' then payload else '{}' end;
begin
  case name
  when 'MUTATION_COMPLETED' then
    -- Of an answer: {"result": ...} or {"results": [...]}. Without one the result is not known.
    return '{"status": "complete", "progress": 1}'::jsonb || case when body ?| '{result,results}'
      then jsonb_build_object('result', coalesce(body -> 'result', body -> 'results')) else '{}' end;
  when 'MUTATION_ERROR' then
    return jsonb_build_object('status', 'error', 'error', body -> 'error');
  when 'MUTATION_CANCELLED' then
    return jsonb_build_object('status', 'cancelled') || coalesce(nullif(jsonb_build_object('error', body -> 'error'), '{"error": null}'), '{}');
  when 'TRANSACTION_CREATED', 'TRANSACTION_COMPLETED', 'TRANSACTION_ERROR', 'PROGRESS_UPDATE' then
  else
    return '{}';
  end case;

  select o - 1 into i from jsonb_array_elements(steps) with ordinality as x (s, o)
   where case when body ? 'step' then s -> 'id' = body -> 'step'
              else name = 'PROGRESS_UPDATE' and s ->> 'status' in ('processing', 'pending') end
   order by s ->> 'status' = 'processing' desc, o limit 1;
  step := coalesce(steps -> i, '{}');
  case name
  when 'TRANSACTION_CREATED' then
    if step ->> 'status' = 'finished' then -- it comes behind the step's own end, which came with the beginning of another
      return '{}';
    end if;
    step := (step - 'error' - 'current') || '{"status": "processing"}';
  when 'TRANSACTION_COMPLETED' then
    step := (step - 'error' - 'current') || '{"status": "finished"}' ||
            case when body ? 'data' then jsonb_build_object('data', body -> 'data') else '{}' end;
  when 'TRANSACTION_ERROR' then
    step := step || jsonb_build_object('status', 'error', 'error', body -> 'error');
  else
    if jsonb_typeof(body -> 'value') = 'number' then
      value := (body ->> 'value')::numeric;
    elsif jsonb_typeof(body -> 'progress') = 'number' then
      value := (body ->> 'progress')::numeric;
    else
      return '{}';
    end if;
    value := round(least(greatest(value, 0), 1), 4);
    step := step || jsonb_build_object('status', 'processing', 'current', trim_scale(value));
  end case;
  if i is not null then
    steps := jsonb_set(steps, array[i::text], step);
  end if;
  select count(*) filter (where s ->> 'status' = 'finished') into finished from jsonb_array_elements(steps) as x (s);
  return jsonb_build_object('steps', steps,
                            'progress', trim_scale(round((finished + coalesce(value, 0)) / greatest(n, 1), 4)));
end $$;

revoke all on all tables in schema writ from public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 8';
