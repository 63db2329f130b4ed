"""The budgets: what the chassis may cost. Ratios are against bare FastAPI in the same run.

Only ``INSTRUCTIONS`` and ``IMPORT_MODULES`` repeat exactly enough to fail a build (``make bench CHECK=1``); the
rest depends on the machine and is shown beside its budget.
"""

from collections.abc import Mapping

UNTRACED, ONE_PERCENT, EVERY_REQUEST = "chassis", "chassis-1", "chassis-100"
"""The subjects: a service with everything on, of whose requests none, 1 % and all are traced."""

INSTRUCTIONS: Mapping[str, float] = {UNTRACED: 0.95, ONE_PERCENT: 0.97, EVERY_REQUEST: 1.02}
"""Instructions of a request. The gate."""

IN_PROCESS: Mapping[str, float] = {UNTRACED: 1.01, ONE_PERCENT: 1.02, EVERY_REQUEST: 1.10}
"""Time of a request without a socket."""

HANDLER_1_MS: Mapping[str, float] = {UNTRACED: 1.01, ONE_PERCENT: 1.01, EVERY_REQUEST: 1.015}
"""Median time of a request whose handler works for one millisecond."""

SERVER_CPU: Mapping[str, float] = {UNTRACED: 1.04, ONE_PERCENT: 1.05, EVERY_REQUEST: 1.11}
"""Processor time of the server for a request over a socket."""

SERVER_CPU_STRETCH = 0.6
"""What the rendered service is meant to reach one day, over a socket."""
