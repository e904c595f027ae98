"""Settings of the property-based tests."""

from tests.worlds.fuzz import use_profile

use_profile()
