-- The demo: people, their pets, and an audit log. An ordinary schema; nothing in it is made for writ.

create table app_user (
  id          bigint generated always as identity primary key,
  username    text not null constraint username_is_taken unique,
  email       text constraint email_looks_right check (email like '%_@_%'),
  preferences jsonb not null default '{}',
  created_at  timestamptz not null default now()
);

create table pet (
  id    bigint generated always as identity primary key,
  owner bigint not null constraint pet_owner_exists references app_user on delete cascade,
  name  text not null,
  kind  text not null constraint kind_is_known check (kind in ('cat', 'dog', 'parrot', 'snake', 'spider')),
  tags  text[] not null default '{}'
);
create index on pet (owner);

create table audit (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default now(),
  -- writ tells SQL who is calling, in settings that last for the transaction.
  who     text not null default coalesce(nullif(current_setting('request.user', true), ''), 'nobody'),
  role    text not null default coalesce(nullif(current_setting('request.role', true), ''), 'none'),
  action  text not null,
  details jsonb
);

-- Who may do what, in PostgreSQL's own terms. The manifest maps the roles that nginx tells (anonymous, customer,
-- admin) to these; writ switches to one of them for each transaction, so grants and row-level security hold whatever
-- a command says. demo_writ is what writ logs in as: it may become each of them, and owns nothing.
create role demo_anonymous;
create role demo_customer;
create role demo_admin;
create role demo_writ login;
grant demo_anonymous, demo_customer, demo_admin to demo_writ;

grant select, insert on app_user to demo_anonymous;
grant insert on audit to demo_anonymous;

grant select on app_user to demo_customer;
grant update (username, email, preferences) on app_user to demo_customer;
grant select, insert, update, delete on pet to demo_customer;
grant insert on audit to demo_customer;

grant select, insert, update, delete on app_user, pet, audit to demo_admin;
-- Commands of a data model draw the keys of what they insert ahead of it.
grant usage on all sequences in schema public to demo_customer, demo_admin;

alter table app_user enable row level security;
alter table pet enable row level security;

-- A customer sees and changes what is theirs; request.user is the customer's id.
create policy anonymous on app_user to demo_anonymous using (true) with check (true);
create policy own on app_user to demo_customer using (id = nullif(current_setting('request.user', true), '')::bigint);
create policy own on pet to demo_customer using (owner = nullif(current_setting('request.user', true), '')::bigint);
create policy everything on app_user to demo_admin using (true);
create policy everything on pet to demo_admin using (true);
