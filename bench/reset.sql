-- Before each measurement: the same tables for everybody, neither empty nor carrying the rows of the one before.
truncate app_user, audit, item restart identity;
insert into app_user (username, email)
  select 'seed' || i, 'seed' || i || '@example.org' from generate_series(1, 10000) i;
insert into audit (user_id, action) select i, 'seed' from generate_series(1, 10000) i;
insert into item (name, n) select 'seed' || i, i from generate_series(1, 10000) i;
analyze app_user, audit, item;
