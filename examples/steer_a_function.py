"""Steer a function that you have already: which level should zlib compress at?

The decorator chooses the keyword argument `level` and learns from what came of each call. A caller who names the level
gets that level, and when deciding fails the function runs as it was called.

python examples/steer_a_function.py
"""

import os
import zlib

from steersman import ActionSpace, AgentSpec, Call, Category, Number, Reward, StateSchema, Steersman

compression = AgentSpec(
    name="mine/compression",
    description="Decides how hard to compress.",
    state=StateSchema(
        name="compression",
        fields=(
            Category(name="kind", options=("text", "packed")),
            Number(name="size", low=0, high=1e9, edges=(100_000,), unit="bytes"),
        ),
    ),
    actions=ActionSpace({"level": (0, 1, 6, 9)}),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: {"level": 6},
    safe_action={"level": 6},
    settings={"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}},  # plain means
)


def look(data: bytes, level: int = 6) -> dict[str, str | int]:
    """Return the state, from the arguments of the call."""
    return {"kind": "text" if data[:1_000].isascii() else "packed", "size": len(data)}


def judge(call: Call) -> dict[str, float] | None:
    """Return the measurements: the share of the size saved, less 5 % for each ms. None would report nothing."""
    if call.error is not None:
        return None
    before, after = call.result
    return {"reward": max(-1.0, 1.0 - after / before - 50.0 * call.elapsed_s)}


def main() -> None:
    """Compress 400 pieces and show which level was learned for each kind."""
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(compression)

        @agent.steer(state=look, measure=judge)
        def compress(data: bytes, level: int = 6) -> tuple[int, int]:
            return len(data), len(zlib.compress(data, level))

        text = b"to be, or not to be, that is the question: " * 2_000
        for turn in range(400):
            compress(text if turn % 2 else os.urandom(80_000))
        compress(text, level=9)  # the caller's own choice wins, and is learned from as well

        for kind in ("text", "packed"):
            levels = agent.values({"kind": kind, "size": 80_000})["level"]
            print(f"{kind:<7}", {level: f"{entry.value:+.2f} ({entry.visits}×)" for level, entry in levels.items()})


if __name__ == "__main__":
    main()
