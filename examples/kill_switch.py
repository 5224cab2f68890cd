"""Stop learned actions at once, for one agent, for a pack or for all; from this process or from another.

The switch lies in the store: it survives restarts, and every flip is in the audit trail. From a shell the same is
`steersman kill mine/cache --reason "…" --store FILE`, and `--off` to release it.

python examples/kill_switch.py
"""

import tempfile
import time
from pathlib import Path

from steersman import ActionSpace, AgentSpec, Number, Reward, StateSchema, Steersman

cache = AgentSpec(
    name="mine/cache",
    description="Decides how long an answer is kept.",
    state=StateSchema(name="cache", fields=(Number(name="load", low=0, high=100, edges=(50,), unit="%"),)),
    actions=ActionSpace({"keep_s": (0, 10, 60)}),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: {"keep_s": 10},
    safe_action={"keep_s": 0},
    settings={"learning": {"gamma": 0.0}},
)


def main() -> None:
    """Flip the switch from inside and from outside, and look at the audit trail."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "log.db"
        with Steersman.open(store, settings={}) as steersman:
            agent = steersman.agent(cache)
            print("before:  ", agent.decide({"load": 30}).reason)

            steersman.kill("mine/cache", actor="ann", reason="wrong prices were seen")
            stopped = agent.decide({"load": 30})
            print("killed:  ", stopped.action, stopped.arm, "-", stopped.reason)
            steersman.kill("mine/cache", actor="ann", reason="prices are fine again", active=False)
            print("released:", agent.decide({"load": 30}).reason)

            # Another process needs no ownership of the store: `steersman kill` does exactly this.
            Steersman.control_in(store, "kill", "*", actor="ben", reason="drill")
            time.sleep(0.3)  # a running process looks four times a second
            print("outside: ", agent.decide({"load": 30}).reason)

        with Steersman.open(store, settings={}) as steersman:
            print("restart: ", steersman.agent(cache).decide({"load": 30}).reason)
            for event in (each for each in steersman.log.audit() if each.event.startswith("kill switch")):
                print(f"audit:    {event.actor:<4} {event.event:<16} {event.subject:<12} {event.detail}")


if __name__ == "__main__":
    main()
