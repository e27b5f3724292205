-- The tables of the benchmark. Everything that is measured writes to these.
create table app_user (
  id bigint generated always as identity primary key,
  username text unique not null,
  email text
);
create table audit (
  id bigint generated always as identity primary key,
  user_id bigint references app_user,
  action text,
  at timestamptz default now()
);
create table item (
  id bigint generated always as identity primary key,
  name text,
  n int
);
create table blocked (name text primary key);
