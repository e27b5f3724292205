-- A ledger whose truth is the event log: the one table is made of events, and can be made again at any time.
create schema ledger;
create table ledger.balance (
  account text primary key,
  balance numeric not null,
  events bigint not null           -- of this account
);

-- What an event does to the balance of its account.
create function ledger.amount(name text, payload jsonb) returns numeric language sql immutable parallel safe as $$
  select case name when 'deposited' then 1 when 'withdrawn' then -1 else 0 end * coalesce((payload ->> 'amount')::numeric, 0)
$$;

-- The projection: fed with events in the order of the log. One statement for a batch.
create function ledger.project(events jsonb) returns void language sql as $$
  insert into ledger.balance as b (account, balance, events)
    select e ->> 'key', sum(ledger.amount(e ->> 'name', e -> 'payload')), count(*)
      from jsonb_array_elements(events) e
     group by 1 order by 1
  on conflict (account) do update set balance = b.balance + excluded.balance, events = b.events + excluded.events
$$;

-- What an account has at this moment: what is projected, and the events that are not yet. One statement sees all of it as of one
-- moment, so nothing is missed and nothing counted twice.
create function ledger.standing(account text, out opened boolean, out balance numeric) language sql stable as $$
  select count(*) > 0, coalesce(sum(s.amount), 0) from (
    select b.balance as amount from ledger.balance b where b.account = $1
    union all
    select ledger.amount(e.name, e.payload) from writ.event e
     where e.key = $1 and e.position > coalesce((select p.position from writ.projection p where p.name = 'balance'), 0)
    union all
    select ledger.amount(e.name, e.payload) from writ.event_new e where e.key = $1) s
$$;

-- Decides: gives the account, or refuses.
create function ledger.open(account text) returns text language plpgsql as $$
begin
  if (ledger.standing(account)).opened then
    perform writ.fail('ACCOUNT_EXISTS', 'There is such an account already.', 409);
  end if;
  return account;
end $$;

-- Decides: gives the balance that there will be, or refuses. Events are appended at the end of a transaction, so what earlier
-- commands of the same set have decided is kept in a setting of the transaction.
create function ledger.book(account text, amount numeric) returns numeric language plpgsql as $$
declare
  pending jsonb := coalesce(nullif(current_setting('ledger.pending', true), ''), '{}');
  now record := ledger.standing(account);
  after numeric := now.balance + coalesce((pending ->> account)::numeric, 0) + amount;
begin
  if not now.opened then
    perform writ.fail('NO_SUCH_ACCOUNT', 'There is no such account.', 404);
  elsif after < 0 then
    perform writ.fail('INSUFFICIENT_FUNDS', 'There is not enough on that account.', 409);
  end if;
  perform set_config('ledger.pending', (pending || jsonb_build_object(account, coalesce((pending ->> account)::numeric, 0) + amount))::text,
                     true);
  return after;
end $$;

-- writ is the role that writd logs in as.
grant usage on schema ledger to writ;
grant select, insert, update, delete, truncate on ledger.balance to writ;
