"""What Alembic runs to carry out the revisions.

On the connection that it was given, each in its own transaction.
"""

from __future__ import annotations

from alembic import context

from leadscore.events.schema import REVISION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=REVISION_TABLE,
    transaction_per_migration=True,
    # SQLite can roll a changed schema back, too.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
