"""How many examples a law gets: ``--hypothesis-profile=nightly`` or ``HYPOTHESIS_PROFILE`` chooses."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# A law runs whole actor systems on a shared machine: wall-clock deadlines would make it flaky, and what
# a deadline is meant to find (a hang) the explorer finds in virtual time.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("dev", _COMMON, max_examples=25)
settings.register_profile("ci", _COMMON, max_examples=200, derandomize=True, database=None)
settings.register_profile("nightly", _COMMON, max_examples=20_000)
# For tests/mutants: to know that a law fails is enough, shrinking would only take time.
settings.register_profile(
    "mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], print_blob=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
