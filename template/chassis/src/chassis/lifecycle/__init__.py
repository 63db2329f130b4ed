"""What a service opens, keeps running and closes.

- ``lifecycle``: ``Lifecycle``, the order in which things start, drain and close
- ``resource``: ``Resource``, one thing that is open while the service runs
- ``supervision``: ``Supervisor``, background tasks that are restarted when they fail
- ``backoff``: ``Backoff``, how long to wait before the next attempt
- ``cancellation``: a task that is cancelled, as against one that awaited something that was
- ``settings``: ``LifecycleSettings``, the times of a stop
"""

from chassis.lifecycle.backoff import Backoff
from chassis.lifecycle.lifecycle import Lifecycle, StartupError, State
from chassis.lifecycle.resource import Resource
from chassis.lifecycle.settings import LifecycleSettings

__all__ = ["Backoff", "Lifecycle", "LifecycleSettings", "Resource", "StartupError", "State"]
