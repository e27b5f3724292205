-- Schema writ, version 10: states that tell of steps in their order, and reducers that may fail by ASSERT.

-- As in version 9, but that ASSERT, which is not among "others", is a failure of the reducer's like any.
create or replace function writ.state_apply(s writ.state, attempt integer, name text, payload jsonb, at timestamptz, rules jsonb)
returns writ.state language plpgsql volatile as $$
declare
  core constant text[] := '{uuid,status,progress,steps,events,result,result_omitted,error}';
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
    exception when others or assert_failure then
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

-- The same of the initial function.
create or replace function writ.state_new(mutation uuid, caller bytea, steps jsonb, rules jsonb, lasts_ms bigint default null) returns bigint
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
    exception when others or assert_failure then
      fault := format('%s: %s', rules ->> 'initial_function', left(sqlerrm, 200));
      initial := '{}';
    end;
  end if;
  s.mutation := mutation;
  s.version := 1;
  s.caller := caller;
  s.status := 'pending';
  s.state := (coalesce(initial, '{}') - '{result,result_omitted,error}'::text[]) ||
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

-- As in version 4, but that a beginning takes in the ends of steps ahead of its own alone: of quick steps those behind it may be done, too.
create or replace function writ.state_event(mutation uuid, attempt integer, name text, payload jsonb, rules jsonb) returns bigint
language plpgsql volatile as $$
declare
  s writ.state;
  mark record;
  ahead jsonb;  -- the ids of steps ahead of the one that begins
  is_core constant boolean := name is null or name ~ '^(MUTATION|TRANSACTION)_';
begin
  select * into s from writ.state t where t.mutation = state_event.mutation for update;
  if not found then
    return null;
  end if;
  if is_core then
    -- A beginning may have been under way for long: it takes in what steps before have left, not what came behind it.
    if name = 'TRANSACTION_CREATED' then
      select coalesce(jsonb_agg(step -> 'id'), '[]') into ahead from jsonb_array_elements(s.state -> 'steps') with ordinality as x (step, o)
       where o < (select i from jsonb_array_elements(s.state -> 'steps') with ordinality as y (own, i)
                   where own -> 'id' = state_event.payload -> 'step' limit 1);
    end if;
    for mark in with gone as (delete from writ.state_mark m where m.mutation = s.mutation
                                 and (state_event.name is distinct from 'TRANSACTION_CREATED' or (m.name = 'TRANSACTION_COMPLETED'
                                      and ahead ? (m.payload ->> 'step'))) returning m.*)
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

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 10';
