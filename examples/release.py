"""Judge what was learned on the log, release it step by step, see harm roll it back without a hand, and go back by hand.

Time is pretended, so that hours pass in a moment. From a shell the same are `steersman cut`, `evaluate`, `release` and
`rollback`; see docs/releases.md.

python examples/release.py
"""

import numpy as np

from steersman import ActionSpace, Agent, AgentSpec, Number, Reward, StateSchema, Steersman

batch = AgentSpec(
    name="mine/batch",
    description="Decides how many rows go into one insert.",
    state=StateSchema(name="batch", fields=(Number(name="rows_waiting", low=0, high=1e6, edges=(1_000, 100_000)),)),
    actions=ActionSpace.flat(100, 1_000, 10_000),
    reward=Reward.plain(0.0, 1.0),
    baseline=lambda state: 1_000,
    safe_action=100,
    settings={"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}},
)
SPEED = {100: (0.6, 0.3, 0.1), 1_000: (0.5, 0.5, 0.4), 10_000: (0.2, 0.6, 0.8)}  # few, some, many rows waiting


class Shop:
    """Where batches are inserted: a clock, and a database that may be upgraded to one that dislikes large batches."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.upgraded = False
        self.draws = np.random.default_rng(0)

    def work(self, agent: Agent, hours: float) -> None:
        """Insert a batch every half a minute."""
        until = self.now + hours * 3_600
        while self.now < until:
            self.now += 30.0
            waiting = 10 ** self.draws.uniform(2, 6)
            decision = agent.decide({"rows_waiting": waiting}, subject=f"batch {self.now:.0f}")
            rows = int(decision.choice)
            speed = SPEED[rows][(waiting >= 1_000) + (waiting >= 100_000)] + self.draws.normal(0.0, 0.05)
            agent.report(decision, {"reward": 0.0 if self.upgraded and rows == 10_000 else float(np.clip(speed, 0.0, 1.0))})
            if int(self.now) % 600 == 0:
                agent.release.tick()  # an open store does this by itself as well, by the clock on the wall


def main() -> None:
    """Release twice, and go back twice."""
    shop, steps = Shop(), "shadow 1h, 20% 2h, 50% 2h"
    with Steersman.open("memory:", agents=[batch], settings={}, clock=lambda: shop.now) as steersman:
        agent = steersman.agent("mine/batch")
        shop.work(agent, hours=24)  # learn, with the rule in a small share

        release = agent.release
        release.rollback("baseline", actor="ann", reason="the rule decides until a version has shown itself")
        verdict = release.evaluate(actor="ann")
        print(f"on the log: {verdict.verdict}. {verdict.reason}")

        release.start(verdict.version, actor="ann", plan=steps)
        shop.work(agent, hours=2)
        shop.upgraded = True  # what no log could know
        shop.work(agent, hours=8)
        print("harm:", release.moves(1)[0].reason)

        shop.upgraded = False
        release.start(verdict.version, actor="ann", plan=steps, despite="the upgrade was undone; the log still holds it")
        shop.work(agent, hours=10)
        release.rollback(actor="ann", reason="the upgrade comes again")
        print(f"a drill: {release.drill(actor='ann').sentence}")
        for move in reversed(release.moves()):
            at, tried = (move.at - 1_800_000_000) / 3_600, f"{move.share:.0%} on trial" if move.under_way else ""
            print(f"{at:5.1f} h  {move.move:<12} {move.champion[:8]:<9} {tried:<14} {move.reason}")


if __name__ == "__main__":
    main()
