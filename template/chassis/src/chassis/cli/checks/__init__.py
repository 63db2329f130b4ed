"""What ``chassis doctor`` looks at.

- ``installation``: Python, uv, the lock file, the extras of the bundles in use
- ``runtime``: config files, settings, ports, the application and, on request, its health checks
"""
