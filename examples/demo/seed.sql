-- 3,000 people, 5,000 pets. The same at every run, so that the demo knows which answers are right.

insert into app_user (username, email, preferences, created_at)
select 'user' || n,
       'user' || n || '@example.org',
       jsonb_build_object('newsletter', n % 3 = 0, 'language', (array['en', 'de', 'eo', 'nl'])[1 + n % 4]),
       timestamptz '2026-01-01 00:00+00' + n * interval '97 minutes'
from generate_series(1, 3000) as n;

insert into pet (owner, name, kind, tags)
select 1 + (n * 7919) % 3000,
       (array['Ada', 'Bela', 'Cleo', 'Dino', 'Emil', 'Fips', 'Gigi'])[1 + n % 7] || ' ' || n,
       (array['cat', 'dog', 'parrot', 'snake', 'spider'])[1 + n % 5],
       case when n % 4 = 0 then array['vaccinated'] else '{}' end
from generate_series(1, 5000) as n;

insert into audit (at, who, role, action, details)
select created_at, id::text, 'customer', 'signed up', jsonb_build_object('username', username)
from app_user;

analyze;
