"""A small run of tests/chaos/events, which does it with 20,000 transactions and 200 faults."""

import os
import random

from chaos import events

SEED = int(os.environ.get("WRIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def test_the_log_is_what_was_committed():
    wrong = events.run(transactions=600, kills=12, seed=SEED)
    assert not wrong, f"WRIT_SEED={SEED}: {wrong[:5]}"
