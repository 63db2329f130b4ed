"""Whether the service is well, and whether it should get requests.

- ``check``: ``HealthCheck``, one question, and the result of asking it
- ``probe``: how a check is asked: time limit, short cache, one flight at a time
- ``system``: the built-in checks of memory and disk
- ``health``: ``Health``, all checks of a service and what follows from them
- ``routes``: the four endpoints
- ``settings``: ``HealthSettings``
"""

from chassis.health.check import CheckResult, Degraded, HealthCheck, Status
from chassis.health.health import Health, HealthReport
from chassis.health.settings import HealthSettings

__all__ = ["CheckResult", "Degraded", "Health", "HealthCheck", "HealthReport", "HealthSettings", "Status"]
