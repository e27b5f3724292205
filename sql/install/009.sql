-- Schema writ, version 9: the event log in partitions; states of mutations that are bounded.

-- ---- the event log ----

-- What version 5 made becomes the first partition as it stands. It is read once, as PostgreSQL looks whether it keeps to its bounds.
alter table writ.event rename to event_1;
alter index writ.event_pkey rename to event_1_pkey;
alter index writ.event_name rename to event_1_name;
alter index writ.event_key rename to event_1_key;

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
) partition by range (position);
create index event_name on writ.event (name, position);
create index event_key on writ.event (key, position) where key is not null;
comment on table writ.event is
  'The event log: every committed event once, by position, in partitions. GET /events and projections read it.';
comment on table writ.event_1 is null;

-- The partitions, and which positions each is for.
create function writ.event_partitions() returns table (name text, first bigint, last bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.relname::text, b.bounds[1]::bigint, b.bounds[2]::bigint - 1
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
   cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') as b (bounds)
   where i.inhparent = 'writ.event'::regclass order by 2
$$;
comment on function writ.event_partitions() is 'The partitions of the event log, and the positions that each is for.';

create function writ.event_last() returns bigint language sql stable set search_path = pg_catalog, pg_temp as $$
  select greatest(t.position, (select max(position) from writ.event)) from writ.event_tail t
$$;
comment on function writ.event_last() is 'The last position that was given.';

-- Makes partitions for so many positions ahead that have none yet, each of `size` positions or what is left between others, a hundred at
-- most. Gives the last position that has a partition. It has the rights of who installed it, as tables are their owner's to change, and
-- the login role owns none. Nobody waits for it: what it locks keeps only others of its kind away.
create function writ.event_extend(size bigint, ahead bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
  here bigint;
  upto bigint;     -- all from here to below it have a partition
  behind bigint;
  part record;
  made integer := 0;
begin
  if size is null or size < 1 or size > 1000000000000 or ahead is null or ahead < 1 or ahead > 1000000000000 then
    raise exception 'size and ahead are from 1 to 1000000000000';
  end if;
  for try in 1..2 loop -- a look first, which as a rule finds that there is nothing to do
    here := writ.event_last() + 1;
    upto := here;
    for part in select p.first, p.last from writ.event_partitions() p where p.last >= here
                union all select 9223372036854775807, 9223372036854775807 order by 1 loop
      while try = 2 and upto < part.first and upto < here + ahead and made < 100 loop
        behind := least(part.first, (upto - 1) / size * size + size + 1);
        -- Attached, not made as a partition, which would lock the log against its readers.
        execute format('create table writ.%I (like writ.event including defaults) with (autovacuum_vacuum_insert_scale_factor = 0, '
                       'autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_scale_factor = 0.01, '
                       'autovacuum_vacuum_threshold = 10000)', 'event_' || upto);
        execute format('alter table writ.event attach partition writ.%I for values from (%L) to (%L)', 'event_' || upto, upto, behind);
        upto := behind;
        made := made + 1;
      end loop;
      exit when upto < part.first;
      upto := part.last + 1;
    end loop;
    exit when upto >= here + ahead or try = 2;
    lock table only writ.event in share update exclusive mode; -- others that make partitions, and nobody else
  end loop;
  return upto - 1;
end $$;
comment on function writ.event_extend(bigint, bigint) is 'Makes partitions of the event log for positions to come.';

-- Drops the first partition that is wholly below the tail: true; null: it is in use, and is to be tried again; false: there is none. Nobody waits for this behind a reader that takes its time: the log is locked when nobody has it at
-- the moment; only where others come and go all the while is there a wait of 50 ms at most, in which new ones wait too.
create function writ.event_shrink() returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
  old record;
  users text[];
begin
  select p.name into old from writ.event_partitions() p where p.last <= (select t.position from writ.event_tail t) order by p.first limit 1;
  if not found then
    return false;
  end if;
  for try in 1..10 loop
    begin
      if try = 1 then
        select array_agg(l.virtualtransaction) into users from pg_locks l where l.locktype = 'relation' and l.granted
           and l.relation = 'writ.event'::regclass and l.database = (select d.oid from pg_database d where d.datname = current_database());
      end if;
      if try < 10 then
        lock table only writ.event in access exclusive mode nowait;
      elsif exists (select from pg_locks l where l.locktype = 'relation' and l.relation = 'writ.event'::regclass and l.granted
                       and l.virtualtransaction = any (users) and l.pid <> pg_backend_pid()) then
        return null;
      else
        lock table only writ.event in access exclusive mode;
      end if;
      execute format('lock table writ.%I in access exclusive mode nowait', old.name);
      execute format('drop table writ.%I', old.name);
      perform set_config('synchronous_commit', 'off', true); -- no standby is waited for while the log is locked
      return true;
    exception when lock_not_available or undefined_table then -- another one may have dropped it
      perform pg_sleep(0.01 + random() * 0.02);
    end;
  end loop;
  return null;
end $$;
comment on function writ.event_shrink() is 'Drops a partition of the event log of which everything has been cleaned away.';

revoke all on function writ.event_partitions(), writ.event_last(), writ.event_extend(bigint, bigint), writ.event_shrink() from public;

-- Who had the log has it; who wrote it may ask for partitions. And room for a writd of before that gives positions until it is replaced.
do $$
declare
  acl record;
  log_owner constant name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = 'writ.event_1'::regclass);
  gone constant bigint := (select position from writ.event_tail);
  top constant bigint := (select max(position) from writ.event_1);
begin
  execute format('alter table writ.event owner to %I', log_owner);
  execute format('alter function writ.event_extend(bigint, bigint) owner to %I', log_owner);
  execute format('alter function writ.event_shrink() owner to %I', log_owner);
  for acl in select a.privilege_type as privilege, case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
               from pg_class c, aclexplode(c.relacl) a where c.oid = 'writ.event_1'::regclass and a.grantee <> c.relowner loop
    execute format('grant %s on writ.event to %s', acl.privilege, acl.role);
    if acl.privilege = 'INSERT' then
      execute format('grant execute on function writ.event_partitions(), writ.event_last(), writ.event_extend(bigint, bigint), '
                     'writ.event_shrink() to %s', acl.role);
    end if;
  end loop;
  if top is null then
    drop table writ.event_1;
  else
    execute format('alter table writ.event attach partition writ.event_1 for values from (%L) to (%L)', least(gone + 1, 1), top + 1);
    perform writ.event_extend(1000000, 1000000);
  end if;
end $$;

-- What /metrics counts.
create index mutation_dead on writ.mutation (ended) where dead;

-- ---- states ----

-- The payload of an event of writ's own, bounded, as each change writes the whole of a state: a result that is longer than states may be is
-- left out, before anything is made of it, and an error is cut. An answer has json of the application's own, of which jsonb does not take
-- all ("\u0000", 1e200000): the end comes without its result then, rather than not at all.
create or replace function writ.state_payload(name text, payload text) returns jsonb
language plpgsql immutable as $$
declare
  most constant integer := 262144;  -- MANIFEST_STATE_BYTES
  body jsonb;
begin
  if octet_length(payload) > most and name = 'MUTATION_COMPLETED' then
    return jsonb_build_object('result_omitted', jsonb_build_object('bytes', octet_length(payload)));
  end if;
  body := payload::jsonb;
  if octet_length(payload) > most and name in ('MUTATION_ERROR', 'MUTATION_CANCELLED', 'TRANSACTION_ERROR') then
    body := body || jsonb_build_object('error', (select jsonb_object_agg(m.key, case when octet_length(m.value::text) <= 4000 then m.value
      else to_jsonb(left(m.value #>> '{}', 1000) || '...') end) from jsonb_each(body -> 'error') m
     where octet_length(m.value::text) <= 4000 or jsonb_typeof(m.value) = 'string'));
  end if;
  return body;
exception when data_exception or program_limit_exceeded then
  if name !~ '^MUTATION_' then
    raise;
  end if;
  return null;
end $$;

-- As in version 4, but for result_omitted, and for steps that are begun again or left.
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
      then jsonb_build_object('result', coalesce(body -> 'result', body -> 'results')) else '{}' end
      || case when body ? 'result_omitted' then jsonb_build_object('result_omitted', body -> 'result_omitted') else '{}' end;
  when 'MUTATION_ERROR', 'MUTATION_CANCELLED' then
    -- A step that was begun, and of which no error was told, was put off: nothing of it is done.
    select coalesce(jsonb_agg(case when s ->> 'status' = 'processing' then (s - 'current') || '{"status": "pending"}' else s end order by o), '[]')
      into steps from jsonb_array_elements(steps) with ordinality as x (s, o);
    if name = 'MUTATION_ERROR' then
      return jsonb_build_object('status', 'error', 'error', body -> 'error', 'steps', steps);
    end if;
    return jsonb_build_object('status', 'cancelled', 'steps', steps) ||
           coalesce(nullif(jsonb_build_object('error', body -> 'error'), '{"error": null}'), '{}');
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

-- As in version 4, but for result_omitted.
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

-- As in version 4, but for result_omitted.
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
    exception when others then
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

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 9';
