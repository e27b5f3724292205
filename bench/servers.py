"""The servers of the benchmark, on top of the classes of the tests: one private PostgreSQL, and for each delay a stack
of writd, php-fpm and the nginx in front of both."""

import glob
import pathlib
import shutil
import signal
import sys

BENCH = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "tests"))

import harness  # noqa: E402

WORKERS = 8  # writd's border workers, php-fpm's children, and pgbench's clients


def postgres(synchronous_commit="off", **settings):
    """A cluster that does not surprise: no autovacuum and no timed checkpoint falls into one system's turn."""
    return harness.Postgres(
        fsync="on", synchronous_commit=synchronous_commit, max_connections=100, shared_buffers="256MB",
        autovacuum="off", checkpoint_timeout="1h", max_wal_size="8GB", log_checkpoints="off",
        **settings)


def database(cluster, install):
    """install: schema writ too, by `writ install`. All systems log in as the same role, which owns nothing."""
    made = harness.Database(cluster, "bench", (BENCH / "schema.sql").read_text(), install)
    made.execute(f"grant select, insert on app_user, audit, item, blocked to {harness.LOGIN_ROLE}")
    return made


class DelayProxy(harness.Server):
    """delay_proxy.c between the applications and PostgreSQL."""

    name = "delay"
    port = 5432

    def __init__(self, cluster, round_trip_ms):
        super().__init__()
        self.round_trip_us = round(round_trip_ms * 1000)
        self.target = cluster.folder / f".s.PGSQL.{cluster.port}"
        self.socket = self.folder / f".s.PGSQL.{self.port}"
        self.program = self.folder / "delay_proxy"
        shutil.copy(BENCH / "delay_proxy.c", self.folder)
        harness.run(["cc", "-std=gnu11", "-O2", "-o", self.program, self.folder / "delay_proxy.c"])

    def command(self):
        return [self.program, self.socket, self.target, self.round_trip_us]

    def ready(self):
        return harness.listening(self.socket)


class Route:
    """How an application reaches the database: directly, or by a delay proxy. Looks like a Database to harness.Writ."""

    def __init__(self, database, proxy):
        self.host = proxy.folder if proxy else database.postgres.folder
        self.dbname = database.name
        self.conninfo = f"host={self.host} port=5432 dbname={self.dbname} user={harness.LOGIN_ROLE}"


class Php(harness.Server):
    """php-fpm with the scripts of bench/php."""

    name = "php"
    stop_signal = signal.SIGTERM

    def __init__(self):
        super().__init__()
        self.socket = self.folder / "php.sock"
        self.scripts = self.folder / "php"
        shutil.copytree(BENCH / "php", self.scripts)
        (self.folder / "php-fpm.conf").write_text(f"""
[global]
daemonize = no
error_log = {self.folder}/error.log
[bench]
listen = {self.socket}
listen.backlog = 1024
pm = static
pm.max_children = {WORKERS}
pm.max_requests = 0
php_admin_value[opcache.validate_timestamps] = 0
php_admin_value[display_errors] = 0
php_admin_value[error_log] = {self.folder}/error.log
""")

    @staticmethod
    def program():
        """php-fpm8.2 on Debian 12; None when it is not installed."""
        return next(iter(sorted(glob.glob("/usr/sbin/php-fpm*"), reverse=True)), None)

    def command(self):
        return [self.program(), "-F", "-y", self.folder / "php-fpm.conf"]

    def ready(self):
        return harness.listening(self.socket)


def writ(route, workers=WORKERS, **settings):
    """writd with the benchmark's manifest. It does not log requests, since nginx and php-fpm do not either."""
    return harness.Writ(
        route, (BENCH / "manifest.yaml").read_text(), **{"workers": workers, "log_level": "warn", **settings})


WRIT_LOCATION = """
    location /command/ {
      include writ/writ.conf;
    }
"""

PHP_LOCATION = """
    location /php/ {
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME %(scripts)s/$php_script;
      fastcgi_param PG_CONNINFO "%(conninfo)s";
      fastcgi_pass unix:%(socket)s;
    }
"""


def replace(file, old, new):
    text = file.read_text()
    assert old in text, f"no {old!r} in {file}"
    file.write_text(text.replace(old, new))


class Front(harness.Nginx):
    """nginx on a port of the loopback, since wrk speaks TCP only; one worker, no access log, clients' connections are
    kept."""

    def __init__(self, locations, border_socket="/nonexistent", keepalive=False):
        """keepalive: what nginx-conf/README.md warns of, to see what it does."""
        self.port = harness.free_port()
        super().__init__(f"""
  access_log off;
  keepalive_requests 1000000000;
  map $uri $php_script {{ default none; ~^/php/(?<name>[a-z0-9]+\\.php)$ $name; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=1024;
    include writ/problems.conf;
{locations}
  }}
""", border_socket)
        conf = self.folder / "nginx.conf"
        replace(conf, "  access_log access.log;\n", "")  # nginx wants it once
        if keepalive:
            replace(conf, f"unix:{border_socket};", f"unix:{border_socket}; keepalive 8;")
        self.client = harness.Client(self.port)


class Stack:
    """What stands between the load and PostgreSQL at one delay; systems: which of writ and php are wanted."""

    def __init__(self, database, delay_ms, systems, **settings):
        self.proxy = DelayProxy(database.postgres, delay_ms) if delay_ms else None
        self.route = Route(database, self.proxy)
        self.applications = {}
        locations, border = "", "/nonexistent"
        if "writ" in systems:
            self.applications["writ"] = writ(self.route, **settings)
            border = self.applications["writ"].border_socket
            locations += WRIT_LOCATION
        if "php" in systems:
            php = self.applications["php"] = Php()
            locations += PHP_LOCATION % {"scripts": php.scripts, "conninfo": self.route.conninfo, "socket": php.socket}
        self.nginx = Front(locations, border)

    def servers(self):
        return [server for server in (self.proxy, *self.applications.values(), self.nginx) if server]

    def __enter__(self):
        started = []
        try:
            for server in self.servers():
                started.append(server.start())
        except BaseException:
            for server in reversed(started):
                server.kill()
            raise
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers()):
            server.stop()
