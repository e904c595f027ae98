"""Settings of the property-based tests, which are all unit tests."""

from hypothesis import settings

settings.register_profile("pinfunnel", deadline=None)  # no test may depend on how fast the machine is
settings.load_profile("pinfunnel")
