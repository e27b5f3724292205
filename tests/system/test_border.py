"""Who is calling, who may call what, and what nginx says itself: through real nginx, with the files of nginx-conf/ as
they are. One writd; one nginx with a server for each recipe."""

import base64
import contextlib
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import threading

import pytest

import harness

SCHEMA = """
create role border_anonymous;
create role border_customer;
create role border_admin;
grant border_anonymous, border_customer, border_admin to writ;

create table pet (id bigint generated always as identity primary key, owner text not null, name text not null);
grant select, insert, update on pet to border_customer, border_admin;
alter table pet enable row level security;
create policy own on pet to border_customer using (owner = current_setting('request.user'));
create policy everything on pet to border_admin using (true);
insert into pet (owner, name) values ('7', 'Rex'), ('8', 'Mimi');

create table note (id bigint generated always as identity primary key, text text unique);
grant select, insert on note to public;
"""

MANIFEST = """
specVersion: 1
roles:
  anonymous: border_anonymous
  customer: border_customer
  admin: border_admin
  billing: border_admin
commands:
  whoami:
    allow: [anonymous, customer, admin, billing]
    sql: >
      select current_setting('request.role') as role, current_setting('request.user') as user,
             current_setting('request.jwt.claims')::json as claims, current_setting('request.id') as id,
             current_user::text as database_role
    returns: one
  add_note:
    allow: [anonymous, customer, admin]
    sql: insert into note (text) values (:text) returning id
    returns: one
  add_secret_note:
    sql: insert into note (text) values (:text) returning id
    returns: one
  admin_note:
    allow: [admin]
    sql: insert into note (text) values (:text) returning id
    returns: one
  add_both:
    allow: [customer]
    args: { text: text }
    commands:
      - add_secret_note: { text: $args.text }
        as: note
      - admin_note: { text: also }
    result: $note
  my_pets:
    allow: [customer, admin]
    sql: select name from pet order by id
  add_pet:
    allow: [customer, admin]
    sql: insert into pet (owner, name) values (:owner, :name) returning id
    returns: one
"""

# What each recipe's header asks the site for, and a server for each recipe.
HTTP = """
  map $remote_user $writ_basic_role { default customer; alice admin; }
  map $http_x_api_key $writ_key_role { default ""; e3f0c1b54a7d4d5c billing; 00000000deadbeef ""; }
  map $http_x_api_key $writ_key_user { default ""; e3f0c1b54a7d4d5c billing-service; }
  map "$ssl_client_verify $ssl_client_s_dn" $writ_certificate_role {
    default "";
    "SUCCESS CN=billing,O=Example" billing;
  }
  map $http_origin $writ_allowed_origin { default ""; "https://app.example.org" $http_origin; }
  limit_req_zone  $binary_remote_addr zone=writ_rate:1m rate=1r/m;
  limit_conn_zone $binary_remote_addr zone=writ_at_once:1m;

  server {
    listen unix:FOLDER/plain.sock;
    include writ/problems.conf;
    include writ/errors.conf;
    location /api/ { set $writ_prefix /api; include writ/writ.conf; }
    location / { include writ/writ.conf; }
    location /metrics { include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/underscores.sock;
    underscores_in_headers on;
    ignore_invalid_headers off;
    include writ/problems.conf;
    location / { include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/request.sock;
    include writ/problems.conf;
    location = /writ-auth {
      internal;
      proxy_pass http://unix:FOLDER/auth.sock:/session;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URI $request_uri;
    }
    location / { include writ/auth-request.conf; include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/basic.sock;
    include writ/problems.conf;
    auth_basic_user_file FOLDER/htpasswd;
    location / { include writ/auth-basic.conf; include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/key.sock;
    include writ/problems.conf;
    location / { include writ/api-key.conf; include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/certificate.sock ssl;
    ssl_certificate        FOLDER/server.pem;
    ssl_certificate_key    FOLDER/server.key;
    ssl_client_certificate FOLDER/authority.pem;
    ssl_verify_client      on;
    include writ/problems.conf;
    include writ/client-certificate.conf;
    location / { include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/optional.sock ssl;
    ssl_certificate        FOLDER/server.pem;
    ssl_certificate_key    FOLDER/server.key;
    ssl_client_certificate FOLDER/authority.pem;
    ssl_verify_client      optional_no_ca;    # names that nobody has verified come through here
    include writ/problems.conf;
    include writ/client-certificate.conf;
    location / { include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/cors.sock;
    include writ/problems.conf;
    location / { include writ/cors.conf; include writ/api-key.conf; include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/limits.sock;
    include writ/problems.conf;
    location / { include writ/limits.conf; include writ/writ.conf; }
  }
  server {
    listen unix:FOLDER/twice.sock;
    include writ/problems.conf;
    location / { include writ/writ.conf; fastcgi_param WRIT_ROLE admin; fastcgi_param WRIT_ROLE customer; }
  }
"""

WHOAMI = "/command/whoami"
CAROL = '{"role": "admin", "sub": "carol", "tenant": {"id": 12345678901234567890}}'
ANONYMOUS = {"role": "anonymous", "user": "", "database_role": "border_anonymous"}


class AuthService(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The service that auth_request asks: a cookie says who it is."""

    daemon_threads = True

    class RequestHandlerClass(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            who = (self.headers.get("Cookie") or "").removeprefix("session=")
            status = {"": 401, "banned": 403, "broken": 500}.get(who, 200)
            self.send_response(status)
            if who == "alice":
                self.send_header("Writ-Role", "customer")
                self.send_header("Writ-User", "7")
            if who == "carol":
                self.send_header("Writ-Role", "admin")
                self.send_header("Writ-User", "carol")
                self.send_header("Writ-Claims", CAROL)
            if who == "malformed":
                self.send_header("Writ-Role", "customer")
                self.send_header("Writ-Claims", '{"role": ')
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def address_string(self):
            return "nginx"

        def log_message(self, *_):
            pass

    def __init__(self, path):
        super().__init__(str(path), self.RequestHandlerClass)
        os.chmod(path, 0o666)


@pytest.fixture(scope="module", autouse=True)
def site(database):
    """nginx with all recipes. workers: 1, so that what one request leaves behind would meet the next."""
    site = harness.Site(database, MANIFEST, http=harness.SITE + HTTP, workers=1)
    folder = site.nginx.folder
    make_certificates(folder)
    password = harness.run(["openssl", "passwd", "-apr1", "secret"]).stdout.strip()
    (folder / "htpasswd").write_text(f"alice:{password}\nbob:{password}\n")
    service = AuthService(folder / "auth.sock")
    threading.Thread(target=service.serve_forever, daemon=True).start()
    with site:
        yield site
    service.shutdown()


def make_certificates(folder):
    """Two authorities; of ours a server's certificate, a client's, and one of a client that no map knows."""

    def openssl(*arguments):
        harness.run(["openssl", *arguments], cwd=folder)

    def authority(name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def certificate(name, subject, by):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout",
                f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial",
                "-days", "2", "-out", f"{name}.pem")

    authority("authority")
    authority("stranger")
    certificate("server", "/CN=localhost", "authority")
    certificate("billing", "/O=Example/CN=billing", "authority")
    certificate("unknown", "/O=Example/CN=unknown", "authority")
    certificate("forged", "/O=Example/CN=billing", "stranger")


@pytest.fixture
def at(site):
    """A client of the server that listens on NAME.sock."""
    return lambda name, tls=None: harness.Client(site.nginx.folder / f"{name}.sock", tls=tls)


def notes(database):
    return [text for (text,) in database.execute("select text from note order by id")]


@pytest.fixture(autouse=True)
def no_notes(database):
    database.execute("truncate note")


def who(answer):
    """What whoami found, without the claims and the request id."""
    return {key: value for key, value in answer.result.items() if key not in ("claims", "id")}


# ---- the files of nginx-conf/

RECIPES = sorted(file.name for file in (harness.SOURCE / "nginx-conf").glob("*.conf"))


def test_every_file_of_nginx_conf_is_used_here():
    """All are in the configuration above, but for plain-site.conf, upstreams.conf and graphiql.conf, which have tests of their own."""
    used = set(re.findall(r"include writ/([\w-]+\.conf)", HTTP + harness.SITE))
    for name in RECIPES:
        used |= set(re.findall(r"^ *include writ/([\w-]+\.conf)",
                               (harness.SOURCE / "nginx-conf" / name).read_text(), re.M))
    assert sorted(used | {"graphiql.conf", "http.conf", "plain-site.conf", "upstreams.conf"}) == RECIPES


def test_plain_site_as_it_is():
    """plain-site.conf and upstreams.conf pass nginx -t; only the places to listen at are changed."""
    nginx = harness.Nginx("")
    text = (nginx.folder / "nginx.conf").read_text()
    text = re.sub(r"  upstream writ_.*\n", "", text).replace(
        "include writ/http.conf;", "include writ/http.conf; include writ/upstreams.conf; include writ/plain-site.conf;")
    (nginx.folder / "nginx.conf").write_text(text)
    site = nginx.folder / "writ" / "plain-site.conf"
    changed = site.read_text().replace("listen 80;", f"listen unix:{nginx.folder}/80.sock;")
    changed = changed.replace("/run/writ-inside/", f"{nginx.folder}/")
    assert changed != site.read_text()
    site.write_text(changed)
    ok, output = nginx.test()
    assert ok, output


@pytest.mark.parametrize("recipe", ["auth-basic.conf", "api-key.conf", "client-certificate.conf", "cors.conf"])
def test_recipe_without_its_map_is_refused(recipe):
    """A site that forgets the map a recipe needs does not start, rather than start with everybody anonymous."""
    server = "include writ/client-certificate.conf;" if recipe == "client-certificate.conf" else ""
    location = "" if server else f"include writ/{recipe};"
    ok, output = harness.Nginx(
        f"server {{ listen unix:FOLDER/x.sock; {server} location / {{ {location} include writ/writ.conf; }} }}").test()
    assert not ok
    assert "unknown" in output and "variable" in output, output


# ---- who is calling: each recipe


def test_plain_site_is_anonymous(at):
    assert who(at("plain").command("whoami")) == ANONYMOUS


def test_prefix(at):
    assert who(at("plain").post("/api" + WHOAMI, {})) == ANONYMOUS
    assert at("plain").post("/api/api" + WHOAMI, {}).status == 404


FORGED = [
    [("Writ-Role", "admin"), ("Writ-User", "root")],
    [("WRIT_ROLE", "admin"), ("WRIT_USER", "root"), ("WRIT_CLAIMS", "{}")],
    [("WRIT-ROLE", "admin"), ("writ-role", "admin"), ("Writ_Role", "admin")],
    [("HTTP_WRIT_ROLE", "admin"), ("Http-Writ-Role", "admin")],
    [("Writ-Role", "customer"), ("Writ-Role", "admin")],
    [("Writ-Role", "")] * 3,
    [("X-Writ-Role", "admin"), ("Role", "admin"), ("Remote-User", "root"), ("REMOTE_USER", "root")],
    [("Writ-Claims", '{"role": "admin", "sub": "root"}')],
    [("X", "y\tWRIT_ROLE: admin"), ("Y", "\x01\x09WRIT_ROLE\x05admin")],
    [("Test-Role", "admin")],
]


@pytest.mark.parametrize("headers", FORGED, ids=range(len(FORGED)))
@pytest.mark.parametrize("server", ["plain", "underscores"])
def test_forged_headers_change_nothing(at, server, headers):
    answer = at(server).post(WHOAMI, {}, headers)
    assert who(answer) == ANONYMOUS
    assert answer.result["claims"] == at(server).command("whoami").result["claims"]


@pytest.mark.parametrize("headers", FORGED, ids=range(len(FORGED)))
def test_forged_headers_do_not_change_a_known_identity(at, headers):
    answer = at("key").post(WHOAMI, {}, [("X-Api-Key", "e3f0c1b54a7d4d5c"), *headers])
    assert who(answer) == {"role": "billing", "user": "billing-service", "database_role": "border_admin"}
    answer = at("request").post(WHOAMI, {}, [("Cookie", "session=alice"), *headers])
    assert who(answer) == {"role": "customer", "user": "7", "database_role": "border_customer"}


INJECTED = [
    (b"/command/whoami HTTP/1.1", b"WRIT_ROLE: admin"),
    (b"/command/whoami HTTP/1.1", b"A: b\nWRIT_ROLE: admin"),
    (b"/command/whoami HTTP/1.1", b"A: b\rWRIT_ROLE: admin"),
    (b"/command/whoami HTTP/1.1", b"A: b\0WRIT_ROLE=admin"),
    (b"/command/whoami HTTP/1.1", b"Writ-Role: admin\r\n x: y"),
    (b"/command/whoami?WRIT_ROLE=admin HTTP/1.1", b"A: b"),
    (b"/command/whoami%00WRIT_ROLE=admin HTTP/1.1", b"A: b"),
    (b"/command/whoami%0d%0aWrit-Role:%20admin HTTP/1.1", b"A: b"),
]


@pytest.mark.parametrize("target, header", INJECTED, ids=range(len(INJECTED)))
@pytest.mark.parametrize("server", ["plain", "underscores"])
def test_injected_headers_change_nothing(at, server, target, header):
    """Line ends and NULs where they do not belong: anonymous, or refused."""
    request_bytes = b"".join([
        b"POST ", target, b"\r\nHost: x\r\n", header, b"\r\nContent-Type: application/json\r\n",
        b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"])
    answer = at(server).raw(request_bytes)
    if answer.status == 200:
        assert who(answer) == ANONYMOUS
    else:
        assert answer.status in (400, 404), answer


def test_auth_request(at):
    def ask(session):
        return at("request").post(WHOAMI, {}, {"Cookie": f"session={session}"})

    answer = ask("alice")
    assert who(answer) == {"role": "customer", "user": "7", "database_role": "border_customer"}
    assert answer.result["claims"] == {"role": "customer", "sub": "7"}
    answer = ask("carol")
    assert who(answer) == {"role": "admin", "user": "carol", "database_role": "border_admin"}
    assert '"id": 12345678901234567890' in answer.text
    assert answer.result["claims"] == json.loads(CAROL)
    assert who(ask("nobody-in-particular")) == ANONYMOUS


@pytest.mark.parametrize("cookie, status, code", [
    ("", 401, "UNAUTHENTICATED"), ("session=banned", 403, "FORBIDDEN"), ("session=broken", 500, "INTERNAL")])
def test_auth_request_refuses(at, database, cookie, status, code):
    answer = at("request").post("/command/add_note", {"text": "x"}, {"Cookie": cookie})
    assert (answer.status, answer.code) == (status, code)
    assert notes(database) == []


def test_malformed_claims_are_refused(at, site):
    answer = at("request").post(WHOAMI, {}, {"Cookie": "session=malformed"})
    assert answer.status >= 400
    assert answer.code
    for claims in ("[]", '"admin"', "{", '{"a": 1, "a": 2}', "null", "{} {}"):
        answer = site.client.command("whoami", role="customer", claims=claims)
        assert answer.status >= 400, claims


def test_the_auth_location_is_not_for_clients(at):
    assert at("request").get("/writ-auth").status == 404


def test_auth_basic(at):
    def ask(name, password="secret"):
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        return at("basic").post(WHOAMI, {}, {"Authorization": f"Basic {token}"})

    assert who(ask("alice")) == {"role": "admin", "user": "alice", "database_role": "border_admin"}
    assert who(ask("bob")) == {"role": "customer", "user": "bob", "database_role": "border_customer"}
    for answer in (ask("alice", "wrong"), ask("mallory"), at("basic").command("whoami")):
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
        assert answer.header("www-authenticate") == 'Basic realm="writ"'


def test_api_key(at):
    def ask(*keys):
        return at("key").post(WHOAMI, {}, [("X-Api-Key", key) for key in keys])

    assert who(ask("e3f0c1b54a7d4d5c")) == {
        "role": "billing", "user": "billing-service", "database_role": "border_admin"}
    assert who(ask()) == ANONYMOUS
    for wrong in ("e3f0c1b54a7d4d5", "x", ":", "x:billing:", "00000000deadbeef"):
        answer = ask(wrong)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), wrong


def tls(folder, name=None):
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    return context


def test_client_certificate(at, site):
    folder = site.nginx.folder

    def ask(name=None, server="certificate"):
        return at(server, tls(folder, name)).command("whoami")

    assert who(ask("billing")) == {"role": "billing", "user": "CN=billing,O=Example", "database_role": "border_admin"}
    unknown = {"role": "anonymous", "user": "CN=unknown,O=Example", "database_role": "border_anonymous"}
    assert who(ask("unknown")) == unknown
    for answer in (ask("forged"), ask()):
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


def test_a_name_that_nobody_has_verified_counts_for_nothing(at, site):
    """Neither as a role nor as a user, whom row-level security may go by."""
    for name in ("forged", None):
        assert who(at("optional", tls(site.nginx.folder, name)).command("whoami")) == ANONYMOUS
    answer = at("optional", tls(site.nginx.folder, "billing")).command("whoami")
    assert who(answer) == {"role": "billing", "user": "CN=billing,O=Example", "database_role": "border_admin"}


def test_a_role_passed_twice_is_refused(at, database):
    """A mistake in nginx's configuration: neither of the two is believed."""
    answer = at("twice").command("add_note", {"text": "x"})
    assert answer.status == 500
    assert answer.code == "INTERNAL"
    assert notes(database) == []


# ---- what SQL knows of the caller


def test_claims_are_made_from_role_and_user(site):
    answer = site.client.command("whoami", role="customer", user="7")
    assert answer.result["claims"] == {"role": "customer", "sub": "7"}
    claims = site.client.command("whoami").result["claims"]
    assert claims["role"] == "anonymous"
    assert not claims.get("sub")


@pytest.mark.parametrize("user", ['o"brien', "back\\slash", "a'b;--", "ünïcode ☃", "x" * 2000, "$1 :name"])
def test_any_user_name_arrives_as_it_is(site, user):
    answer = site.client.command("whoami", role="customer", user=user)
    assert answer.result["user"] == user
    assert answer.result["claims"] == {"role": "customer", "sub": user}


def test_nothing_is_left_for_the_next_request(site):
    """One worker, one connection: the first caller's identity must not be there for the second."""
    assert site.client.command("whoami", role="admin", user="root", claims='{"x": 1}').result["claims"] == {"x": 1}
    answer = site.client.command("whoami")
    assert who(answer) == ANONYMOUS
    assert "x" not in answer.result["claims"]
    site.client.command("add_pet", {"owner": 1, "name": None}, role="admin", user="root")  # fails in the database
    assert who(site.client.command("whoami")) == ANONYMOUS


def test_request_id(site, at):
    answer = site.client.post(WHOAMI, {}, {"X-Request-Id": "mine-1.2:3"})
    assert answer.result["id"] == "mine-1.2:3"
    assert answer.header("x-request-id") == "mine-1.2:3"
    made = [site.client.command("whoami") for _ in range(2)]
    assert made[0].result["id"] == made[0].header("x-request-id") != made[1].header("x-request-id")
    for bad in ("with blank", 'quote"', "x" * 129, "{}", "ü"):
        answer = at("plain").post(WHOAMI, {}, {"X-Request-Id": bad})
        assert answer.result["id"] == answer.header("x-request-id") != bad
    answer = site.client.post("/command/nothing_like_it", {}, {"X-Request-Id": "mine"})
    assert answer.json["request_id"] == "mine"


# ---- database roles and row-level security


def test_row_level_security(site, database):
    client = site.client
    assert client.command("my_pets", role="customer", user="7").result == [{"name": "Rex"}]
    assert client.command("my_pets", role="customer", user="8").result == [{"name": "Mimi"}]
    assert client.command("my_pets", role="customer", user="9").result == []
    assert len(client.command("my_pets", role="admin", user="root").result) == 2
    answer = client.command("add_pet", {"owner": "8", "name": "Gift"}, role="customer", user="7")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert database.one("select count(*) from pet") == 2


def test_a_role_that_is_not_mapped_is_refused(site, database):
    """nginx knows a role of which the manifest knows nothing. Without the refusal it would run as the login role."""
    for role in ("stranger", "border_admin", "ad min", "Admin", "none", "postgres", "writ"):
        answer = site.client.command("whoami", role=role)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), role
    answer = site.inside.command("add_secret_note", {"text": "x"}, role="stranger")
    assert answer.status == 403
    assert notes(database) == []


# ---- allow:


def test_inside_only_command_is_not_there_for_callers(site, database):
    for role in (None, "customer", "admin"):
        answer = site.client.command("add_secret_note", {"text": "x"}, role=role)
        nothing = site.client.command("no_such_command", {"text": "x"}, role=role)
        assert (answer.status, answer.code) == (nothing.status, nothing.code) == (404, "UNKNOWN_COMMAND")
        assert answer.json["detail"].replace("add_secret_note", "?") == nothing.json["detail"].replace(
            "no_such_command", "?"), "the answer must not tell that there is such a command"
    assert notes(database) == []


def test_anonymous_and_wrong_roles(site, database):
    answer = site.client.command("admin_note", {"text": "x"})
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    answer = site.client.command("admin_note", {"text": "x"}, role="customer")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert site.client.command("admin_note", {"text": "y"}, role="admin").status == 200
    assert notes(database) == ["y"]


@pytest.mark.parametrize("builtin", ["transactional_command_set", "execute_command_set"])
@pytest.mark.parametrize("command, role, status, code", [
    ("add_secret_note", "admin", 404, "UNKNOWN_COMMAND"),
    ("admin_note", "customer", 403, "FORBIDDEN"),
    ("admin_note", None, 401, "UNAUTHENTICATED"),
])
def test_every_command_of_a_set_is_checked_before_any_runs(site, database, builtin, command, role, status, code):
    answer = site.client.post(f"/command/{builtin}", {"commands": [
        {"command": "add_note", "args": {"text": "first"}},
        {"command": command, "args": {"text": "second"}}]}, role=role)
    assert (answer.status, answer.code) == (status, code)
    assert answer.json["index"] == 1
    assert answer.json["path"].startswith("/commands/1")
    assert notes(database) == []


def test_the_border_is_judged_before_arguments(site):
    """A caller who may not call learns nothing of the arguments, nor of the others in the set."""
    answer = site.client.command("admin_note", {"nonsense": 1})
    assert answer.status == 401
    answer = site.client.set(("add_note", {"nonsense": 1}), ("admin_note", {}))
    assert (answer.status, answer.json["index"]) == (401, 1)


def test_builtin_sets_need_no_allow(site):
    assert site.client.set(("whoami", {})).status == 200


def test_members_of_a_composite_are_inside(site, database):
    """A customer may call add_both, and neither of the two it is made of."""
    assert site.client.command("add_both", {"text": "secret"}, role="customer", user="7").status == 200
    assert notes(database) == ["secret", "also"]
    assert site.client.command("add_both", {"text": "again"}, role="admin").status == 403
    answer = site.client.set(("add_note", {"text": "one"}), ("add_both", {"text": "two"}), role="admin")
    assert (answer.status, answer.json["index"]) == (403, 1)
    assert notes(database) == ["secret", "also"]


# ---- the inside listener


def test_inside_does_not_ask_allow(site, database):
    assert site.inside.command("add_secret_note", {"text": "a"}).status == 200
    assert site.inside.set(("add_secret_note", {"text": "b"}), ("admin_note", {"text": "c"})).status == 200
    assert notes(database) == ["a", "b", "c"]


def test_inside_callers_say_on_whose_behalf(site):
    answer = site.inside.command("whoami", role="customer", user="7", claims='{"role": "customer", "sub": "7", "t": 1}')
    assert who(answer) == {"role": "customer", "user": "7", "database_role": "border_customer"}
    assert answer.result["claims"]["t"] == 1
    assert who(site.inside.command("whoami")) == ANONYMOUS
    assert site.inside.command("my_pets", role="customer", user="8").result == [{"name": "Mimi"}]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operation_is_inside_only(site, at, path):
    assert site.inside.get(path).status == 200
    assert at("plain").get(path).status == 404
    assert site.client.get(path).status == 404


# ---- nginx's own errors


def problem(answer, status, code):
    """A problem as nginx makes it, and as RFC 9457 and the contract want it."""
    assert answer.status == status, answer
    assert answer.code == code
    body = answer.json
    assert body["type"] == "about:blank"
    assert body["retryable"] in (True, False)
    assert body["request_id"] == answer.header("x-request-id")
    return body


def test_body_too_large(at, database):
    problem(at("plain").command("add_note", {"text": "x" * 1_100_000}), 413, "TOO_LARGE")
    body = json.dumps({"text": "x" * 1_100_000}).encode()
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    answer = at("plain").post("/command/add_note", chunked, {"Transfer-Encoding": "chunked"})
    problem(answer, 413, "TOO_LARGE")
    assert notes(database) == []


def test_chunked_body(at, database):
    body = b'8\r\n{"text":\r\n6\r\n "hi"}\r\n0\r\n\r\n'
    answer = at("plain").post("/command/add_note", body, {"Transfer-Encoding": "chunked"})
    assert answer.status == 200, answer
    assert notes(database) == ["hi"]


@pytest.mark.parametrize("request_bytes, status, code", [
    (b"NONSENSE\r\n\r\n", 400, "BAD_REQUEST"),
    (b"POST /command/whoami HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),  # no Host
    (b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "URI_TOO_LONG"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
    (b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n", 501, "NOT_IMPLEMENTED"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n", 400, "BAD_REQUEST"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_bad_http(at, request_bytes, status, code):
    problem(at("plain").raw(request_bytes), status, code)


def test_answers_of_writ_are_not_replaced(site):
    """error_page is for nginx's own errors."""
    site.client.command("add_note", {"text": "once"})
    answer = site.client.command("add_note", {"text": "once"})
    assert (answer.status, answer.code) == (409, "UNIQUE_VIOLATION")
    assert answer.json["command"] == "add_note"
    answer = site.client.command("add_note", b"{")
    assert (answer.status, answer.code) == (400, "BAD_JSON")
    assert site.client.get("/nowhere").status == 404


def test_writd_is_not_there():
    with harness.Nginx(harness.SITE, "/nonexistent") as nginx:
        body = problem(harness.Client(nginx.socket).command("whoami"), 502, "BAD_GATEWAY")
        assert body["retryable"] is False, "nobody knows whether it was done"


def test_writd_does_not_answer():
    """A listener that accepts and says nothing. params.conf waits 35 s; this test has not that much time."""
    folder = harness.workspace().folder("silent")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "s"))
        os.chmod(folder / "s", 0o666)
        silent.listen(5)
        nginx = harness.Nginx(harness.SITE, folder / "s")
        params = nginx.folder / "writ" / "params.conf"
        assert "fastcgi_read_timeout    35s;" in params.read_text()
        params.write_text(params.read_text().replace("fastcgi_read_timeout    35s;", "fastcgi_read_timeout 1s;"))
        with nginx:
            body = problem(harness.Client(nginx.socket).command("whoami"), 504, "TIMEOUT")
            assert body["retryable"] is False


# ---- limits.conf


def test_limits(at):
    """A burst of 100 is let through (and one), at one request a minute; what comes then is refused."""
    answers = [at("limits").get("/nowhere") for _ in range(110)]
    assert [answer.status for answer in answers].count(429) == 9
    assert {answer.status for answer in answers[:101]} == {404}
    body = problem(answers[-1], 429, "TOO_MANY_REQUESTS")
    assert body["retryable"] is True
    assert answers[-1].header("retry-after") == "1"


def test_limits_at_once():
    """Six requests in work (a worker that says nothing has them all); the seventh is refused, not queued."""
    folder = harness.workspace().folder("silent")
    http = """
      limit_req_zone  $binary_remote_addr zone=writ_rate:1m rate=100r/s;
      limit_conn_zone $binary_remote_addr zone=writ_at_once:1m;
      server {
        listen unix:FOLDER/http.sock;
        include writ/problems.conf;
        location / { include writ/limits.conf; include writ/writ.conf; }
      }"""
    with socket.socket(socket.AF_UNIX) as silent, contextlib.ExitStack() as open_ones:
        silent.bind(str(folder / "s"))
        os.chmod(folder / "s", 0o666)
        silent.listen(16)
        silent.settimeout(10)
        with harness.Nginx(http, folder / "s") as nginx:
            client = harness.Client(nginx.socket)
            for _ in range(6):
                open_ones.enter_context(client.connect()).sendall(b"POST /command/whoami HTTP/1.1\r\nHost: x\r\n\r\n")
                open_ones.enter_context(silent.accept()[0])
            problem(client.command("whoami"), 429, "TOO_MANY_REQUESTS")


# ---- cors.conf

ORIGIN = "https://app.example.org"


def test_preflight_is_answered_by_nginx():
    """No writd behind this one."""
    with harness.Nginx(HTTP_CORS_ONLY, "/nonexistent") as nginx:
        client = harness.Client(nginx.socket)
        answer = client.request("OPTIONS", WHOAMI, None, {
            "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,idempotency-key"})
        assert answer.status == 204
        assert answer.header("access-control-allow-origin") == ORIGIN
        assert "POST" in answer.header("access-control-allow-methods")
        allowed = answer.header("access-control-allow-headers").lower().split(", ")
        assert {"content-type", "idempotency-key", "authorization", "prefer", "x-request-id"} <= set(allowed)
        assert "Origin" in answer.header("vary")
        # nginx's own error: the page may read it as well
        answer = client.post(WHOAMI, {}, {"Origin": ORIGIN})
        assert answer.status == 502
        assert answer.header("access-control-allow-origin") == ORIGIN
        for stranger in ("https://evil.example", ORIGIN + ".evil.example", "null"):
            answer = client.request("OPTIONS", WHOAMI, None, {"Origin": stranger})
            assert answer.header("access-control-allow-origin") is None


HTTP_CORS_ONLY = """
  map $http_origin $writ_allowed_origin { default ""; "https://app.example.org" $http_origin; }
  server {
    listen unix:FOLDER/http.sock;
    include writ/problems.conf;
    location / { include writ/cors.conf; include writ/writ.conf; }
  }
"""


def test_cors_answers(at):
    answer = at("cors").post(WHOAMI, {}, {"Origin": ORIGIN})
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert "X-Request-Id" in answer.header("access-control-expose-headers")
    assert answer.header("access-control-allow-methods") is None
    answer = at("cors").post("/command/admin_note", {}, {"Origin": ORIGIN})
    assert (answer.status, answer.header("access-control-allow-origin")) == (401, ORIGIN)
    answer = at("cors").post(WHOAMI, {}, {"Origin": ORIGIN, "X-Api-Key": "wrong"})
    assert (answer.status, answer.header("access-control-allow-origin")) == (401, ORIGIN)
    answer = at("cors").post(WHOAMI, {}, {"Origin": "https://evil.example"})
    assert answer.header("access-control-allow-origin") is None
    assert "Origin" in answer.header("vary")
