"""The budgets: what the chassis may cost. Ratios are against bare FastAPI in the same run.

Only ``INSTRUCTIONS``, ``IMPORT_MEGAINSTRUCTIONS`` and ``IMPORT_UNWANTED`` repeat well enough to fail a build
(``make bench CHECK=1``). The rest depends on the machine and is shown beside its budget.
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

P99_TRACED = 1.3
"""99th percentile of latency with every request traced, against none traced."""

HEALTH_P99_MS = 1.0
"""99th percentile of a liveness probe, milliseconds."""

MASK_CLEAN_US, MASK_DIRTY_US = 3.0, 45.0
"""Masking an event of 16 fields, without and with secrets in it, microseconds."""

LIMITER_US = 2.0
"""One decision of the rate limiter in memory, with one key and with a million, microseconds."""

EXPORT_US = 10.0
"""What the exporting thread does for a span, up to the bytes that are sent, microseconds."""

SETTINGS_MS = 20.0
"""Reading all settings from all sources, milliseconds."""

SCRAPE_MS = 50.0
"""Rendering 5,000 series, milliseconds."""

IMPORT_MS = 20.0
"""What importing the chassis adds to importing FastAPI, milliseconds."""

IMPORT_MEGAINSTRUCTIONS = 160.0
"""The same in millions of instructions, which repeats: a gate. FastAPI's own 160 ms are 1,270 of them."""

IMPORT_UNWANTED = 0
"""Packages imported although nothing uses them before they are asked for: a gate."""

MEMORY_MIB = 3.0
"""What the chassis adds to the memory of a FastAPI application, MiB."""

COPY = 1.1
"""``copier copy`` of the template against one of the same size without Jinja."""

UPDATE = 1.5
"""``copier update`` of a service, and ``make update`` without its tests, against one of such a template."""
