"""Run the migrations on the connection in the settings, in its transaction."""

from __future__ import annotations

from alembic import context

from hyperllama.database.tables import metadata

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310577021)")  # two gateways may start together
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
