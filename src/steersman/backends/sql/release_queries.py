"""What is asked and written of versions, moves and verdicts; see `Composer`."""

from functools import cached_property

from sqlalchemy import Integer, Table, bindparam, func, insert, literal_column, select

from steersman.backends.sql import schema
from steersman.backends.sql.composer import Composer


class ReleaseQueries(Composer):
    """One property for each question and each row that is written."""

    def _insert(self, table: Table) -> str:
        """Return an insert of all columns, in their order."""
        values = {
            each.name: self.time(f"given_{each.name}") if each.info.get("instant") else bindparam(each.name)
            for each in table.columns
        }
        return self.text(insert(table).values(values))

    @cached_property
    def keep_version(self) -> str:
        """All columns, in their order; nothing is changed where it is there."""
        return f"{self._insert(schema.policy_versions)} ON CONFLICT DO NOTHING"

    @cached_property
    def artefact(self) -> str:
        """The bytes. Parameters: agent, id."""
        table = schema.policy_versions
        wanted = (table.c.agent == bindparam("agent"), table.c.id == bindparam("version"))
        return self.text(select(table.c.artefact).where(*wanted))

    @cached_property
    def versions(self) -> str:
        """The bodies, newest first. Parameters: agent, limit."""
        table = schema.policy_versions
        mine = select(table.c.body).where(table.c.agent == bindparam("agent"))
        return self.newest(mine.order_by(table.c.cut_at.desc(), table.c.id.desc()))

    @cached_property
    def named(self) -> str:
        """The bodies. Parameters: agent, length of the beginning of a name, the beginning."""
        table = schema.policy_versions
        begins = func.substr(table.c.id, literal_column("1"), bindparam("length", type_=Integer)) == bindparam("beginning")
        listed = select(table.c.body).where(table.c.agent == bindparam("agent"), begins)
        return self.text(listed.order_by(table.c.id))

    @cached_property
    def add_move(self) -> str:
        """All columns, in their order."""
        return self._insert(schema.deployments)

    @cached_property
    def moves(self) -> str:
        """The bodies, newest first. Parameters: agent, limit."""
        table = schema.deployments
        mine = select(table.c.body).where(table.c.agent == bindparam("agent"))
        return self.newest(mine.order_by(table.c.number.desc()))

    @cached_property
    def current(self) -> str:
        """The body of the last move of each agent. Goes from agent to agent by the index, past however many moves."""
        return (
            "WITH RECURSIVE movers (name) AS (SELECT MIN(agent) FROM deployments UNION ALL SELECT "
            "(SELECT MIN(agent) FROM deployments WHERE agent > movers.name) FROM movers WHERE movers.name IS NOT NULL) "
            "SELECT (SELECT body FROM deployments WHERE agent = movers.name ORDER BY number DESC LIMIT 1) FROM movers "
            "WHERE movers.name IS NOT NULL"
        )

    @cached_property
    def in_production(self) -> str:
        """The body of the last of the moves up to a time. Parameters: agent, time, 1."""
        table = schema.deployments
        early = select(table.c.body).where(table.c.agent == bindparam("agent"), table.c.at <= self.time("by"))
        return self.newest(early.order_by(table.c.number.desc()))

    @cached_property
    def add_judgement(self) -> str:
        """All columns, in their order; nothing is changed where it is there."""
        return f"{self._insert(schema.judgements)} ON CONFLICT DO NOTHING"

    @cached_property
    def judgement(self) -> str:
        """The body. Parameter: id."""
        return self.text(select(schema.judgements.c.body).where(schema.judgements.c.id == bindparam("id")))

    @cached_property
    def judgements(self) -> str:
        """The bodies, newest first. Parameters: agent, limit."""
        table = schema.judgements
        mine = select(table.c.body).where(table.c.agent == bindparam("agent"))
        return self.newest(mine.order_by(table.c.at.desc(), table.c.id.desc()))
