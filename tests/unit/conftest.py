"""Settings of the property-based tests, which are all unit tests."""

import os

from hypothesis import settings

# No test may depend on how fast the machine is; CI tries the same examples each time, a developer's run new ones.
settings.register_profile("pinfunnel", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("pinfunnel")
