"""What composing statements needs, whatever the dialect.

Placeholders are the driver's own, in the order in which the parameters stand in the statement. Times come and go as unix
seconds, however a dialect keeps them.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    Double,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    extract,
    func,
    select,
)


class Composer:
    """Makes texts of statements, and parts of statements that the dialects write differently."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._mark = "?" if dialect.paramstyle == "qmark" else "%s"

    def text(self, statement: ClauseElement) -> str:
        """Return a statement as the dialect's text."""
        return str(statement.compile(dialect=self.dialect))

    def newest(self, statement: Select[Any]) -> str:
        """Return a statement with one more parameter: how many rows at most."""
        return f"{self.text(statement)} LIMIT {self._mark}"

    def each(self, name: str) -> Select[Any]:
        """Return the elements of a parameter that holds any number of keys, as `keys` encodes them."""
        if self.dialect.name == "sqlite":
            listed = func.json_each(bindparam(name)).table_valued("value")
            return select(listed.c.value)
        return select(func.unnest(cast(bindparam(name), ARRAY(Text))))

    def columns(self, table: Table, *, but: tuple[str, ...] = ()) -> list[ColumnElement[Any]]:
        """Return the columns of a table in their order, times as seconds."""
        return [self.seconds(each) for each in table.columns if each.name not in but]

    def seconds(self, column: "Column[Any]") -> ColumnElement[Any]:
        """Return a column, as unix seconds if it holds a time."""
        if self.dialect.name == "sqlite" or not column.info.get("instant"):
            return column
        return cast(extract("epoch", column), Double)

    def time(self, name: str) -> ColumnElement[Any]:
        """Return a parameter that holds unix seconds."""
        return bindparam(name) if self.dialect.name == "sqlite" else func.to_timestamp(bindparam(name))
