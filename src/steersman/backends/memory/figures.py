"""Figures of single rows: what the other backends sum up in SQL, read here."""

from steersman.core.values import Decision, Figures, Outcome


def decided(decision: Decision) -> Figures:
    """Return the figures of one decision."""
    return Figures(
        agent=decision.agent,
        hour=hour(decision),
        arm=decision.arm,
        drawn=drawn(decision),
        decisions=1,
        overridden=int(decision.overridden),
        latency_us=decision.latency_us,
    )


def counted(decision: Decision, outcome: Outcome, sign: int = 1) -> Figures:
    """Return the figures of one revision of an outcome, counted or, with a sign of -1, taken back."""
    reward, cost = outcome.reward, outcome.cost
    return Figures(
        agent=decision.agent,
        hour=hour(decision),
        arm=decision.arm,
        drawn=drawn(decision),
        rewarded=sign * (reward is not None),
        scored=sign * (outcome.success is not None),
        successes=sign * bool(outcome.success),
        reward=sign * (reward or 0.0),
        reward_squares=sign * (reward or 0.0) ** 2,
        costed=sign * (cost is not None),
        cost=sign * (cost or 0.0),
        judged=sign * (outcome.false_block is not None),
        false_blocks=sign * bool(outcome.false_block),
    )


def hour(decision: Decision) -> int:
    """Return the hour in which a decision was made, counted from 1970."""
    return int(decision.decided_at // 3600)


def drawn(decision: Decision) -> bool:
    """Return whether the decision's arm was drawn at random."""
    return 0.0 < decision.arm_probability < 1.0
