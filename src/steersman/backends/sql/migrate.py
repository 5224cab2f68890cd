"""Bring a store of an older version up to date. Imported only when that is due."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(url: URL, revision: str = "head", *, begin: str = "", connect: Callable[[], Any] | None = None) -> None:
    """Run the migrations that are due, in one transaction.

    begin: the statement that begins it, where the driver by itself would commit before each definition. connect: how to
    get a connection, where the URL does not say all.
    """
    engine = create_engine(url, creator=connect) if connect else create_engine(url)
    try:
        with engine.connect() as connection:
            if begin:
                connection.exec_driver_sql(begin)
            command.upgrade(_config(connection), revision)
            connection.commit()
    finally:
        engine.dispose()


def revisions() -> tuple[str, ...]:
    """Return the names of the migrations, oldest first."""
    scripts = ScriptDirectory.from_config(_config(None))
    return tuple(each.revision for each in reversed(list(scripts.walk_revisions())))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
