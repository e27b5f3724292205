"""Fixtures for all tests, and the logs of the servers where a test failed."""

import os
import re
import signal

import pytest

import harness


def pytest_configure():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: with the servers stopped


def pytest_report_header():
    return [f"writ: build {harness.BUILD}" + (", under valgrind" if harness.VALGRIND else "")
            + (", servers run as nobody" if harness.UNPRIVILEGED else "")]


@pytest.fixture(scope="session")
def postgres():
    """One cluster for the session. Tests that stop or break PostgreSQL start one of their own."""
    with harness.Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres, request):
    """A database for the module, with schema writ. A module's SCHEMA (SQL text), when it has one, is run first."""
    name = re.sub(r"\W", "_", request.module.__name__)
    database = harness.Database(postgres, name, getattr(request.module, "SCHEMA", ""))
    yield database
    if postgres.running():  # it is not when pytest itself is ended in the middle: then that is what is to be shown
        database.drop()


# Where a test failed: what the servers that lived during it had to say.

marks = {}


def pytest_runtest_setup():
    marks.clear()
    marks.update({server: server.log_mark() for server in harness.started})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for server in harness.started:
            text = server.log_since(marks.get(server, 0)) if server.log_file.exists() else ""
            if text:
                report.sections.append((f"log of {server.name} ({server.folder})", text[-20000:]))


def pytest_runtest_teardown(item, nextitem):
    harness.started[:] = [server for server in harness.started if server.running()]


def pytest_sessionfinish(session):
    for server in reversed(harness.started):  # left behind only by a test that broke its own clean-up
        server.kill()
    if harness._workspace and not os.environ.get("WRIT_KEEP"):
        harness._workspace.remove()
    elif harness._workspace:
        print(f"\nkept: {harness._workspace.root}")
