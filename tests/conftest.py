"""What holds for all suites: which examples Hypothesis tries.

By default always the same ones, without a limit of time: what passed yesterday passes today, on a slow machine
too, and a new counterexample never stops work that has nothing to do with it. ``HYPOTHESIS_PROFILE=explore``
(`make explore`) looks for new ones; what it finds becomes an ``@example`` or a test.
"""

import os

from hypothesis import HealthCheck, settings

_UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("fixed", derandomize=True, database=None, **_UNHURRIED)
settings.register_profile("explore", print_blob=True, **_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
