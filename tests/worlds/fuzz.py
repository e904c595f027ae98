"""How many inputs a fuzz tries: a few in every test run, many more in the nightly one (`make fuzz`)."""

import os

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
