-- Schema writ, version 1: what writ's statements call to refuse. Run by `writ install` as the database's owner, in one
-- transaction. Nothing here needs rights of its own: no SECURITY DEFINER, no tables that a role could write.
--
-- Errors travel as SQLSTATE WR000 with MESSAGE, DETAIL = the code and HINT = the HTTP status; writ takes them apart again.

create schema if not exists writ;
comment on schema writ is 'Functions of writ, the write API. Installed and upgraded by `writ install`.';

-- Refuses: ends the transaction with an error of one's own. Gives text only so that it can stand in an expression.
create function writ.fail(code text, message text, status integer default 422) returns text
language plpgsql volatile parallel safe as $$
begin
  raise exception using errcode = 'WR000', message = coalesce(message, code, 'refused'), detail = coalesce(code, 'CHECK_FAILED'),
    hint = coalesce(status, 422)::text;
end $$;
comment on function writ.fail(text, text, integer) is
  'Refuses the whole transaction; the client gets code, message and HTTP status (400..599).';

-- Refuses unless condition is true; null is not true.
create function writ.assert(condition boolean, code text, message text, status integer default 422) returns boolean
language plpgsql volatile parallel safe as $$
begin
  if condition is not true then
    perform writ.fail(code, message, status);
  end if;
  return true;
end $$;
comment on function writ.assert(boolean, text, text, integer) is
  'Refuses the whole transaction, as writ.fail does, unless condition is true.';

-- Which version is installed: what workers look at before they serve.
create function writ.version() returns integer language sql immutable parallel safe as 'select 1';

revoke all on schema writ from public;
grant usage on schema writ to public;
revoke all on all functions in schema writ from public;
grant execute on function writ.fail(text, text, integer) to public;
grant execute on function writ.assert(boolean, text, text, integer) to public;
grant execute on function writ.version() to public;
