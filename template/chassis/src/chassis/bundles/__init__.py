"""Optional features of a service, each behind an extra of the same name.

- ``chassis.bundles.database``: SQLAlchemy sessions on SQLite or PostgreSQL, and their migrations

A service chooses one by its extra, ``vendored-chassis[database]``, and one line in its ``app.py``::

    create_app(settings, bundles=[Database(settings.database)])

Nothing is imported here: what a service did not choose costs it nothing.
"""
