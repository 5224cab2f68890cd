"""How Alembic runs here: on the connection that `migrate.upgrade` hands over, inside its transaction."""

from alembic import context

from steersman.backends.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the transaction is the caller's
    render_as_batch=True,
)
context.run_migrations()
