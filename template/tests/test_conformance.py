"""Owned by the template: the service keeps what the standard promises. Put tests of yours in other files."""

from chassis.testing.conformance import Conformance


class TestConformance(Conformance):
    """What the standard promises holds for this service."""
