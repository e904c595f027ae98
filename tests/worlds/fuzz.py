"""How many inputs a fuzz tries: a few in every test run, many more in the nightly one (`make fuzz`)."""

import os

TIMES = int(os.environ.get("PINFUNNEL_FUZZ", "1"))


def examples(usual: int) -> int:
    """`usual` in a test run, PINFUNNEL_FUZZ times as many when that is set."""
    return usual * TIMES
