"""Runs the migrations on the connection that `indexer.database.connection.migrate` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
