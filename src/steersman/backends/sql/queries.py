"""What is asked of the tables, composed for each dialect; files keep the texts, which run through the bare driver."""
# ruff: noqa: S608 - every name in these texts is one of our own tables or columns; values are parameters

from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    FromClause,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    type_coerce,
    update,
)

from steersman.backends.sql import schema
from steersman.backends.sql.composer import Composer


class Queries(Composer):
    """One property for each question."""

    @cached_property
    def head(self) -> str:
        """Position and number of commits."""
        return self.text(select(schema.log_head.c.position, schema.log_head.c.commits))

    @cached_property
    def decision(self) -> str:
        """The body. Parameter: id."""
        return self.text(select(schema.decisions.c.body).where(schema.decisions.c.id == bindparam("id")))

    @cached_property
    def outcomes(self) -> str:
        """The bodies, oldest first. Parameter: decision id."""
        table = schema.outcomes
        wanted = table.c.decision_id == bindparam("id")
        return self.text(select(table.c.body).where(wanted).order_by(table.c.revision))

    @cached_property
    def known_outcomes(self) -> str:
        """Decision id and revision (null where there is none) of known decisions. Parameter: ids."""
        decision, outcome = schema.decisions, schema.outcomes
        both = decision.outerjoin(outcome, outcome.c.decision_id == decision.c.id)
        wanted = decision.c.id.in_(self.each("ids"))
        return self.text(select(decision.c.id, outcome.c.revision).select_from(both).where(wanted))

    @cached_property
    def known_decisions(self) -> str:
        """The ids. Parameter: ids."""
        return self.text(select(schema.decisions.c.id).where(schema.decisions.c.id.in_(self.each("ids"))))

    @cached_property
    def taken(self) -> str:
        """All columns. Parameters: stream, event."""
        table = schema.taken
        mine = and_(table.c.stream == bindparam("stream"), table.c.event == bindparam("event"))
        return self.text(select(*self.columns(table)).where(mine))

    @cached_property
    def history(self) -> str:
        """Position, bodies of decision and outcome, in log order. Parameters: agent, after which, up to which position."""
        outcome, decision = schema.outcomes, schema.decisions
        both = outcome.join(decision, decision.c.id == outcome.c.decision_id)
        mine = outcome.c.agent == bindparam("agent")
        between = and_(outcome.c.position > bindparam("after"), outcome.c.position <= bindparam("until"))
        return self.text(
            select(outcome.c.position, decision.c.body, outcome.c.body)
            .select_from(both)
            .where(mine, between)
            .order_by(outcome.c.position)
        )

    @cached_property
    def since(self) -> str:
        """Position, 1 for a decision or 0 for an outcome, and body, in log order.

        Parameters: agent, after which position, limit; the same again; limit. Both halves walk along their index, so that
        the cost depends on what is found alone.
        """
        halves = (self._behind(schema.decisions, "1"), self._behind(schema.outcomes, "0"))
        both = " UNION ALL ".join(f"SELECT * FROM ({half}) AS half" for half in halves)
        return f"{both} ORDER BY 1 LIMIT {self._mark}"

    def _behind(self, table: Table, mark: str) -> str:
        behind = and_(table.c.agent == bindparam("agent"), table.c.position > bindparam("after"))
        found = select(table.c.position, literal_column(mark).label("decided"), table.c.body).where(behind)
        return self.newest(found.order_by(table.c.position))

    @cached_property
    def span(self) -> str:
        """First and last position of an agent's outcomes. Parameter: agent."""
        table = schema.outcomes
        ends = select(func.min(table.c.position), func.max(table.c.position))
        return self.text(ends.where(table.c.agent == bindparam("agent")))

    @cached_property
    def sample(self) -> str:
        """Bodies of decision and last outcome, one for each position asked for. Parameters: positions, agent.

        Each is found by the index, so that the cost does not grow with the log.
        """
        listed = "json_each(?)" if self.dialect.name == "sqlite" else "unnest(%s::bigint[]) WITH ORDINALITY"
        names = "wanted" if self.dialect.name == "sqlite" else "wanted (value, key)"
        return (
            f"SELECT decisions.body, outcomes.body FROM {listed} AS {names} "
            "JOIN outcomes AS found ON found.position = (SELECT MIN(position) FROM outcomes "
            f"WHERE agent = {self._mark} AND position >= wanted.value) "
            "JOIN outcomes ON outcomes.decision_id = found.decision_id AND outcomes.revision = "
            "(SELECT MAX(revision) FROM outcomes WHERE decision_id = found.decision_id) "
            "JOIN decisions ON decisions.id = found.decision_id ORDER BY wanted.key"
        )

    @cached_property
    def all_decisions(self) -> str:
        """Position and body in log order."""
        return self.text(select(schema.decisions.c.position, schema.decisions.c.body).order_by(schema.decisions.c.position))

    @cached_property
    def all_outcomes(self) -> str:
        """Position and body in log order."""
        return self.text(select(schema.outcomes.c.position, schema.outcomes.c.body).order_by(schema.outcomes.c.position))

    @cached_property
    def recent(self) -> str:
        """Position and body, newest first. Parameters: agent, limit."""
        table = schema.decisions
        newest = select(table.c.position, table.c.body).where(table.c.agent == bindparam("agent"))
        return self.newest(newest.order_by(table.c.decided_at.desc(), table.c.position.desc()))

    @cached_property
    def of_episode(self) -> str:
        """Position and body, in log order. Parameters: agent, episode."""
        table = schema.decisions
        mine = and_(
            table.c.agent == bindparam("agent"), table.c.episode == bindparam("episode"), table.c.episode != table.c.id
        )
        return self.text(select(table.c.position, table.c.body).where(mine).order_by(table.c.position))

    @cached_property
    def waiting(self) -> str:
        """Position and body, oldest first. Parameters: agent, before."""
        waits, decision = schema.open_decisions, schema.decisions
        both = waits.join(decision, decision.c.id == waits.c.decision_id)
        wanted = and_(waits.c.agent == bindparam("agent"), waits.c.decided_at < self.time("before"))
        return self.text(
            select(decision.c.position, decision.c.body)
            .select_from(both)
            .where(wanted)
            .order_by(waits.c.decided_at, decision.c.position)
        )

    @cached_property
    def open_episodes(self) -> str:
        """All columns. Parameter: agent."""
        table = schema.episodes
        wanted = and_(table.c.agent == bindparam("agent"), table.c.ended_at.is_(None))
        return self.text(select(*self.columns(table)).where(wanted))

    @cached_property
    def entries(self) -> str:
        """All columns but agent and version. Parameters: agent, after which version."""
        table = schema.entries
        wanted = and_(table.c.agent == bindparam("agent"), table.c.version > bindparam("after"))
        return self.text(select(*self.columns(table, but=("agent", "version"))).where(wanted))

    @cached_property
    def states(self) -> str:
        """Key and bins. Parameters: agent, after which version."""
        table = schema.states
        wanted = and_(table.c.agent == bindparam("agent"), table.c.version > bindparam("after"))
        return self.text(select(table.c.state_key, table.c.bins).where(wanted))

    @cached_property
    def learned(self) -> str:
        """Position, carry, version, and the version of the last replacement or removal. Parameter: agent."""
        table = schema.learned
        return self.text(
            select(table.c.position, table.c.carry, table.c.version, table.c.replaced).where(
                table.c.agent == bindparam("agent")
            )
        )

    @cached_property
    def base(self) -> str:
        """The body. Parameter: agent."""
        return self.text(select(schema.bases.c.body).where(schema.bases.c.agent == bindparam("agent")))

    @cached_property
    def cut(self) -> tuple[str, ...]:
        """Outcomes, then decisions of which nothing is left to say. Parameters of each: agent, last position."""
        outcome, decision, waits = schema.outcomes, schema.decisions, schema.open_decisions
        first = delete(outcome).where(outcome.c.agent == bindparam("agent"), outcome.c.position <= bindparam("last"))
        later = exists(select(outcome.c.position).where(outcome.c.decision_id == decision.c.id))
        open_still = exists(select(waits.c.decision_id).where(waits.c.decision_id == decision.c.id))
        old = and_(decision.c.agent == bindparam("agent"), decision.c.position <= bindparam("last"))
        return self.text(first), self.text(delete(decision).where(old, ~later, ~open_still))

    @cached_property
    def windows(self) -> str:
        """All columns, newest first. Parameters: agent, limit."""
        table = schema.learning_stats
        mine = select(*self.columns(table)).where(table.c.agent == bindparam("agent"))
        return self.newest(mine.order_by(table.c.number.desc()))

    @cached_property
    def counts(self) -> str:
        """Agent, stream and number of decisions."""
        table = schema.streams
        return self.text(select(table.c.agent, table.c.stream, table.c.decisions))

    @cached_property
    def tokens(self) -> str:
        """How many are reserved. Parameters: agent, period."""
        table = schema.tokens
        mine = and_(table.c.agent == bindparam("agent"), table.c.period == bindparam("period"))
        return self.text(select(table.c.reserved).where(mine))

    @cached_property
    def last_audit(self) -> str:
        """All columns but the id, of the last event of the chain."""
        table = schema.audit_events
        chained = select(*self.columns(table, but=("id",))).where(table.c.number > literal_column("0"))
        return f"{self.text(chained.order_by(table.c.number.desc()))} LIMIT 1"

    @cached_property
    def unchained(self) -> str:
        """All columns, oldest first, of the events that are in no chain: those of before there was one."""
        table = schema.audit_events
        return self.text(select(*self.columns(table)).where(table.c.number == literal_column("0")).order_by(table.c.id))

    @cached_property
    def chain_event(self) -> str:
        """Parameters: number, digest, id."""
        table = schema.audit_events
        linked = update(table).values(number=bindparam("new_number"), digest=bindparam("new_digest"))
        return self.text(linked.where(table.c.id == bindparam("event")))

    @cached_property
    def trail(self) -> str:
        """All columns but the id, oldest first. Parameters: behind which number, limit."""
        table = schema.audit_events
        wanted = select(*self.columns(table, but=("id",))).where(table.c.number > bindparam("after"))
        return self.newest(wanted.order_by(table.c.number, table.c.id))

    @cached_property
    def audit(self) -> str:
        """All columns but the id, newest first. Parameter: limit."""
        table = schema.audit_events
        return self.newest(select(*self.columns(table, but=("id",))).order_by(table.c.id.desc()))

    @cached_property
    def controls(self) -> str:
        """All columns but the id: the last of each kind and scope."""
        table = schema.controls
        later = table.alias()
        same = and_(later.c.kind == table.c.kind, later.c.scope == table.c.scope)
        newer = exists(select(later.c.id).where(same, later.c.id > table.c.id))
        last = select(*self.columns(table, but=("id",))).where(~newer)
        return self.text(last.order_by(table.c.kind, table.c.scope))

    @cached_property
    def keys(self) -> str:
        """All columns, by id."""
        return self.text(select(*self.columns(schema.api_keys)).order_by(schema.api_keys.c.id))

    @cached_property
    def decided(self) -> str:
        """Agent, hour, arm, drawn; decisions, overridden, latency. Parameters: behind, up to which position."""
        table = schema.decisions
        key = (table.c.agent, self.hour(table.c.decided_at), table.c.arm, table.c.drawn)
        sums = (func.count(), func.sum(_one_if(table.c.overridden)), func.sum(table.c.latency_us))
        between = and_(table.c.position > bindparam("after"), table.c.position <= bindparam("until"))
        return self.text(select(*key, *sums).where(between).group_by(*_places(key)))

    @cached_property
    def rewarded(self) -> str:
        """Agent, hour, arm, drawn of the decisions; then sums over revisions of outcomes between two positions.

        Rewarded, scored, successes, reward, squares, costed, cost, judged, false blocks. Parameters as of `decided`.
        """
        return self._summed(schema.outcomes, schema.outcomes)

    @cached_property
    def replaced(self) -> str:
        """The same sums over the revisions that those between two positions took the place of."""
        return self._summed(schema.outcomes, schema.outcomes.alias("earlier"))

    def _summed(self, news: Table, counted: "FromClause") -> str:
        decision = schema.decisions
        joined = news.join(decision, decision.c.id == news.c.decision_id)
        if counted is not news:
            last = counted.c.revision + literal_column("1") == news.c.revision
            before = and_(counted.c.decision_id == news.c.decision_id, last)
            joined = joined.join(counted, before)
        key = (decision.c.agent, self.hour(decision.c.decided_at), decision.c.arm, decision.c.drawn)
        sums = (
            func.count(counted.c.reward),
            func.count(counted.c.success),
            func.sum(_one_if(counted.c.success)),
            func.sum(counted.c.reward),
            func.sum(counted.c.reward * counted.c.reward),
            func.count(counted.c.cost),
            func.sum(counted.c.cost),
            func.count(counted.c.false_block),
            func.sum(_one_if(counted.c.false_block)),
        )
        between = and_(news.c.position > bindparam("after"), news.c.position <= bindparam("until"))
        return self.text(select(*key, *sums).select_from(joined).where(between).group_by(*_places(key)))

    def hour(self, column: "Column[Any]") -> ColumnElement[Any]:
        """Return the hour of a time, counted from 1970."""
        hours = type_coerce(self.seconds(column), Double) / literal_column("3600.0", Double)
        return cast(hours if self.dialect.name == "sqlite" else func.floor(hours), Integer)

    @cached_property
    def contributions(self) -> str:
        """All columns, by source, key and role. Parameter: pool."""
        table = schema.contributions
        mine = select(*self.columns(table)).where(table.c.pool == bindparam("pool"), table.c.count > literal_column("0"))
        return self.text(mine.order_by(table.c.source, table.c.key, table.c.role))


def _one_if(flag: ColumnElement[Any]) -> ColumnElement[int]:
    return case((flag, literal_column("1")), else_=literal_column("0"))


def _places(columns: tuple[Any, ...]) -> list[ColumnElement[Any]]:
    """Return the places of columns in a select, to group by."""
    return [literal_column(str(place)) for place, _ in enumerate(columns, start=1)]
