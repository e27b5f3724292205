-- For an empty database, before `writ install`. The role writ is what writd logs in as.
create table app_user (
  id bigint generated always as identity primary key,
  username text not null unique,
  email text not null,
  verified boolean not null default false
);
grant select, insert on app_user to writ;
