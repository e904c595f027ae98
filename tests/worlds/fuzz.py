"""How many inputs a fuzz tries: a few in every test run, many more in the nightly one (`make fuzz`)."""

import os
import random

from hypothesis import settings

TIMES = int(os.environ.get("PINFUNNEL_FUZZ", "1"))


def examples(usual: int) -> int:
    """`usual` in a test run, PINFUNNEL_FUZZ times as many when that is set."""
    return usual * TIMES


def use_profile() -> None:
    """No test may depend on how fast the machine is; CI tries the same examples each time, all others new ones."""
    settings.register_profile(
        "pinfunnel", deadline=None, max_examples=examples(100), derandomize="CI" in os.environ and TIMES == 1
    )
    settings.load_profile("pinfunnel")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some bits flipped, the end cut off, noise in the head, or something else altogether."""
    kind = rng.randrange(5)
    if kind == 0:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 1:
        return rng.choice([b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"files": 3}', b"[" * 5000])
    out = bytearray(data)
    within = len(out) if kind == 2 else min(len(out), 128)
    for _ in range(rng.choice([1, 3, 20])):
        if within:
            out[rng.randrange(within)] = rng.randrange(256) if kind != 3 else out[rng.randrange(within)] ^ 1
    return bytes(out)
