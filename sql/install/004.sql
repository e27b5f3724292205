-- Schema writ, version 4: the state of mutations, as docs/state.md tells of it. Written by the login role of writd alone, mostly on
-- a connection of its own, so that others see how a mutation is going while its transaction is open.

-- The state of one mutation as a client sees it. Its row is locked for an instant by each change, and by nobody for longer.
create table writ.state (
  mutation uuid primary key,
  version bigint not null,                      -- 1, 2, 3 ... in the order of the commits
  caller bytea,                                 -- SHA-256 of who may read it; null: whoever knows the UUID
  status text not null,                         -- as in state: pending, running, complete, error, cancelled
  state jsonb not null,
  lease timestamptz,                            -- a process ends it until then, or is dead; null: it goes on by itself
  ended timestamptz,
  updated timestamptz not null default clock_timestamp()
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index state_lease on writ.state (lease) where ended is null and lease is not null;
create index state_ended on writ.state (ended) where ended is not null;
comment on table writ.state is 'How mutations are going. Old rows are cleaned away by writd.';

-- What one change was: {"event": {name, payload, at, attempt}, "set": {the members that changed, but events}}. The newest stay.
create table writ.state_change (
  mutation uuid not null,
  version bigint not null,                      -- that the change made
  change jsonb not null,
  primary key (mutation, version)
);
comment on table writ.state_change is 'What followers of a state are sent: its newest changes.';

-- Events that are true when and only when the transaction that wrote them was committed. They become part of the state behind
-- it: a transaction of the application must not hold the state's row, nor meet what was written to it meanwhile (40001); and what
-- was dispatched within it comes ahead of its end.
create table writ.state_mark (
  id bigint generated always as identity primary key,
  mutation uuid not null,
  attempt integer not null,
  name text not null,
  payload jsonb,
  at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index state_mark_mutation on writ.state_mark (mutation, id);
comment on table writ.state_mark is 'Committed ends of steps that are still to be told in writ.state: usually for an instant.';

-- An event of the application's own, from its SQL, for whoever follows the mutation: seen by others at once, whatever becomes of
-- the transaction. It travels as a notice to the worker, which writes it on another connection. Nothing is done where no state
-- is kept, and nothing that goes wrong with it harms the transaction.
create function writ.dispatch(name text, payload jsonb default null) returns void
language plpgsql volatile parallel unsafe as $$
declare
  detail text;
begin
  if coalesce(current_setting('writ.mutation', true), '') = '' then
    return;
  end if;
  detail := payload::text;
  if octet_length(detail) > 65536 then
    raise notice using errcode = 'WR002', message = coalesce(left(name, 64), ''), detail = 'null', hint = 'too large';
  else
    raise notice using errcode = 'WR002', message = coalesce(left(name, 64), ''), detail = coalesce(detail, 'null');
  end if;
end $$;
comment on function writ.dispatch(text, jsonb) is
  'Tells those who follow the mutation of an event, at once; does nothing where no state is kept.';

-- ---- for writd alone from here on ----

-- What the core makes of an event: the members that change. An event of another name changes nothing.
create function writ.state_core(state jsonb, name text, payload jsonb) returns jsonb
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

-- Applies one event to a state whose row is locked: the core's reducer, then the manifest's for this name, then its catch-all. A
-- reducer that fails is told as an event of its own. Gives the row as it has become; the change is stored.
create function writ.state_apply(s writ.state, attempt integer, name text, payload jsonb, at timestamptz, rules jsonb)
returns writ.state language plpgsql volatile as $$
declare
  core constant text[] := '{uuid,status,progress,steps,events,result,error}';
  -- The end's payload is a member of the state, and may be large.
  event jsonb := jsonb_build_object('name', name, 'payload', case when name !~ '^MUTATION_' then payload end, 'at',
                   to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'attempt', attempt);
  was jsonb := s.state;
  reducer record;
  members jsonb;
  faults text[] := '{}';
  fault text;
begin
  s.state := s.state || writ.state_core(s.state, name, payload);
  if s.state ->> 'status' = 'pending' and name <> 'REDUCER_FAILED' then -- it is at work, or who could tell of it?
    s.state := s.state || '{"status": "running"}';
  end if;
  s.state := jsonb_set(s.state, '{events}', (s.state -> 'events') || event);
  while jsonb_array_length(s.state -> 'events') > coalesce((rules ->> 'events')::integer, 50) loop
    s.state := s.state #- '{events,0}';
  end loop;
  for reducer in select rules -> 'reducers' ->> state_apply.name as function, payload as given where rules -> 'reducers' ? state_apply.name
                 union all select rules ->> 'all', event where rules ? 'all' loop
    begin
      execute format('select %s($1, $2)', reducer.function) into members using s.state, reducer.given;
      if jsonb_typeof(members) <> 'object' then
        raise exception 'it gave %, not an object', jsonb_typeof(members);
      end if;
      members := s.state || coalesce(members - core, '{}');
      if octet_length(members::text) > coalesce((rules ->> 'bytes')::integer, 262144) then
        raise exception 'the state would become larger than % bytes', coalesce((rules ->> 'bytes')::integer, 262144);
      end if;
      s.state := members;
    exception when others then
      faults := faults || format('%s: %s', reducer.function, left(sqlerrm, 200));
    end;
  end loop;
  s.status := s.state ->> 'status';
  s.ended := case when s.status in ('complete', 'error', 'cancelled') then coalesce(s.ended, clock_timestamp()) end;
  s.updated := clock_timestamp();
  s.version := s.version + 1;
  insert into writ.state_change (mutation, version, change)
  select s.mutation, s.version, jsonb_build_object('event', event, 'set', coalesce(jsonb_object_agg(m.key, m.value), '{}'))
    from jsonb_each(s.state) as m where m.key <> 'events' and m.value is distinct from was -> m.key;
  delete from writ.state_change c where c.mutation = s.mutation and c.version <= s.version - coalesce((rules ->> 'changes')::integer, 200);
  foreach fault in array faults loop
    s := writ.state_apply(s, attempt, 'REDUCER_FAILED', jsonb_build_object('event', name, 'reason', fault), at,
                          rules - array['reducers', 'all']);
  end loop;
  return s;
end $$;

-- The payload of an event. An answer has json of the application's own, of which jsonb does not take all ("\u0000", 1e200000): the
-- end comes without its result then, rather than not at all.
create function writ.state_payload(name text, payload text) returns jsonb
language plpgsql immutable as $$
begin
  return payload::jsonb;
exception when data_exception or program_limit_exceeded then
  if name !~ '^MUTATION_' then
    raise;
  end if;
  return null;
end $$;

-- Begins a state: pending, all steps known. A UUID that was used before is a unique violation. lasts_ms: how long the process has that
-- keeps it; null: it goes on by itself. Gives the version, 1; an initial function that fails is told as an event.
create function writ.state_new(mutation uuid, caller bytea, steps jsonb, rules jsonb, lasts_ms bigint default null) returns bigint
language plpgsql volatile as $$
declare
  s writ.state;
  initial jsonb := coalesce(rules -> 'initial', '{}');
  fault text;
begin
  if rules ? 'initial_function' then
    begin
      execute format('select %s($1)', rules ->> 'initial_function') into initial using mutation;
      if jsonb_typeof(initial) <> 'object' then
        raise exception 'it gave %, not an object', jsonb_typeof(initial);
      end if;
    exception when others then
      fault := format('%s: %s', rules ->> 'initial_function', left(sqlerrm, 200));
      initial := '{}';
    end;
  end if;
  s.mutation := mutation;
  s.version := 1;
  s.caller := caller;
  s.status := 'pending';
  s.state := (coalesce(initial, '{}') - '{result,error}'::text[]) ||
             jsonb_build_object('uuid', mutation, 'status', 'pending', 'progress', 0, 'steps', steps, 'events', '[]'::jsonb);
  s.lease := clock_timestamp() + make_interval(secs => lasts_ms / 1000.0);
  s.updated := clock_timestamp();
  insert into writ.state select s.*;
  if fault is not null then
    s := writ.state_apply(s, 1, 'REDUCER_FAILED', jsonb_build_object('event', 'initial', 'reason', fault), s.updated, rules - array['reducers', 'all']);
    update writ.state t set version = s.version, state = s.state, updated = s.updated where t.mutation = s.mutation;
  end if;
  return s.version;
end $$;

-- Applies one event; of name null none. What is the end of a step or of the mutation comes behind the marks that were left. An event of
-- the application's that comes behind the end changes nothing. Gives the version; null: there is no such state.
create function writ.state_event(mutation uuid, attempt integer, name text, payload jsonb, rules jsonb) returns bigint
language plpgsql volatile as $$
declare
  s writ.state;
  mark record;
  is_core constant boolean := name is null or name ~ '^(MUTATION|TRANSACTION)_';
begin
  select * into s from writ.state t where t.mutation = state_event.mutation for update;
  if not found then
    return null;
  end if;
  if is_core then
    -- A beginning may have been under way for long: it takes in what steps before have left, not what came behind it.
    for mark in with gone as (delete from writ.state_mark m where m.mutation = s.mutation
                                 and (state_event.name is distinct from 'TRANSACTION_CREATED' or (m.name = 'TRANSACTION_COMPLETED'
                                      and m.payload -> 'step' is distinct from state_event.payload -> 'step')) returning m.*)
                select * from gone order by gone.id loop
      s := writ.state_apply(s, mark.attempt, mark.name, mark.payload, mark.at, rules);
    end loop;
  end if;
  if name is not null and s.ended is null then
    s := writ.state_apply(s, attempt, name, payload, clock_timestamp(), rules);
  end if;
  update writ.state t set version = s.version, status = s.status, state = s.state, ended = s.ended, updated = s.updated
   where t.mutation = s.mutation and t.version <> s.version;
  return s.version;
end $$;

-- Takes in what a process has left behind that died: marks, and the end of a state that nobody keeps any more. Gives true when
-- there was something.
create function writ.state_settle(mutation uuid, rules jsonb) returns boolean
language plpgsql volatile as $$
declare
  s writ.state;
  version_was bigint;
  version_now bigint;
begin
  select * into s from writ.state t where t.mutation = state_settle.mutation for update;
  version_was := s.version;
  version_now := writ.state_event(mutation, 1, null, null, rules);
  select * into s from writ.state t where t.mutation = state_settle.mutation;
  if s.ended is not null or s.lease is null or s.lease > clock_timestamp() then
  elsif not exists (select from jsonb_array_elements(s.state -> 'steps') as x (step) where step ->> 'status' <> 'finished') then
    -- All was committed; only its result was not told any more.
    version_now := writ.state_event(mutation, 1, 'MUTATION_COMPLETED', '{}', rules);
  else
    version_now := writ.state_event(mutation, 1, 'MUTATION_ERROR', '{"error": {"code": "MUTATION_LOST", "status": 500, "retryable": true,
      "detail": "The process that ran it has ended; what was not committed by then was rolled back."}}', rules);
  end if;
  return version_now is distinct from version_was;
end $$;

revoke all on all tables in schema writ from public;
revoke all on all functions in schema writ from public;
grant execute on function writ.fail(text, text, integer) to public;
grant execute on function writ.assert(boolean, text, text, integer) to public;
grant execute on function writ.dispatch(text, jsonb) to public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 4';
grant execute on function writ.version() to public;
