"""Many callers at once, while a test does something to the servers.

    with Crowd(8, lambda number: site.client.command("add_note", {"text": str(number)})) as crowd:
        site.writ.reload()
    assert all(answer.status == 200 for number, answer in crowd.outcomes)
"""

import itertools
import threading
import time

import harness


class Crowd:
    """Threads that call send(number) one time after the other, with a number that no other call has, until the block ends.
    What send raises ends the crowd, and fails the test at the end of the block."""

    def __init__(self, size, send):
        self.send = send
        self.outcomes = []  # (number, what send gave)
        self.errors = []
        self.numbers = itertools.count(1)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(size)]

    def call(self):
        while not self.over.is_set():
            number = next(self.numbers)  # one bytecode: no two threads get the same
            try:
                self.outcomes.append((number, self.send(number)))
            except Exception as error:
                self.errors.append(error)
                self.over.set()

    def wait_for(self, more, timeout=20):
        """Until so many more calls have come back (or one failed)."""
        wanted = len(self.outcomes) + more
        harness.wait_until(lambda: len(self.outcomes) >= wanted or self.errors, f"{more} more requests",
                           timeout * harness.PATIENCE)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        deadline = time.monotonic() + 60 * harness.PATIENCE
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
        if kind is None:
            assert not any(thread.is_alive() for thread in self.threads), "a request hangs"
            if self.errors:
                raise self.errors[0]


class Later:
    """One call in a thread: started now, its outcome asked for later."""

    def __init__(self, call, *arguments, **options):
        self.outcome = self.error = None
        self.thread = threading.Thread(target=self.run, args=(call, arguments, options), daemon=True)
        self.thread.start()

    def run(self, call, arguments, options):
        try:
            self.outcome = call(*arguments, **options)
        except Exception as error:
            self.error = error

    def get(self, timeout=30):
        self.thread.join(timeout * harness.PATIENCE)
        assert not self.thread.is_alive(), "the request hangs"
        if self.error:
            raise self.error
        return self.outcome


def at_once(calls):
    """All of these functions at the same moment, each in a thread; what they gave, in order."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    return [later.get(60) for later in [Later(run, call) for call in calls]]
