"""An agent of your own in one file: how many rows should go into one database insert?

python examples/own_agent.py                       decides 600 times on a pretended database and shows what it learned
steersman check pack examples/own_agent.py         checks the definition

To use it from the command line, list the file in `steersman.toml`: agent_files = ["examples/own_agent.py"]
"""

from collections.abc import Mapping

import numpy as np

from steersman import ActionSpace, AgentSpec, Component, Guard, Measurement, Number, Refusal, Reward, StateSchema, Steersman


def refuse_what_does_not_fit(state: Mapping[str, bool | int | float | str]) -> list[Refusal]:
    """Refuse the largest batch while memory is short."""
    if float(state["memory_free_mb"]) >= 200:
        return []
    return [Refusal(where={"rows": 10_000}, reason=f"{state['memory_free_mb']} MB are free; 10,000 rows need 200 MB")]


insert_size = AgentSpec(
    name="mine/insert-size",
    description="Decides how many rows go into one insert.",
    state=StateSchema(
        name="insert-size",
        fields=(
            Number(name="rows_waiting", low=0, high=1_000_000, edges=(1_000, 100_000), unit="rows"),
            Number(name="memory_free_mb", low=0, high=100_000, unit="MB"),  # no edges: for the guard, not for the table
            Number(name="reports_running", low=0, high=100, edges=(1,), unit="reports"),
        ),
    ),
    actions=ActionSpace({"rows": (100, 1_000, 10_000)}),
    reward=Reward(
        measurements=(Measurement(name="rows_per_s", unit="rows/s", low=0), Measurement(name="deadlock", low=0, high=1)),
        components=(Component(name="speed", low=0, high=1, weight=1, value=lambda m: m["rows_per_s"] / 50_000),),
        low=-1,
        high=1,
        failure=lambda m: -1.0 if m["deadlock"] > 0.5 else None,
    ),
    baseline=lambda state: {"rows": 1_000},
    safe_action={"rows": 100},
    guards=(Guard(name="memory", refuse=refuse_what_does_not_fit),),
    # Each insert stands for itself (a bandit), and a step size of 1/(1 + visits) makes each value a plain mean.
    settings={"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}},
)


def insert(rows: int, reports: int, rng: np.random.Generator) -> dict[str, float]:
    """Pretend to insert: large batches are fast, and often end in a deadlock while reports read the table."""
    deadlock = bool(reports and rng.random() < rows / 12_000)
    return {"rows_per_s": 0.0 if deadlock else float(rows / (0.02 + rows / 45_000)), "deadlock": float(deadlock)}


def main() -> None:
    """Decide, act, report; then show what was learned."""
    rng = np.random.default_rng(0)
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(insert_size)
        for _ in range(600):
            state = {
                "rows_waiting": int(rng.integers(0, 200_000)),
                "memory_free_mb": float(rng.uniform(100, 4_000)),
                "reports_running": int(rng.integers(0, 2)),
            }
            decision = agent.decide(state)
            agent.report(decision, insert(int(decision.choice), int(state["reports_running"]), rng))
        for running in (0, 1):
            values = agent.values({"rows_waiting": 150_000, "memory_free_mb": 4_000.0, "reports_running": running})["rows"]
            known = ", ".join(f"{rows}: {entry.value:+.2f} ({entry.visits} times)" for rows, entry in values.items())
            print(f"{running} reports running  {known}")


if __name__ == "__main__":
    main()
