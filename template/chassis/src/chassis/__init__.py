"""The service chassis, from the composition root down to its leaves.

- ``chassis.app``: ``create_app``, which builds the whole service
- ``chassis.bundle``: the ``Bundle`` protocol and the ``Environment`` a bundle registers with
- ``chassis.server``: the process: signals, drain, workers
- ``chassis.service_settings``: ``ServiceSettings``, everything the chassis can be told
- ``chassis.middleware``: the one layer that every request passes
- ``chassis.health``, ``ratelimit``, ``http_client``, ``security``, ``lifecycle``: one concern each
- ``chassis.logging``, ``metrics``, ``tracing``: what the service says about itself
- ``chassis.settings``, ``secrets``, ``errors``, ``context``, ``masking``, ``release``: the foundations
- ``chassis.bundles``: optional features, each behind an extra of the same name
- ``chassis.testing``: fixtures and the conformance suite

Nothing is imported here and nothing happens at import: take each name from the module it lives in.
"""
