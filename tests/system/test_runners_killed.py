"""A small run of tests/chaos/runners, which kills 200 times."""

import os
import random

from chaos import runners

SEED = int(os.environ.get("WRIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def test_mutations_through_kills():
    wrong = runners.run(kills=20, seed=SEED)
    assert not wrong, f"WRIT_SEED={SEED}: {wrong[:5]}"
