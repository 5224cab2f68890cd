"""Decisions for a program on another machine, or in another language: a service, and a client that can do without it.

The service needs to know the agent: `agent_files` in its settings names this file. The client asks it over HTTP; when it is
slow or gone, the client decides by the rule that it was given, and keeps outcomes until they can be delivered.

python examples/http_client.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from steersman import ActionSpace, AgentSpec, Category, Flag, Reward, StateSchema, StateValues
from steersman.client import Client


def rule(agent: str, state: StateValues) -> str:
    """Say what to do without a service: the same that the agent's baseline does."""
    return "mail"


contact = AgentSpec(
    name="mine/contact",
    description="Decides how a customer is reminded.",
    state=StateSchema(
        name="contact", fields=(Category(name="country", options=("at", "de", "ch")), Flag(name="answered_before"))
    ),
    actions=ActionSpace.flat("mail", "letter", "phone"),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: rule("", state),
    safe_action="mail",
    settings={"learning": {"gamma": 0.0}, "exploration": {"schedule": "constant", "epsilon": 0.3}},
)

WORTH = {"mail": 0.1, "letter": 0.2, "phone": 0.6}


def main() -> None:
    """Start a service, decide and report 150 times, look at what came of it, and go on when the service is gone."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "steersman.toml"
        settings.write_text(f"agent_files = [{json.dumps(str(Path(__file__).resolve()))}]\n")
        command = ["steersman", "up", "--port", "0", "--json", "--store", f"{folder}/log.db", "--settings", str(settings)]
        service = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE)
        address = json.loads(next(iter(service.stdout or ())))["address"]
        client = Client(address, deadline_s=5.0, fallback=rule)  # key="steer_…" where the service asks for one
        try:
            for _ in range(150):
                country, answered = str(rng.choice(["at", "de", "ch"])), bool(rng.random() < 0.5)
                state: dict[str, str | bool] = {"country": country, "answered_before": answered}
                decision = client.decide("mine/contact", state)
                reward = WORTH[str(decision.choice)] + rng.uniform(-0.2, 0.2)
                client.report(decision, {"reward": reward})
            print("last:   ", decision.action, f"drawn with probability {decision.propensity:.2f};", decision.reason)
            told = client.explain(decision)
            print("values: ", {name: round(value, 2) for name, value in told["values"]["action"].items()})
            print("agents: ", [(each["agent"], each["decisions"]) for each in client.read("/v1/agents")["agents"]])

            late = client.decide("mine/contact", state)
            service.terminate()
            service.wait()
            alone = client.decide("mine/contact", state, deadline_s=0.2)
            print("alone:  ", alone.action, f"recorded: {alone.recorded};", alone.reason.partition(":")[0])
            print("report: ", client.report(late, {"reward": 0.5}, deadline_s=0.2).status, len(client.waiting))
        finally:
            service.terminate()
            service.communicate()


if __name__ == "__main__":
    main()
