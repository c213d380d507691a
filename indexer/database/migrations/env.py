"""Runs the migrations on the connection that `indexer.database.connection.migrate` hands over."""

from alembic import context

db = context.config.attributes["connection"]
# The tables of version 1 call this function for every row that is written. Version 2 drops the
# column that takes its result.
connection = db.connection.driver_connection
connection.create_function("row_crc32", -1, lambda *values: 0, deterministic=True)
connection.execute("PRAGMA trusted_schema = ON")  # some builds of SQLite refuse it otherwise

context.configure(connection=db)
context.run_migrations()
