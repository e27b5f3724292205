"""writd as a process: how it starts, forks, reloads, drains, ends, and what it does when something of it dies."""

import collections
import contextlib
import datetime
import os
import pathlib
import pwd
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

import fastcgi
import harness
from crowd import Crowd, Later, at_once

SCHEMA = """
create table note (id bigint generated always as identity primary key, number integer not null);
grant select, insert on note to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add_note: { allow: [anonymous], sql: insert into note (number) values (:number) returning number, returns: one }
  pause: { allow: [anonymous], sql: "select pg_sleep(:seconds)::text as slept", args: { seconds: float8 }, returns: one }
  version: { allow: [anonymous], sql: "select VERSION as version", returns: one }
  backend: { allow: [anonymous], sql: select pg_backend_pid() as pid, returns: one }
"""
BROKEN = """
specVersion: 1
commands:
  add_note: { sql: insert into note (number) values (:number) returning number, returns: sometimes }
  more: { sqll: select 1 as one }
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start writd as root")
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) [a-z_-]+ who=\w+ pid=\d+( |$)")


def manifest(version=1):
    return MANIFEST.replace("VERSION", str(version))


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def pool(writ, name="border"):
    """The workers of a pool, once they have said which one they are of."""
    return [pid for pid in writ.workers() if comm(pid) == f"writd {name}"]


def full_pool(writ, size, name="border"):
    return harness.wait_until(lambda: len(pool(writ, name)) == size and sorted(pool(writ, name)), f"{size} {name} workers",
                              20 * harness.PATIENCE)


def gone(pid):
    return harness.process_state(pid) in (None, "Z")


def sleeping(database, count=1):
    """Waits until so many requests are in work in PostgreSQL."""
    harness.wait_until(lambda: database.one(
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()") >= count,
        f"{count} sleeping statements", 10 * harness.PATIENCE)


def lines(log, event):
    """The log's lines of one event, each as a dict of its pairs (and its time and level)."""
    found = []
    for line in log.splitlines():
        when, level, name, rest = (line.split(" ", 3) + ["", "", ""])[:4]
        if name == event:
            pairs = dict(re.findall(r'([\w-]+)=("(?:[^"\\]|\\.)*"|\S*)', rest))
            found.append({"time": datetime.datetime.fromisoformat(when.rstrip("Z")), "level": level, "line": line, **pairs})
    return found


def run_writd(*arguments, root=False, timeout=60):
    """writd to its end: (status, output)."""
    done = subprocess.run([str(harness.workspace().bin / "writd"), *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout * harness.PATIENCE,
                          cwd=harness.workspace().root, env=harness.environment(), **({} if root else harness.identity()))
    return done.returncode, done.stdout


@contextlib.contextmanager
def expect_failure(writ):
    """A writd that is to refuse to start."""
    with pytest.raises(RuntimeError, match="it ended with 1"):
        writ.start()
    yield writ.log()


# ---- start


def test_options(database):
    for option in ("-h", "--help"):
        status, text = run_writd(option)
        assert status == 0 and text.startswith("usage: writd"), text
    for option in ("-V", "--version"):
        status, text = run_writd(option)
        assert status == 0 and re.fullmatch(r"writd \d+\.\d+\S*\n", text), text
    for wrong in (["-x"], ["more"], ["-c"]):
        status, text = run_writd(*wrong)
        assert status == 2 and "usage: writd" in text, text
    status, text = run_writd("-c", "/nonexistent/writ.yaml")
    assert status == 1 and "/nonexistent/writ.yaml" in text, text


def test_test_of_the_configuration(database):
    """-t tells of every mistake with its place, touches no socket and no database."""
    writ = harness.Writ(database, manifest())
    status, text = run_writd("-t", "-c", writ.file)
    assert status == 0 and "fine" in text, text
    assert not writ.border_socket.exists()

    writ.write(BROKEN, worker_count=3)
    status, text = run_writd("--test", "--config", writ.file)
    assert status == 1, text
    assert "worker_count" in text, text
    status, text = run_writd("-c", writ.file)  # and does not start with it either
    assert status == 1 and not writ.border_socket.exists(), text

    del writ.settings["worker_count"]
    writ.write()
    status, text = run_writd("-t", "-c", writ.file)
    assert status == 1, text
    assert re.search(r"manifest\.yaml:4: .*sometimes", text), text
    assert re.search(r"manifest\.yaml:5: .*sqll", text), text


@as_root
def test_root_needs_a_user(database):
    for settings, reason in (({}, "user:"), ({"user": "root"}, "root"), ({"user": "no-such-user"}, "no-such-user"),
                             ({"user": "nobody", "group": "root"}, "group:"),
                             ({"user": "nobody", "group": "no-such-group"}, "no-such-group")):
        writ = harness.Writ(database, manifest(), as_root=True, **settings)
        with expect_failure(writ) as log:
            assert reason in log, log
        assert not writ.border_socket.exists()


@as_root
def test_root_starts_workers_as_the_user(database):
    nobody = pwd.getpwnam("nobody")
    writ = harness.Writ(database, manifest(), as_root=True, user="nobody")
    with_groups = ["/usr/bin/setpriv", "--groups", "4,27", *writ.command()]  # groups that workers must not keep
    writ.command = lambda: with_groups
    with writ:
        for pid in [*full_pool(writ, 2), *full_pool(writ, 1, "inside")]:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.M).group(1) == str(nobody.pw_uid), status
            assert re.search(r"^Gid:\t(\d+)\t\1\t\1\t\1$", status, re.M).group(1) == str(nobody.pw_gid), status
            groups = set(re.search(r"^Groups:\t?(.*)$", status, re.M).group(1).split())
            assert groups <= {str(nobody.pw_gid)}, status  # none of root's
            assert re.search(r"^CapEff:\t0+$", status, re.M), status
        body = b'{"number": 1}'
        assert fastcgi.ask(writ.border_socket, fastcgi.post("/command/add_note", body), body).status == 200
        os.kill(pool(writ)[0], signal.SIGKILL)  # its place is taken by somebody who is not root either
        for pid in full_pool(writ, 2):
            assert re.search(rf"^Uid:\t{nobody.pw_uid}\t", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)


@as_root
def test_owner_and_group_of_a_socket(database):
    www = pwd.getpwnam("www-data")
    with harness.Writ(database, manifest(), as_root=True, user="nobody") as writ:
        info = writ.border_socket.stat()
        assert (info.st_uid, info.st_gid) == (0, 0)
    writ.write(border={"socket": str(writ.border_socket), "owner": "nobody", "group": "www-data", "mode": "0640"})
    with writ:
        info = writ.border_socket.stat()
        assert (info.st_uid, info.st_gid) == (pwd.getpwnam("nobody").pw_uid, www.pw_gid)
        assert stat.S_IMODE(info.st_mode) == 0o640
    writ.write(border={"socket": str(writ.border_socket), "owner": "no-such-user"})
    with expect_failure(writ) as log:
        assert "no-such-user" in log


# ---- sockets


def test_mode_of_the_sockets(database):
    with harness.Writ(database, manifest()) as writ:
        assert stat.S_IMODE(writ.border_socket.stat().st_mode) == 0o660
        assert stat.S_IMODE(writ.inside_socket.stat().st_mode) == 0o660
    assert not writ.border_socket.exists() and not writ.inside_socket.exists()
    writ.write(border={"socket": str(writ.border_socket), "mode": "0600"},
               inside={"socket": str(writ.inside_socket), "mode": "0604"})
    with writ:
        assert stat.S_IMODE(writ.border_socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(writ.inside_socket.stat().st_mode) == 0o604


def count_waiting(path, most):
    """How many connections the socket takes while nobody accepts."""
    with contextlib.ExitStack() as stack:
        for count in range(most):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.setblocking(False)
            try:
                connection.connect(str(path))
            except BlockingIOError:
                return count
        return most


@pytest.mark.parametrize("backlog", [5, None], ids=["5", "default"])
def test_backlog(database, backlog):
    somaxconn = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    with harness.Writ(database, manifest(), workers=1) as writ:
        if backlog:
            writ.stop()
            writ.write(border={"socket": str(writ.border_socket), "backlog": backlog})
            writ.start()
        (worker,) = full_pool(writ, 1)
        expected = min(backlog or 1024, somaxconn) + 1  # the kernel's test is "more than"
        os.kill(worker, signal.SIGSTOP)
        try:
            harness.wait_until(lambda: harness.process_state(worker) == "T", "the worker to stand still")
            assert count_waiting(writ.border_socket, 2000) == expected
        finally:
            os.kill(worker, signal.SIGCONT)


def test_a_socket_left_behind_is_replaced(database):
    writ = harness.Writ(database, manifest())
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(writ.border_socket))
        left.listen()
    harness.give_away(writ.border_socket)
    with writ:
        body = b'{"number": 3}'
        assert fastcgi.ask(writ.border_socket, fastcgi.post("/command/add_note", body), body).status == 200


def test_a_file_that_is_no_socket_is_left_alone(database):
    writ = harness.Writ(database, manifest())
    writ.border_socket.write_text("precious")
    with expect_failure(writ) as log:
        assert str(writ.border_socket) in log
    assert writ.border_socket.read_text() == "precious"


def test_a_second_writd_is_refused(database):
    with harness.Site(database, manifest()) as site:
        second = harness.Writ(database, manifest(), border={"socket": str(site.writ.border_socket)})
        status, text = run_writd("-c", second.file)
        assert status == 1 and "another process is listening" in text, text
        assert not second.inside_socket.exists()
        assert site.client.command("add_note", {"number": 2}).status == 200
        third = harness.Writ(database, manifest(), inside={"socket": str(site.writ.inside_socket)})
        status, text = run_writd("-c", third.file)
        assert status == 1 and "another process is listening" in text, text
        assert not third.border_socket.exists()
        assert site.inside.get("/healthz").status == 200


# ---- pools


def test_pools(database):
    with harness.Site(database, manifest(), workers=3, inside_workers=2) as site:
        full_pool(site.writ, 3)
        full_pool(site.writ, 2, "inside")
        assert len(site.writ.workers()) == 5
        busy = [Later(site.client.command, "pause", {"seconds": 1}) for _ in range(3)]
        sleeping(database, 3)
        assert site.inside.command("version").result == {"version": 1}  # a full border leaves the inside alone
        assert [answer.get().status for answer in busy] == [200] * 3


def test_one_after_the_other_goes_to_one_worker(database):
    """Its caches are warm, and those of its backend. The others do what it has no time for."""
    with harness.Site(database, manifest(), workers=4) as site:
        workers = full_pool(site.writ, 4)
        busy = [Later(site.client.command, "pause", {"seconds": 1}) for _ in workers]
        sleeping(database, 4)
        assert [answer.get().status for answer in busy] == [200] * 4
        backends = collections.Counter()
        for _ in range(20):
            harness.wait_until(lambda: all(harness.process_state(pid) == "S" for pid in workers), "workers that wait")
            backends[site.client.command("backend").result["pid"]] += 1
        assert max(backends.values()) > 10, backends  # in turns they would have five each


@pytest.mark.parametrize("given, workers", [(os.SCHED_OTHER, os.SCHED_BATCH), (os.SCHED_IDLE, os.SCHED_IDLE)])
def test_workers_let_others_run(database, given, workers):
    """A worker that is woken does not take the processor from PostgreSQL (sched(7)); a policy that the operator has chosen stays."""
    if subprocess.run(["chrt", "-b", "0", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this machine lets nobody choose SCHED_BATCH")
    writ = harness.Writ(database, manifest(), workers=1, inside_workers=1)
    command = writ.command()
    writ.command = lambda: ["chrt", "-i" if given == os.SCHED_IDLE else "-o", "0", *command]
    with writ:
        policies = [os.sched_getscheduler(pid) for name in ("border", "inside") for pid in full_pool(writ, 1, name)]
        assert policies == [workers, workers]
        assert os.sched_getscheduler(writ.pid) == given


def test_no_inside_listener(database):
    writ = harness.Writ(database, manifest(), inside_workers=0)
    writ.ready = lambda: harness.listening(writ.border_socket)
    with writ:
        assert not writ.inside_socket.exists()
        full_pool(writ, 2)
        assert len(writ.workers()) == 2


def test_supervisor_has_no_connection(database):
    """It touches neither libpq nor requests."""
    with harness.Site(database, manifest()) as site:
        assert site.client.command("version").status == 200
        sockets = [link for link in map(os.readlink, pathlib.Path(f"/proc/{site.writ.pid}/fd").iterdir())
                   if link.startswith("socket:")]
        assert len(sockets) == 6  # the two that it listens on, and the pairs by which workers wake runners, of after-hooks and of mutations


def test_max_requests(database):
    with harness.Site(database, manifest(), workers=1, max_requests=5) as site:
        mark = site.writ.log_mark()
        for number in range(100, 130):
            assert site.client.command("add_note", {"number": number}).result == {"number": number}
        ends = lines(site.writ.log_since(mark), "worker-end")
        ends = [end for end in ends if end["pool"] == "border"]
        assert 3 <= len(ends) <= 8, ends
        assert {end["exit"] for end in ends} == {"0"}
        assert all(4 <= int(end["requests"]) <= 6 for end in ends), ends
        assert {end["level"] for end in ends} == {"info"}  # nothing is wrong


# ---- reload


def test_reload_under_load_loses_no_request(database):
    with harness.Site(database, manifest(0), workers=2) as site:
        first = full_pool(site.writ, 2)

        def send(number):
            answer = site.client.command("add_note", {"number": 1000 + number})
            assert answer.status == 200, answer
            return answer

        with Crowd(6, send) as crowd:
            crowd.wait_for(20)
            for version in range(1, 6):
                site.writ.write(manifest(version))
                site.writ.reload()
                harness.wait_until(lambda: site.client.command("version").result == {"version": version},
                                   f"version {version}", 20 * harness.PATIENCE)
                crowd.wait_for(20)
        assert database.one("select count(*) from note where number > 1000") == len(crowd.outcomes)
        harness.wait_until(lambda: all(gone(pid) for pid in first), "the first workers to leave", 10 * harness.PATIENCE)
        harness.wait_until(lambda: len(site.writ.workers()) == 3, "old workers to leave", 10 * harness.PATIENCE)
        # Once all of the old ones have left nobody answers as they would.
        assert {site.client.command("version").result["version"] for _ in range(20)} == {5}
        ends = lines(site.writ.log(), "worker-end")
        assert {end.get("exit") for end in ends} == {"0"}, ends
        assert len([line for line in lines(site.writ.log(), "reload") if line["done"] == "1"]) == 5


def test_a_request_in_work_outlives_the_reload(database):
    with harness.Site(database, manifest(1), workers=2) as site:
        old = full_pool(site.writ, 2)
        long = Later(site.client.command, "pause", {"seconds": 1.5})
        sleeping(database)
        site.writ.write(manifest(2))
        site.writ.reload()
        harness.wait_until(lambda: site.client.command("version").result == {"version": 2}, "the new manifest")
        assert len([pid for pid in old if not gone(pid)]) >= 1
        assert long.get().status == 200
        harness.wait_until(lambda: all(gone(pid) for pid in old), "the old workers to leave", 10 * harness.PATIENCE)
        full_pool(site.writ, 2)


def test_reload_changes_the_settings(database):
    with harness.Site(database, manifest(), workers=2, limits={"commands": 3}) as site:
        commands = [("version", {})] * 4
        assert site.client.set(*commands).code == "TOO_MANY_COMMANDS"
        site.writ.write(workers=4, limits={"commands": 4})
        site.writ.reload()
        full_pool(site.writ, 4)
        harness.wait_until(lambda: site.client.set(*commands).status == 200, "the new limit")
        site.writ.write(workers=1)
        site.writ.reload()
        full_pool(site.writ, 1)
        assert site.client.set(*commands).status == 200


def test_a_bad_manifest_changes_nothing(database):
    with harness.Site(database, manifest(1), workers=2) as site:
        before = full_pool(site.writ, 2)
        mark = site.writ.log_mark()
        site.writ.write(BROKEN)
        site.writ.reload()
        (report,) = harness.wait_until(lambda: lines(site.writ.log_since(mark), "reload"), "the outcome of the reload",
                                       20 * harness.PATIENCE)
        assert report["done"] == "0" and report["level"] == "error", report
        problems = [line["line"] for line in lines(site.writ.log_since(mark), "problem")]
        assert any("manifest.yaml:4" in line for line in problems), problems
        assert any("manifest.yaml:5" in line for line in problems), problems
        assert full_pool(site.writ, 2) == before
        assert site.client.command("version").result == {"version": 1}

        # A worker that has to be replaced now runs what its fellows run, whatever stands in the file.
        os.kill(before[0], signal.SIGKILL)
        harness.wait_until(lambda: len(pool(site.writ)) == 2 and before[0] not in pool(site.writ), "a new worker")
        assert {site.client.command("version").result["version"] for _ in range(10)} == {1}

        site.writ.file.write_text("workers: many\n")  # nor does a bad configuration
        mark = site.writ.log_mark()
        site.writ.reload()
        (report,) = harness.wait_until(lambda: lines(site.writ.log_since(mark), "reload"), "the outcome of the reload",
                                       20 * harness.PATIENCE)
        assert report["done"] == "0"
        assert site.client.command("version").result == {"version": 1}

        site.writ.write(manifest(3))
        site.writ.reload()
        harness.wait_until(lambda: site.client.command("version").result == {"version": 3}, "the good manifest")


# ---- stop


def test_sigterm_finishes_the_requests_in_work(database):
    site = harness.Site(database, manifest(), workers=3)
    with site:
        busy = [Later(site.client.set, ("pause", {"seconds": 1}), ("add_note", {"number": 5000 + n})) for n in range(3)]
        sleeping(database, 3)
        site.writ.process.send_signal(signal.SIGTERM)
        harness.wait_until(lambda: not site.writ.border_socket.exists(), "the socket to go")
        answer = site.client.command("version")  # told at once, not left to wait
        assert answer.status == 502 and answer.code == "BAD_GATEWAY", answer
        assert [answer.get().status for answer in busy] == [200] * 3
        assert site.writ.process.wait(10 * harness.PATIENCE) == 0
        assert database.one("select count(*) from note where number between 5000 and 5002") == 3
        assert not site.writ.inside_socket.exists()


def test_drain_has_an_end(database):
    with harness.Site(database, manifest(), workers=2, drain_ms=300) as site:
        busy = Later(site.client.command, "pause", {"seconds": 25})
        sleeping(database)
        workers = site.writ.workers()
        site.writ.process.send_signal(signal.SIGTERM)
        assert site.writ.process.wait(20 * harness.PATIENCE) == 0
        assert busy.get().status == 502
        assert all(gone(pid) for pid in workers)
        assert len(lines(site.writ.log(), "worker-kill")) == 1
        (end,) = [line for line in lines(site.writ.log(), "worker-end") if "signal" in line]
        assert end["signal"] == "SIGKILL" and end["in_request"] == "1" and end["level"] == "warn"
    stop_sleepers(database)


def stop_sleepers(database):
    """A backend whose client was killed in a pg_sleep sleeps on."""
    database.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]], ids=["SIGQUIT", "SIGINT twice"])
def test_fast_stop(database, signals):
    with harness.Site(database, manifest(), workers=2) as site:
        busy = Later(site.client.command, "pause", {"seconds": 20})
        sleeping(database)
        workers = site.writ.workers()
        for number in signals:
            site.writ.process.send_signal(number)
            harness.wait_until(lambda: not site.writ.border_socket.exists(), "the stop to begin")
        assert site.writ.process.wait(5 * harness.PATIENCE) == 0
        assert busy.get().status == 502
        assert all(gone(pid) for pid in workers)
    stop_sleepers(database)


# ---- deaths


def test_a_worker_that_keeps_dying_gets_a_growing_pause(database):
    with harness.Site(database, manifest(), workers=1) as site:
        mark = site.writ.log_mark()
        for _ in range(5):
            (worker,) = full_pool(site.writ, 1)
            os.kill(worker, signal.SIGKILL)
            harness.wait_until(lambda: gone(worker), "it to be gone")
        full_pool(site.writ, 1)
        assert site.client.command("version").status == 200
        log = site.writ.log_since(mark)
        ends = lines(log, "worker-end")
        starts = [line for line in lines(log, "worker-start") if line["pool"] == "border"]
        assert len(ends) == len(starts) == 5, log
        pauses = [(start["time"] - end["time"]).total_seconds() for start, end in zip(starts, ends)]
        for i, pause in enumerate(pauses):
            assert pause >= 0.1 * 2 ** i - 0.005, pauses  # the log's times are cut to milliseconds
            assert pause < 0.1 * 2 ** i + 10 * harness.PATIENCE, pauses


def test_how_a_child_ended_in_one_line(database):
    with harness.Site(database, manifest(), workers=2) as site:
        killed, left = full_pool(site.writ, 2)
        busy = Later(site.client.command, "pause", {"seconds": 20})
        sleeping(database)
        mark = site.writ.log_mark()
        os.kill(killed, signal.SIGABRT)
        os.kill(left, signal.SIGTERM)
        harness.wait_until(lambda: gone(killed), "one to die")
        ends = harness.wait_until(
            lambda: len(found := lines(site.writ.log_since(mark), "worker-end")) >= 1 and found, "its line")
        # One of the two had the request in work: if it is the one that was told to leave, it leaves when the request ends.
        end = next(end for end in ends if end["worker"] == str(killed))
        assert end["signal"] == "SIGABRT" and end["pool"] == "border" and end["level"] == "error", end
        assert {"requests", "lived_ms", "in_request"} <= set(end), end
        stop_sleepers(database)
        busy.get()
        harness.wait_until(lambda: gone(left), "the other to leave", 10 * harness.PATIENCE)
        end = harness.wait_until(lambda: [end for end in lines(site.writ.log_since(mark), "worker-end")
                                          if end["worker"] == str(left)], "its line")[0]
        assert end["exit"] == "0" and end["level"] == "info", end
        full_pool(site.writ, 2)
        for line in site.writ.log().splitlines():
            assert LINE.match(line), line


def test_a_log_without_a_reader_ends_nothing(database):
    """Standard error is a pipe, and whoever read it is gone."""
    with harness.Site(database, manifest(1), workers=1) as site:
        site.writ.stop()
        reader, log = os.pipe()
        writd = subprocess.Popen([str(word) for word in site.writ.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 cwd=site.writ.folder, env=harness.environment(), **harness.identity())
        os.close(log)
        try:
            harness.wait_until(site.writ.ready, "writd", 20 * harness.PATIENCE)
            os.close(reader)
            victim = harness.wait_until(lambda: [pid for pid in harness.children(writd.pid) if comm(pid) == "writd border"],
                                        "its worker", 20 * harness.PATIENCE)[0]
            os.kill(victim, signal.SIGKILL)
            harness.wait_until(lambda: gone(victim), "the supervisor to see it")
            for harmless in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):  # other servers open their logs anew
                writd.send_signal(harmless)
            assert site.client.command("add_note", {"number": 6100}).status == 200
            writd.terminate()
            assert writd.wait(20 * harness.PATIENCE) == 0
        finally:
            writd.kill()
            writd.wait()


def test_workers_end_with_a_dead_parent(database):
    """kill -9 of the supervisor: the request in work is answered, all workers leave, and the next writd can start."""
    with harness.Site(database, manifest(1), workers=2) as site:
        workers = site.writ.workers()
        busy = Later(site.client.set, ("pause", {"seconds": 1}), ("add_note", {"number": 6000}))
        sleeping(database)
        site.writ.kill()
        assert busy.get().status == 200
        harness.wait_until(lambda: all(gone(pid) for pid in workers), "the workers to leave", 10 * harness.PATIENCE)
        assert site.writ.border_socket.exists()  # nobody was left to remove it
        site.writ.start()
        assert site.client.command("add_note", {"number": 6001}).status == 200
    assert database.one("select count(*) from note where number in (6000, 6001)") == 2


def test_a_restart_at_once_after_kill_9(database):
    """The next writd does not have to wait for the workers of the dead one."""
    with harness.Site(database, manifest(1), workers=2) as site:
        old = site.writ.workers()
        busy = Later(site.client.command, "pause", {"seconds": 3})
        sleeping(database)
        site.writ.kill()
        site.writ.start()
        assert site.client.command("version").status == 200
        assert busy.get().status == 200
        harness.wait_until(lambda: all(gone(pid) for pid in old), "the old workers to leave", 10 * harness.PATIENCE)


# ---- a database that is not there


def start_without_database(site):
    site.writ.start()
    site.nginx.start()
    harness.wait_until(lambda: site.inside.get("/healthz").status == 200, "/healthz", 20 * harness.PATIENCE)


def refused(answer):
    assert answer.status == 503 and answer.code == "DATABASE_UNAVAILABLE", answer
    assert answer.json["retryable"] is True
    assert int(answer.header("retry-after")) >= 1
    return True


def test_postgresql_down_at_start(database, postgres):
    """No reason to stop: 503 until it is there, and then no restart is needed."""
    proxy = harness.Proxy(postgres)  # started later: until then nothing listens where the database should be
    site = harness.Site(database, manifest(1), datasources={"default": proxy.conninfo(database.name)})
    try:
        start_without_database(site)
        before = full_pool(site.writ, 2)
        refused(site.client.command("version"))
        answer = site.inside.get("/readyz")
        assert answer.status == 503 and answer.code == "DATABASE_UNAVAILABLE", answer
        assert site.client.command("no_such_command").code == "UNKNOWN_COMMAND"  # what needs no database is told
        with proxy:
            assert site.client.command("version").result == {"version": 1}
            assert site.inside.get("/readyz").status == 200
            assert {answer.status for answer in at_once([lambda: site.client.command("version")] * 8)} == {200}
        refused(site.client.command("version"))
        with proxy:
            assert site.client.command("version").result == {"version": 1}
            assert full_pool(site.writ, 2) == before
    finally:
        site.stop()


def test_schema_writ_installed_later(postgres):
    """A database that `writ install` has not seen: 503 and a word in the log, until it has."""
    database = harness.Database(postgres, "writd_install_later", SCHEMA, install=False)
    site = harness.Site(database, manifest(1))
    try:
        start_without_database(site)
        refused(site.client.command("version"))
        assert site.inside.get("/readyz").status == 503
        assert "writ install" in site.writ.log()
        database.install()
        assert site.client.command("version").result == {"version": 1}
        assert site.inside.get("/readyz").status == 200
    finally:
        site.stop()
        database.drop()
