-- Schema writ, version 11: limits of a result that are looked at only when it is long enough to be beyond them.

-- Gives back r, the JSON text of one node, unless it has a list of more than most_rows nodes, or more than most_bytes itself. lists: which
-- members are lists, by their names in r: {"posts": "posts", "boss": {"team": "staff"}}; a text is a list and says what the message calls
-- it, an object is a node that has some. Each level is taken apart once, however many lists there are. made: the model whose node was made,
-- and so must not be null; NULL: it may be.
create function writ.limited(r text, command text, most_bytes integer, most_rows integer, lists json, made text) returns text
language plpgsql volatile parallel safe as $$
declare
  long text;
begin
  if made is not null and coalesce(r, 'null') = 'null' then
    perform writ.fail('FORBIDDEN', format('The node of %s cannot be read once it is written: a policy hides it from the caller, or a trigger '
                                          'gave it another key or kept it out.', made), 403);
  end if;
  -- Each node begins so: with few of them no list is long, whatever else begins so. Much quicker than what follows.
  if octet_length(r) <= most_bytes and (octet_length(r) - octet_length(replace(r, '{"', ''))) / 2 <= most_rows then
    return r;
  end if;
  with recursive found (place, value, list) as (
    select '{}'::bigint[], limited.r::json, limited.lists
    union all
    select f.place || l.place, v.value, l.list
      from found as f, json_each(case json_typeof(f.list) when 'object' then f.list end) with ordinality as l (name, list, place),
           json_each(case json_typeof(f.value) when 'object' then f.value end) as v (name, value)
     where v.name = l.name)
  select f.list #>> '{}' into long from found as f
   where case json_typeof(f.list) when 'string' then json_array_length(f.value) > most_rows end order by f.place limit 1;
  if long is not null then
    perform writ.fail('TOO_MANY_ROWS', format('The list "%s" has more than %s nodes: ask for fewer with "first".', long, most_rows));
  elsif octet_length(r) > most_bytes then
    perform writ.fail('TOO_LARGE', format('The result of "%s" is larger than %s bytes.', command, most_bytes));
  end if;
  return r;
end $$;
comment on function writ.limited(text, text, integer, integer, json, text) is 'Holds the result of a query or mutation of a data model against its limits.';

grant execute on function writ.limited(text, text, integer, integer, json, text) to public;

create or replace function writ.version() returns integer language sql immutable parallel safe as 'select 11';
