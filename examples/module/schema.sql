-- The table of the example. writ is the role that writd logs in as.
create table app_user (
  id bigint generated always as identity primary key,
  username text not null unique,
  email text not null
);
grant select, insert on app_user to writ;
