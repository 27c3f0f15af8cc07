"""How many examples a law gets: ``--hypothesis-profile=nightly`` or ``HYPOTHESIS_PROFILE`` chooses.

``dev`` and ``ci`` draw the same examples each time: what passed on one machine passes on the next, and a
change is not refused for a case that it did not touch. ``explore`` and ``nightly`` draw new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# A law runs whole actor systems on a shared machine: wall-clock deadlines would make it flaky, and what
# a deadline is meant to find (a hang) the explorer finds in virtual time.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("dev", _COMMON, max_examples=25, derandomize=True, database=None)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200)
settings.register_profile("explore", _COMMON, max_examples=1_000)
settings.register_profile("nightly", _COMMON, max_examples=20_000)
# For tests/mutants: to know that a law fails is enough, shrinking would only take time.
settings.register_profile(
    "mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], print_blob=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
