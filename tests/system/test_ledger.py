"""examples/ledger as it is: commands that only append events, and a projection of balances."""

import decimal
import random
import threading

import pytest

import harness
from harness import Site, wait_until

EXAMPLE = harness.SOURCE / "examples" / "ledger"
FAST = {"runners": 1, "runner": {"poll_ms": 50}, "workers": 4}


@pytest.fixture(scope="module")
def tables(database):
    """Behind writ install: its functions look at the log."""
    database.execute((EXAMPLE / "schema.sql").read_text())


@pytest.fixture
def site(database, tables):
    database.execute("truncate writ.event, writ.event_new, writ.projection, ledger.balance; update writ.event_tail set position = 0")
    with Site(database, (EXAMPLE / "manifest.yaml").read_text(), **FAST) as site:
        yield site


def call(site, name, **args):
    return site.client.command(name, args, role="customer", user="kim")


def opened(site, *accounts):
    for account in accounts:
        assert call(site, "open_account", account=account).status == 200


def projected(database):
    wait_until(lambda: database.one(
        "select not exists (select from writ.event_new) and position = (select max(position) from writ.event) from writ.projection"),
        "the projection to have seen all")
    return dict(database.execute("select account, balance from ledger.balance"))


def test_it_is_checked(database, site):
    assert "no errors" in harness.writ("check", "-c", site.writ.file).stdout


def test_an_account(site, database):
    opened(site, "ada")
    assert call(site, "open_account", account="ada").code == "ACCOUNT_EXISTS"
    assert call(site, "deposit", account="ada", amount=100).result == {"balance": 100}
    assert call(site, "withdraw", account="ada", amount=30.5).result == {"balance": 69.5}
    assert call(site, "withdraw", account="ada", amount=70).code == "INSUFFICIENT_FUNDS"
    assert call(site, "deposit", account="bob", amount=1).code == "NO_SUCH_ACCOUNT"
    for amount in (-1, 0, "NaN", "Infinity", "-Infinity"):  # NaN is more than anything to PostgreSQL
        assert {call(site, name, account="ada", amount=amount).status for name in ("deposit", "withdraw")} == {403}, amount
    assert call(site, "standing", account="ada").result == {"balance": 69.5}
    assert projected(database) == {"ada": decimal.Decimal("69.5")}
    answer = site.client.get("/events?key=ada", {"Test-Role": "auditor"})
    assert [(event["name"], event["payload"]) for event in answer.json["events"]] == [
        ("opened", {"owner": "kim"}), ("deposited", {"amount": 100, "balance": 100}),
        ("withdrawn", {"amount": 30.5, "balance": 69.5})]


def test_a_transfer_is_both_or_none(site, database):
    opened(site, "ada", "bob")
    call(site, "deposit", account="ada", amount=10)
    assert call(site, "transfer", **{"from": "ada", "to": "bob", "amount": 4}).result == {"from": 6, "to": 4}
    assert call(site, "transfer", **{"from": "ada", "to": "nobody", "amount": 1}).code == "NO_SUCH_ACCOUNT"
    assert call(site, "transfer", **{"from": "ada", "to": "bob", "amount": 7}).code == "INSUFFICIENT_FUNDS"
    assert projected(database) == {"ada": 6, "bob": 4}


def test_a_set_sees_its_own_decisions(site, database):
    opened(site, "ada")
    call(site, "deposit", account="ada", amount=10)
    twice = [("withdraw", {"account": "ada", "amount": 6})] * 2
    assert site.client.set(*twice, role="customer").code == "INSUFFICIENT_FUNDS"
    assert site.client.set(("withdraw", {"account": "ada", "amount": 6}), ("withdraw", {"account": "ada", "amount": 4}),
                           role="customer").status == 200
    assert projected(database) == {"ada": 0}


def test_never_below_zero(site, database):
    """Many at once on few accounts, the projection at work behind them."""
    accounts = ["a", "b", "c"]
    opened(site, *accounts)
    for account in accounts:
        call(site, "deposit", account=account, amount=20)
    counts = []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(25):
            one, other = chance.sample(accounts, 2)
            kind = chance.random()
            if kind < 0.5:
                answer = call(site, "transfer", **{"from": one, "to": other, "amount": chance.randrange(1, 25)})
            else:
                answer = call(site, "withdraw", account=one, amount=chance.randrange(1, 3))
            counts.append((kind >= 0.5, answer))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for _, answer in counts} <= {200, 409}, counts
    assert any(answer.status == 200 for _, answer in counts)
    found = projected(database)
    assert all(balance >= 0 for balance in found.values())
    assert database.one("select bool_and((payload ->> 'balance')::numeric >= 0) from writ.event where name <> 'opened'")
    taken = database.one("select coalesce(sum((payload ->> 'amount')::numeric), 0) from writ.event w where name = 'withdrawn' and "
                         "not exists (select from writ.event d where d.mutation = w.mutation and d.name = 'deposited')")
    assert sum(found.values()) == 60 - taken
    harness.writ("projection", "-c", site.writ.file, "rebuild", "balance")
    assert projected(database) == found, "built anew of the log, it is the same"
