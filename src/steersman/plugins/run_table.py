"""Runs in one table of a database, each as the same lines that a folder would keep in a file."""

from pathlib import Path

import sqlalchemy as sa

from steersman.core.errors import InvalidInput
from steersman.plugins.runs import Run, RunWriter, parsed

_TABLE = sa.Table(
    "steersman_pytest_runs",
    sa.MetaData(),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("lines", sa.LargeBinary, nullable=False),
)


class RunTable:
    """Runs of a database that SQLAlchemy reaches. cache: a folder here for what can be made again from them."""

    def __init__(self, url: str, cache: Path) -> None:
        address = _address(url)
        if address.database and address.drivername == "sqlite":
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        schema = address.query.get("schema")
        arguments = {"options": f"-csearch_path={schema}"} if schema else {}
        self._engine = sa.create_engine(
            address.difference_update_query(["schema"]), connect_args=arguments, poolclass=sa.NullPool
        )
        self.name, self.cache = address.render_as_string(hide_password=True), cache
        with self._engine.begin() as connection:
            if isinstance(schema, str):
                connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
            _TABLE.metadata.create_all(connection)

    def sizes(self) -> dict[str, int]:
        """Return the runs that are there, oldest first, with the size of each."""
        wanted = sa.select(_TABLE.c.id, sa.func.length(_TABLE.c.lines).label("size")).order_by(_TABLE.c.id)
        with self._engine.connect() as connection:
            return {str(row.id): int(row.size) for row in connection.execute(wanted)}

    def read(self, run: str) -> Run:
        """Return a run. Raises InvalidInput where it is none or gone."""
        with self._engine.connect() as connection:
            lines = connection.execute(sa.select(_TABLE.c.lines).where(_TABLE.c.id == run)).scalar()
        if lines is None:
            raise InvalidInput(f"run {run} is gone from {self.name}.")
        return parsed(run, bytes(lines))

    def begin(self, run: str) -> RunWriter:
        """Begin a run; it is in the database once it is closed."""
        return _Row(self._engine, run)

    def prune(self, keep: int) -> None:
        """Let go of all but the newest runs."""
        old = [*self.sizes()][:-keep]
        if old:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(_TABLE).where(_TABLE.c.id.in_(old)))


class _Row:
    def __init__(self, engine: sa.Engine, run: str) -> None:
        self._engine, self._run = engine, run
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        self._lines.append(line)

    def close(self) -> None:
        lines = "".join(self._lines).encode()
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_TABLE).values(id=self._run, lines=lines))


def _address(url: str) -> sa.URL:
    """Return the address that a URL names. Raises InvalidInput for one that is neither SQLite's nor PostgreSQL's."""
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidInput("the store is no URL that can be read: write sqlite:///FILE or postgresql://…") from error
    if address.drivername == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise InvalidInput(f"no runs are kept in {address.drivername}: name a folder, sqlite:///FILE or postgresql://…")
    return address
