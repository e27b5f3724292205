"""What the system tests stand on: one class for each real server, and an HTTP client.

Each server has a folder of its own below one temporary folder of the session, its own log, a bounded wait until it is
ready and a bounded stop by process id. Servers are context managers:

    with Site(database, manifest="specVersion: 1\\ncommands: ...") as site:
        answer = site.client.command("add_user", {"name": "tom"}, role="admin")
        assert answer.status == 200, answer

PostgreSQL refuses to run as root, and nothing here needs it: as root the servers are started as user nobody.
tests/README.md tells how to run the tests and which environment variables count.
"""

import collections
import contextlib
import ctypes
import glob
import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import psycopg

SOURCE = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("WRIT_BUILD", SOURCE)).resolve()
VALGRIND = os.environ.get("WRIT_VALGRIND", "0") not in ("", "0")
PATIENCE = 20 if VALGRIND else 1  # every wait for writd is multiplied by this

# Messages of PostgreSQL's protocol, to be matched by the proxy: the end of a flight, and its answer outside of a transaction.
SYNC, READY_FOR_QUERY = "S\0\0\0\4", "Z\0\0\0\5I"
LOGIN_ROLE = "writ"  # what writd logs in as: no superuser, owns nothing
UNPRIVILEGED = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer")

for name in [name for name in os.environ if name.startswith("PG")]:
    del os.environ[name]  # the caller's own libpq settings are not the tests' business


# ---------------------------------------------------------------------------------------------------- small helpers


SLACK = 3  # the machine may be slow, or busy; nothing is asserted of how long a wait takes


def wait_until(true, what, timeout=10.0):
    """Calls true() until it gives something that counts as true, and returns that; fails after timeout seconds, thrice over."""
    timeout *= SLACK
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def node_modules():
    """The folder that has the npm packages of tests/js in its node_modules; ./check has filled it, or it is filled here."""
    folder = pathlib.Path(os.environ.get("WRIT_NODE_MODULES", BUILD.parent / "js")).resolve()
    done = subprocess.run([SOURCE / "tests/js/install", folder], capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"npm could not install the packages of tests/js:\n{done.stderr}"
    return str(folder)


def is_plain():
    """Neither valgrind nor AddressSanitizer, which keep what was freed: memory can be measured. Tests that do are marked `plain`."""
    return not VALGRIND and b"__asan_init" not in (BUILD / "writd").read_bytes()


def cpu_seconds(pids):
    """What these processes have used: however busy the machine is."""
    fields = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


class elapsed:
    """with elapsed() as time: ...; time.seconds is how long it took."""

    def __enter__(self):
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.begun


def free_port():
    """A TCP port on the loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Workspace:
    """The session's temporary folder. Short, since a unix socket's path has room for 107 bytes only."""

    def __init__(self):
        os.umask(0o022)  # what root writes here, user nobody must be able to read
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="writ-", dir="/tmp"))
        self.count = 0
        give_away(self.root)
        self.bin = self.folder("bin")
        for file in ("leaks.supp", "valgrind.supp"):
            shutil.copyfile(SOURCE / "tests" / file, self.bin / file)
        for program in ("writd", "writ"):
            # Copies: the servers' user may not be able to read the build, and a rebuild must not change a running test.
            if (BUILD / program).exists():
                shutil.copy(BUILD / program, self.bin / program)

    def folder(self, name):
        self.count += 1
        path = self.root / f"{name}{self.count}"
        path.mkdir()
        give_away(path)
        return path

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


_workspace = None


def workspace():
    global _workspace
    if _workspace is None:
        _workspace = Workspace()
    return _workspace


def give_away(path):
    """Makes path belong to the user that the servers run as."""
    if UNPRIVILEGED:
        os.chown(path, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)


def identity():
    """Arguments for subprocess that drop root."""
    if not UNPRIVILEGED:
        return {}
    return {"user": UNPRIVILEGED.pw_uid, "group": UNPRIVILEGED.pw_gid, "extra_groups": []}


def environment(**more):
    keep = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {
        **keep,
        "HOME": str(workspace().root),
        "LC_ALL": "C.UTF-8",
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
        "LSAN_OPTIONS": f"suppressions={workspace().bin}/leaks.supp:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        **more,
    }


def run(command, timeout=60, check=True, **options):
    """Runs a program to its end as the unprivileged user; its output (both streams) as text."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=timeout * PATIENCE, cwd=options.pop("cwd", workspace().root),
        env=options.pop("env", None) or environment(), **identity(), **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}")
    return done


def writ(*arguments, check=True, **options):
    """Runs the tool writ: writ("check", "-c", file)."""
    return run([workspace().bin / "writ", *arguments], check=check, **options)


# ---------------------------------------------------------------------------------------------------- server processes

started = []  # all servers of this session that a failed test may want to see the log of; see conftest.py


class Server:
    """A process, its folder and its log. A subclass says what to run (command), and when it is ready."""

    name = "server"
    stop_signal = signal.SIGTERM
    stop_seconds = 20
    as_root = False

    def __init__(self):
        self.folder = workspace().folder(self.name)
        self.log_file = self.folder / "log"
        self.process = None
        self.environment = {}  # more variables for the process

    def command(self):
        raise NotImplementedError

    def ready(self):
        """True when it can be used; called until then."""
        raise NotImplementedError

    def start(self):
        assert not self.running(), f"{self.name} runs already"
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env=environment(**self.environment), preexec_fn=die_with_parent(self.stop_signal),
                **({} if self.as_root else identity()))
        if self not in started:
            started.append(self)
        try:
            wait_until(self._ready_or_dead, f"{self.name} to be ready", 20 * PATIENCE)
        except BaseException as error:
            self.kill()
            raise RuntimeError(f"{self.name} did not start: {error}\n{self.log()}") from error
        return self

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended with {self.process.returncode}")
        return self.ready()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Asks it to stop, and waits; kills it, and fails, when it does not. Gives the exit status."""
        if self.process is None:
            return None
        if self.running():
            self.process.send_signal(self.stop_signal)
        try:
            return self.process.wait(self.stop_seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {self.stop_seconds * PATIENCE} s\n{self.log()}")

    def kill(self):
        """kill -9, for tests of accidents and as the last resort."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        """Process ids of its children (workers)."""
        return children(self.pid)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_mark(self):
        """A place in the log, for log_since."""
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def log_since(self, mark):
        with open(self.log_file, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def __enter__(self):
        return self if self.running() else self.start()

    def __exit__(self, *_):
        self.stop()


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def die_with_parent(sig):
    """When the tests are killed their servers go too. Only for servers started by the main thread: the kernel means the
    thread that forked, not the process."""
    if threading.current_thread() is not threading.main_thread():
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask():
        libc.prctl(1, int(sig))  # PR_SET_PDEATHSIG, prctl(2)
        if os.getppid() != parent:  # gone already
            os._exit(1)

    return ask


def listening(path):
    """True when some process listens on the unix socket path. Does not connect: a connection is work for writd."""
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines():
        words = line.split()
        if words[-1] == str(path) and words[3] == "00010000":  # __SO_ACCEPTCON
            return True
    return False


# ---------------------------------------------------------------------------------------------------- PostgreSQL


class Postgres(Server):
    """A cluster of its own, reached over a unix socket in its folder. The superuser is admin; no passwords."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown
    port = 5432  # part of the socket's name only
    stop_seconds = 60

    def __init__(self, **settings):
        super().__init__()
        self.programs = pathlib.Path(max(glob.glob("/usr/lib/postgresql/*/bin"), key=version_in))
        self.settings = {
            "listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": 200,
            "fsync": "off", "logging_collector": "off", "log_line_prefix": "%m [%p] %a %u@%d ", **settings}
        run([self.programs / "initdb", "-D", self.folder / "data", "-U", "admin", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"])

    def command(self):
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        return [self.programs / "postgres", "-D", self.folder / "data", *options]

    def ready(self):
        with contextlib.suppress(psycopg.OperationalError):
            self.connect().close()
            return True

    def start(self):
        super().start()
        self.execute(f"""do $$ begin
            if not exists (select from pg_roles where rolname = '{LOGIN_ROLE}') then
              create role {LOGIN_ROLE} login;
            end if; end $$""")
        return self

    def conninfo(self, dbname="postgres", user="admin"):
        return f"host={self.folder} port={self.port} dbname={dbname} user={user}"

    def connect(self, dbname="postgres", user="admin", **options):
        """A psycopg connection; autocommit unless told otherwise."""
        return psycopg.connect(self.conninfo(dbname, user), **{"autocommit": True, "connect_timeout": 5, **options})

    def execute(self, sql, parameters=None, dbname="postgres"):
        """Runs SQL as the superuser; the rows, if there are any."""
        with self.connect(dbname) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None


def version_in(path):
    return [int(number) for number in re.findall(r"\d+", path)]


class Database:
    """One database of a cluster, with schema writ installed into it by `writ install`."""

    def __init__(self, postgres, name, schema="", install=True):
        self.postgres, self.name = postgres, name
        postgres.execute(f'create database "{name}"')
        if schema:
            self.execute(schema)
        if install:
            self.install()

    def install(self):
        folder = workspace().folder("install")
        file = folder / "writ.yaml"
        (folder / "manifest.yaml").write_text("specVersion: 1\ncommands:\n  nothing: { sql: select 1 as one }\n")
        file.write_text(settings_text(settings_for(self, folder)))
        return writ("install", "-c", file, "--conninfo", self.admin_conninfo)

    @property
    def admin_conninfo(self):
        return self.postgres.conninfo(self.name)

    @property
    def conninfo(self):
        return self.postgres.conninfo(self.name, LOGIN_ROLE)

    def execute(self, sql, parameters=None):
        return self.postgres.execute(sql, parameters, self.name)

    def one(self, sql, parameters=None):
        """The only value of the only row."""
        ((value,),) = self.execute(sql, parameters)
        return value

    def connect(self, **options):
        return self.postgres.connect(self.name, **options)

    def drop(self):
        self.postgres.execute(f'drop database if exists "{self.name}" with (force)')


def create_tables(database, model):
    """The tables of a data model (SDL), as `writ schema ddl` writes them, with all rights for the login role."""
    file = workspace().folder("model") / "schema.graphql"
    file.write_text(model)
    database.execute(writ("schema", "ddl", file).stdout)
    database.execute(f"grant all on all tables in schema public to {LOGIN_ROLE}; "
                     f"grant all on all sequences in schema public to {LOGIN_ROLE}")


class PgBouncer(Server):
    """Debian's PgBouncer in front of a cluster, transaction mode unless told otherwise."""

    name = "pgbouncer"
    port = 6432

    def __init__(self, postgres, **settings):
        super().__init__()
        users = self.folder / "users"
        users.write_text(f'"{LOGIN_ROLE}" ""\n"admin" ""\n')
        settings = {
            "listen_addr": "", "listen_port": self.port, "unix_socket_dir": self.folder, "auth_type": "trust",
            "auth_file": users, "pool_mode": "transaction", "default_pool_size": 20, "max_client_conn": 200,
            "admin_users": "admin", "logfile": "", **settings}
        lines = ["[databases]", f"* = host={postgres.folder} port={postgres.port}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def command(self):
        return ["/usr/sbin/pgbouncer", self.folder / "pgbouncer.ini"]

    def ready(self):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.conninfo("postgres", "admin"), connect_timeout=5).close()
            return True

    def conninfo(self, dbname, user=LOGIN_ROLE):
        return f"host={self.folder} port={self.port} dbname={dbname} user={user}"


class Proxy(Server):
    """tests/proxy.py between writd and a cluster (or PgBouncer): counts round trips; delays, cuts, stalls."""

    name = "proxy"
    port = 5432

    def __init__(self, target, delay_ms=0):
        """target: Postgres or PgBouncer."""
        super().__init__()
        self.target = target.folder / f".s.PGSQL.{target.port}"
        self.control = self.folder / "control"
        self.delay_ms = delay_ms

    def command(self):
        # Debian's python3 by its path would do as well: the proxy needs the standard library only.
        script = workspace().root / "proxy.py"
        shutil.copy(SOURCE / "tests" / "proxy.py", script)
        return [sys.executable, script, "--listen", self.folder / f".s.PGSQL.{self.port}", "--connect", self.target,
                "--control", self.control, "--delay-ms", self.delay_ms]

    def ready(self):
        return listening(self.control)

    def conninfo(self, dbname, user=LOGIN_ROLE):
        return f"host={self.folder} port={self.port} dbname={dbname} user={user}"

    def ask(self, do, **arguments):
        """One order to the proxy (proxy.py lists them); its answer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.control))
            control.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        assert "error" not in answer, answer["error"]
        return answer

    def stats(self):
        return self.ask("stats")

    def reset(self):
        return self.ask("reset")


# ---------------------------------------------------------------------------------------------------- writd and nginx


def settings_for(database, folder, **settings):
    """writ.yaml as a dict: small and quick for tests, each key may be given."""
    default = {
        "manifest": "manifest.yaml",
        "border": {"socket": str(folder / "border.sock")},
        "inside": {"socket": str(folder / "inside.sock")},
        "datasources": {"default": database.conninfo},
        "workers": 2,
        "inside_workers": 1,
        "runners": 0,
        "streams": {"most": 0},
        "background_runners": 0,
        "log_level": "debug",
    }
    return {**default, **settings}


def settings_text(settings):
    """JSON values are YAML too."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


class Writ(Server):
    """writd with a manifest given as text. Settings are keys of writ.yaml; datasources and all others have defaults."""

    name = "writ"

    def __init__(self, database, manifest, as_root=False, files=None, **settings):
        """files: others in the same folder, as {name: text}."""
        super().__init__()
        for name, text in (files or {}).items():
            (self.folder / name).write_text(text)
        self.as_root = as_root
        self.file = self.folder / "writ.yaml"
        self.settings = settings_for(database, self.folder, **settings)
        self.border_socket = pathlib.Path(self.settings["border"]["socket"])
        self.inside_socket = pathlib.Path(self.settings["inside"]["socket"])
        self.stream_socket = self.border_socket.parent / "streams.sock"
        self.stop_seconds = 20
        self.write(manifest)

    def write(self, manifest=None, **settings):
        """Writes the files again; reload() makes writd take them."""
        self.settings.update(settings)
        self.file.write_text(settings_text(self.settings))
        if manifest is not None:
            (self.folder / "manifest.yaml").write_text(manifest)

    def command(self):
        valgrind = []
        if VALGRIND:
            valgrind = ["valgrind", "-q", "--vgdb=no", "--trace-children=yes", "--child-silent-after-fork=no",
                        "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
                        f"--suppressions={workspace().bin}/valgrind.supp", f"--log-file={self.folder}/valgrind.%p"]
        return [*valgrind, workspace().bin / "writd", "-c", self.file]

    def ready(self):
        return listening(self.border_socket) and listening(self.inside_socket)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def workers(self):
        """Process ids of the workers: children of the supervisor that live."""
        return [pid for pid in self.children() if process_state(pid) not in ("Z", None)]

    def stop(self):
        status = super().stop()
        self.check_clean()
        return status

    def check_clean(self):
        """Fails when a sanitizer or valgrind had something to say."""
        log = self.log()
        found = SANITIZER.search(log)
        assert not found, f"a sanitizer reports in {self.log_file}:\n{log[max(0, found.start() - 500):][:8000]}"
        reports = [file.read_text(errors="replace") for file in sorted(self.folder.glob("valgrind.*"))]
        assert not any(reports), "valgrind reports:\n" + "\n".join(report for report in reports if report)


def process_state(pid):
    """R, S, D, Z, ... of proc(5); None when there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Nginx(Server):
    """nginx with its own configuration. `http` is what stands in http { }, behind the includes and upstreams of writ;
    the folder nginx-conf/ of the source is there as writ/, as an operator would have it in /etc/nginx/writ/."""

    name = "nginx"
    stop_signal = signal.SIGTERM

    def __init__(self, http, border_socket="/nonexistent", inside_socket="/nonexistent", main="", connections=1024):
        """http: text in which FOLDER stands for the folder. main: directives outside http { }. connections: of a worker."""
        super().__init__()
        (self.folder / "writ").mkdir()
        for file in (SOURCE / "nginx-conf").glob("*.conf"):
            shutil.copyfile(file, self.folder / "writ" / file.name)
        temporary = "\n".join(
            f"  {kind}_temp_path {kind}_temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""daemon off;
pid nginx.pid;
error_log stderr info;
worker_processes 1;
{main}
events {{ worker_connections {connections}; }}
http {{
  access_log access.log;
{temporary}
  include writ/http.conf;
  upstream writ_border {{ server unix:{border_socket}; }}
  upstream writ_inside {{ server unix:{inside_socket}; }}
  upstream writ_streams {{ server unix:{pathlib.Path(border_socket).parent}/streams.sock; }}
{http.replace("FOLDER", str(self.folder))}
}}
""")
        self.socket = self.folder / "http.sock"
        self.inside_http = self.folder / "inside-http.sock"

    def command(self):
        return ["/usr/sbin/nginx", "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", "stderr"]

    def test(self):
        """nginx -t: (ok, output)."""
        done = run([*self.command(), "-t"], check=False, cwd=self.folder)
        return done.returncode == 0, done.stdout

    def ready(self):
        return (self.folder / "nginx.pid").exists() and (self.folder / "nginx.pid").read_text().strip() == str(self.pid)

    def kill(self):
        workers = self.children() if self.running() else []
        super().kill()
        for worker in workers:  # they would go on without their master
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def stop(self):
        status = super().stop()
        for left in (self.socket, self.inside_http):
            left.unlink(missing_ok=True)  # a second start needs them gone, however it ended
        return status


# What a test's site looks like when it does not say otherwise: the identity comes from headers, so that a test may be
# anybody. No real site may do that: see test_border.py for what one must look like.
SITE = """
  server {
    listen unix:FOLDER/http.sock;
    include writ/problems.conf;
    location / {
      set $writ_role $http_test_role;
      set $writ_user $http_test_user;
      set $writ_claims $http_test_claims;
      include writ/writ.conf;
    }
  }
  server {
    listen unix:FOLDER/inside-http.sock;
    include writ/inside.conf;
  }
"""


class Site:
    """writd behind nginx: what most tests want. client speaks to the border, inside to the inside listener."""

    def __init__(self, database, manifest, http=SITE, main="", environment=None, connections=1024, **settings):
        self.database = database
        self.writ = Writ(database, manifest, **settings)
        self.writ.environment.update(environment or {})
        self.nginx = Nginx(http, self.writ.border_socket, self.writ.inside_socket, main, connections)
        self.client = Client(self.nginx.socket)
        self.inside = Client(self.nginx.inside_http, prefix="Writ")

    def start(self):
        self.writ.start()
        try:
            self.nginx.start()
            if self.nginx.inside_http.exists():
                wait_until(self._ready, "/readyz", 20 * PATIENCE)
        except BaseException as error:
            log = self.writ.log()
            self.stop()
            raise RuntimeError(f"the site did not start: {error}\n{log}") from error
        return self

    def _ready(self):
        assert not SANITIZER.search(self.writ.log()), "a sanitizer reports"  # workers may die of it, again and again
        return self.inside.get("/readyz").status == 200

    def stop(self):
        try:
            self.nginx.stop()
        finally:
            self.writ.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


# What an attacker writes into a field: texts that mean something to SQL, JSON, GraphQL, arrays or printf.
POISON = ["'; drop table app_user; --", '"; drop table app_user; --', "') or true --", "\\'; select 1; --", "$1", "%s", "{}", "\\", "'",
          '"', "x' || pg_sleep(9) || '", "/*", "*/", "--", ":id", "é\u2028𝔘", "\u0001", '{"a":', "u1' or '1'='1", "a" * 5000, "null,null", "{a,b}"]

# ---------------------------------------------------------------------------------------------------- HTTP client


class Answer(collections.namedtuple("Answer", "status headers body")):
    """status; headers as a list of (lower-case name, value); body as bytes."""

    def header(self, name):
        """The value, None when it is not there; several are joined as HTTP allows."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def result(self):
        """Of a single command."""
        assert self.status == 200, self
        return self.json["result"]

    @property
    def results(self):
        """Of a set: the results alone, in order."""
        assert self.status == 200, self
        return [entry["result"] for entry in self.json["results"]]

    @property
    def code(self):
        """Of an error, after a look at its form (RFC 9457)."""
        assert self.header("content-type") == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status, self
        assert problem["type"] and problem["title"], self
        return problem["code"]


class Client:
    """HTTP/1.1 to a unix socket (a path) or to a port on the loopback; a connection for each request. Sends what it is
    told, sensible or not."""

    def __init__(self, address, timeout=60, prefix="Test", tls=None):
        """prefix: of the headers that tell role, user, claims: Test- for SITE's border, Writ- for the inside listener.
        tls: an ssl.SSLContext."""
        self.address, self.timeout, self.prefix, self.tls = address, timeout * PATIENCE, prefix, tls

    def connect(self):
        """The bare socket, for tests that cut or drip their requests."""
        if isinstance(self.address, int):
            connection = socket.create_connection(("127.0.0.1", self.address), self.timeout)
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self.timeout)
            connection.connect(str(self.address))
        return self.tls.wrap_socket(connection, server_hostname="localhost") if self.tls else connection

    def raw(self, request, method="POST"):
        """Sends bytes as they are; method tells how the answer ends."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)  # an answer may come before all has been sent (413)
            return read_answer(connection, method)

    def request(self, method, path, body=None, headers=()):
        """headers: a dict, or a list of pairs, in which one may be repeated. body: bytes, str, or a value for JSON."""
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        names = {name.lower() for name, _ in pairs}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        if body is not None and "content-type" not in names:
            pairs.append(("Content-Type", "application/json"))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in pairs]
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""), method)

    def get(self, path, headers=()):
        return self.request("GET", path, None, headers)

    def post(self, path, body=None, headers=(), role=None, user=None, claims=None):
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        told = (("Role", role), ("User", user), ("Claims", claims))
        pairs += [(f"{self.prefix}-{name}", value) for name, value in told if value is not None]
        return self.request("POST", path, body, pairs)

    def command(self, name, args=None, **options):
        """POST /command/NAME."""
        return self.post(f"/command/{name}", {} if args is None else args, **options)

    def set(self, *commands, isolation=None, **options):
        """POST /command/transactional_command_set; a command is a dict, or a tuple (name, args[, as])."""
        body = {"commands": [as_command(command) for command in commands]}
        if isolation:
            body["isolation"] = isolation
        return self.post("/command/transactional_command_set", body, **options)


def as_command(command):
    if isinstance(command, dict):
        return command
    return {key: value for key, value in zip(("command", "args", "as"), command) if value is not None}


def read_answer(connection, method="POST"):
    """One answer from a connected socket."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    finally:
        response.close()
    return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], body)
