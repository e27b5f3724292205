"""The proxy that other tests count and cut with: does it count and cut what it says? Asked with psycopg, whose round
trips are known: one for each execute, one for a whole pipeline."""

import concurrent.futures

import psycopg
import pytest

import harness


@pytest.fixture(scope="module")
def proxy(postgres):
    with harness.Proxy(postgres, delay_ms=5) as proxy:
        yield proxy


@pytest.fixture
def connection(proxy):
    with psycopg.connect(proxy.conninfo("postgres"), autocommit=True, prepare_threshold=None) as connection:
        proxy.reset()
        yield connection
    proxy.ask("clear")


@pytest.mark.parametrize("n", [1, 3, 50])
def test_statement_by_statement(proxy, connection, n):
    for _ in range(n):
        connection.execute("select 1")
    assert proxy.stats()["trips"] == n


@pytest.mark.parametrize("n", [1, 3, 50])
def test_pipeline(proxy, connection, n):
    """With a delay longer than psycopg takes to send it all: what it sends once it has an answer counts again."""
    proxy.ask("delay", ms=300)
    try:
        with connection.pipeline():
            for _ in range(n):
                connection.execute("select repeat('x', 10000), %s::text", ["y" * 10000])
    finally:
        proxy.ask("delay", ms=5)
    stats = proxy.stats()
    assert stats["trips"] == 1
    assert stats["to_client"] > n * 10000 < stats["to_server"]


def test_delay(proxy, connection):
    for _ in range(2):
        with harness.elapsed() as time:
            connection.execute("select 1")
        assert 0.005 <= time.seconds < 20
    proxy.ask("delay", ms=50)
    try:
        with harness.elapsed() as time:
            connection.execute("select 1")
        assert 0.05 <= time.seconds < 20
    finally:
        proxy.ask("delay", ms=5)


def test_cut_before_and_after(proxy, connection, postgres):
    """A statement that is cut off before it passes is not run; one whose answer is cut off is."""
    postgres.execute("drop table if exists cut; create table cut (n int); grant all on cut to writ")
    proxy.ask("rule", way="to_server", match="insert into cut", action="cut")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("insert into cut values (1)")
    assert proxy.stats()["fired"] == 1
    assert postgres.execute("select n from cut") == []
    with psycopg.connect(proxy.conninfo("postgres"), autocommit=True) as other:
        proxy.ask("rule", way="to_client", bytes=0, action="cut")
        with pytest.raises(psycopg.OperationalError):
            other.execute("insert into cut values (2)")
    assert harness.wait_until(lambda: postgres.execute("select n from cut"), "the row") == [(2,)]


def test_truncate(proxy, connection):
    before = proxy.stats()["to_client"]
    proxy.ask("rule", way="to_client", bytes=17, action="cut")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select repeat('x', 1000)")
    assert proxy.stats()["to_client"] == before + 17


def test_stall_and_resume(proxy, connection):
    proxy.ask("rule", way="to_client", bytes=3, action="stall")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: connection.execute("select 42").fetchone())
        try:
            harness.wait_until(lambda: proxy.stats()["fired"] == 1, "the stall")
            assert proxy.stats()["to_client"] == 3
            assert not waiting.done()
        finally:
            proxy.ask("resume")
        assert waiting.result(10) == (42,)


def test_refuse(proxy):
    proxy.ask("refuse", on=True)
    try:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.conninfo("postgres"), connect_timeout=5)
    finally:
        proxy.ask("refuse", on=False)
    psycopg.connect(proxy.conninfo("postgres"), connect_timeout=5).close()


def test_a_wrong_order_is_told(proxy):
    with pytest.raises(AssertionError, match="ValueError"):
        proxy.ask("dance")
