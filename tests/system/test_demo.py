"""./demo, as somebody who has just got the source would run it."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import harness

DEMO = harness.SOURCE / "demo"


@pytest.fixture(autouse=True)
def packages():
    """The demo installs what it needs; a test does not."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"], capture_output=True, text=True, check=True)
    installed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("installed ")}
    needed = set()
    for line in (harness.SOURCE / "packaging" / "packages").read_text().splitlines():
        section, _, names = line.partition(":")
        if section in ("build", "run"):
            needed |= set(names.split())
    if needed - installed:
        pytest.skip(f"not installed: {' '.join(sorted(needed - installed))}")


def demo(*arguments, **options):
    """Starts ./demo."""
    return subprocess.Popen(
        ["/bin/bash", DEMO, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, **options)


def processes(word):
    """Process ids that have word in their command line: each server of a demo has its folder's name there."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


@pytest.fixture
def folder():
    """For --dir. Not below the workspace: the demo makes it itself, as a user would have it."""
    return harness.workspace().root / f"demo{time.monotonic_ns() % 1_000_000}"


def descendants(pid):
    found = []
    for child in harness.children(pid):
        found += [child, *descendants(child)]
    return found


def gone(folder, pids):
    """No process of the demo is left."""
    harness.wait_until(
        lambda: not processes(str(folder)) and all(harness.process_state(pid) in (None, "Z") for pid in pids),
        f"the end of all processes of {folder}: {processes(str(folder))}", 20)


def test_exit(folder):
    """All examples are right, and nothing is left."""
    with demo("--exit", "--port", harness.free_port(), "--dir", folder) as process:
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert "answers were right" in output and "WRONG" not in output, output
    gone(folder, [])
    assert not list(folder.glob(".s.PGSQL*")), "PostgreSQL has been stopped in order"
    assert "immediate shutdown" not in (folder / "postgres.log").read_text()


def test_folder_of_its_own_is_removed():
    before = set(pathlib.Path("/tmp").glob("writ-demo.*"))
    with demo("--exit", "--port", harness.free_port()) as process:
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert set(pathlib.Path("/tmp").glob("writ-demo.*")) <= before


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


@pytest.mark.parametrize("sig", SIGNALS, ids=lambda sig: sig.name)
def test_stays_until_told(folder, sig):
    """It prints examples with their answers and stays; a signal ends everything, kill -9 too."""
    port = harness.free_port()
    # The tests may run where SIGINT is ignored, and a shell cannot undo that.
    restored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with demo("--port", port, "--dir", folder, **restored) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "until Ctrl-C" in line:
                break
        text = "".join(lines)
        assert process.poll() is None, text
        assert text.count("  curl ") == 3 and text.count("  -> ") == 3, text
        assert '-> 200 {"result":{"id":3001,"username":"ada"}}' in text
        answer = harness.Client(port).command("create_user", {"username": "carol"})
        assert answer.result == {"id": 3003, "username": "carol"}
        pids = descendants(process.pid)
        assert len(pids) > 5
        if os.geteuid() == 0:
            servers = {pid for pid in pids if pathlib.Path(f"/proc/{pid}").stat().st_uid != 0}
            names = {pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in servers}
            assert {"postgres", "nginx", "writd"} <= names
            root = {pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in set(pids) - servers}
            assert not root & {"postgres", "nginx", "writd"}, root
        process.send_signal(sig)
        assert process.wait(60) == SIGNALS[sig]
        gone(folder, pids)


@pytest.mark.parametrize("after", [0.1, 0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=lambda sig: sig.name)
def test_killed_while_it_starts(folder, sig, after):
    with demo("--exit", "--port", harness.free_port(), "--dir", folder) as process:
        time.sleep(after)  # the moment is the test's input, not a wait for something
        pids = descendants(process.pid)
        process.send_signal(sig)
        process.wait(60)
        gone(folder, pids)


def test_port_is_taken(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with demo("--exit", "--port", port, "--dir", folder) as process:
            output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"port {port} is taken" in output and "--port" in output
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [["--port"], ["--port", "x"], ["--port", "80"], ["--nonsense"], ["--dir"]])
def test_bad_arguments(arguments):
    with demo(*arguments) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode in (1, 2)
    assert "--port" in output


def test_folder_that_is_in_use(folder):
    """Somebody's files are not touched."""
    folder.mkdir()
    (folder / "precious").write_text("x")
    with demo("--exit", "--port", harness.free_port(), "--dir", folder) as process:
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 1
    assert "not empty" in output
    assert [file.name for file in folder.iterdir()] == ["precious"]
