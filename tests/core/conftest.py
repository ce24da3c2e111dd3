"""Settings of the core's tests."""

from hypothesis import settings

settings.register_profile("core", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("core")
