"""Alembic runs this file for each command; the work is in chassis.bundles.database.migrations.

``run`` passes further arguments to Alembic's ``context.configure``.
"""

from chassis.bundles.database import Base
from chassis.bundles.database.migrations import run

run(Base.metadata)
