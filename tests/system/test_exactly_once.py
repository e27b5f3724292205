"""A small run of tests/chaos/exactly-once, which does it with 10,000 requests and 100 faults."""

import os
import random

from chaos import exactly_once

SEED = int(os.environ.get("WRIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def test_keyed_requests_through_faults():
    wrong = exactly_once.run(requests=1000, faults=25, seed=SEED)
    assert not wrong, f"WRIT_SEED={SEED}: {wrong[:5]}"
