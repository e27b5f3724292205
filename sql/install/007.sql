-- Schema writ, version 7: fields of one operation may have states of their own, so a notice says whose event it is. The worker cannot
-- tell by when it comes: libpq reads ahead.

create or replace function writ.dispatch(name text, payload jsonb default null) returns void
language plpgsql volatile parallel unsafe as $$
declare
  mutation text := current_setting('writ.mutation', true);
  detail text;
begin
  if coalesce(mutation, '') = '' then
    return;
  end if;
  detail := payload::text;
  if octet_length(detail) > 65536 then
    raise notice using errcode = 'WR002', message = coalesce(left(name, 64), ''), detail = 'null', hint = 'too large', constraint = mutation;
  else
    raise notice using errcode = 'WR002', message = coalesce(left(name, 64), ''), detail = coalesce(detail, 'null'), constraint = mutation;
  end if;
end $$;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 7';
