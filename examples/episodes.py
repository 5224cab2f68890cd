"""Decisions that follow each other: how long to wait before a failed request is tried again, and when to give up.

Each step is reported with the state that it led to, so that learning can credit a wait with a success two steps later.
The last step says `terminated=True`.

python examples/episodes.py
"""

import numpy as np

from steersman import ActionSpace, AgentSpec, Category, Number, Reward, StateSchema, Steersman

retries = AgentSpec(
    name="mine/retries",
    description="Decides whether and when a failed request is tried again.",
    state=StateSchema(
        name="retries",
        fields=(
            Category(name="error", options=("timeout", "overloaded", "gone")),
            Number(name="tries", low=1, high=5, edges=(2, 3, 4)),
        ),
    ),
    actions=ActionSpace.flat("now", "in 1 s", "in 10 s", "give up"),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: "in 1 s" if float(state["tries"]) < 3 else "give up",
    safe_action="give up",
    settings={
        "learning": {"gamma": 0.95, "alpha_schedule": "visits", "alpha": 0.5},
        "exploration": {"schedule": "constant", "epsilon": 0.2},
        "episodes": {"max_steps": 5},
    },
)

WAIT_S = {"now": 0.0, "in 1 s": 1.0, "in 10 s": 10.0}
SUCCESS = {"timeout": (0.3, 0.7, 0.7), "overloaded": (0.02, 0.05, 0.9), "gone": (0.0, 0.0, 0.0)}


def main() -> None:
    """Live through 3,000 failed requests and show what is done first after each error."""
    rng = np.random.default_rng(1)
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(retries)
        for _ in range(3_000):
            error = str(rng.choice(list(SUCCESS)))
            with agent.episode() as episode:
                for tries in range(1, 6):
                    state: dict[str, str | int] = {"error": error, "tries": tries}
                    decision = episode.decide(state)
                    if decision.choice == "give up":
                        episode.report(decision, {"reward": -0.5}, terminated=True)
                        break
                    chance = SUCCESS[error][list(WAIT_S).index(str(decision.choice))]
                    cost = 0.15 + WAIT_S[str(decision.choice)] / 100.0
                    if rng.random() < chance:
                        episode.report(decision, {"reward": 1.0 - cost}, terminated=True)
                        break
                    if tries == 5:
                        episode.report(decision, {"reward": -0.5 - cost}, terminated=True)
                        break
                    episode.report(decision, {"reward": -cost}, next_state={"error": error, "tries": tries + 1})
        for error in SUCCESS:
            values = agent.values({"error": error, "tries": 1})["action"]
            best = max(values, key=lambda choice: values[choice].value)
            print(f"after {error!r} first: {best!r}", {str(k): round(v.value, 2) for k, v in values.items()})
        print(f"episodes: {agent.diagnose().episodes_closed} closed, {agent.diagnose().episodes_open} open")


if __name__ == "__main__":
    main()
