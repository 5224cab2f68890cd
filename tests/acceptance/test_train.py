"""A network trained from the log by the command line: a version, judged; gone on with to the bit; failures that show."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.ports import Clock
from steersman.testing.traffic import numbered, pays, steady_agent

Run = Callable[..., Any]
ME = "lab/small"
AGENTS = "from steersman.testing.traffic import steady_agent\n\nagent = steady_agent()\n"
SETTINGS = """
agent_files = ["mine.py"]

[training]
hidden = "32"
stream = 0
batch = 32
learning_rate = 0.003
updates = 200
checkpoint_s = 0
"""


def drive(store: Path, outcomes: int, start: float = 1_800_000_000.0) -> None:
    """Let the agent decide and report what each action pays."""
    now = start
    clock: Clock = lambda: now  # noqa: E731 - it moves
    rng = np.random.default_rng(0)
    with Steersman.open(store, agents=[steady_agent()], settings={}, clock=clock, ids=numbered()) as steersman:
        agent = steersman.agent(ME)
        for _ in range(outcomes):
            now += 1.0
            state = {
                "load": float(rng.uniform(0, 79)),
                "backlog": float(rng.uniform(0, 1_000)),
                "weekend": bool(rng.integers(2)),
            }
            decision = agent.decide(state)
            agent.report(decision, {"reward": pays(decision, rng)})


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driven")
    drive(folder / "log.db", 3_000)
    return folder


@pytest.fixture
def store(driven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own, with settings beside it."""
    shutil.copytree(driven, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine.py").write_text(AGENTS)
    (tmp_path / "steersman.toml").write_text(SETTINGS)
    monkeypatch.setenv("STEERSMAN_STORE", str(tmp_path / "log.db"))
    return tmp_path


def test_a_network_is_trained_judged_and_its_pipeline_tells(store: Path, command: Run) -> None:
    before = command("pipeline", "status", "--json").json[0]
    assert (before["outcomes"], before["due"], before["last"]) == (3_000, True, None)
    made = command("train", ME, "--json", "--png", str(store / "curves.png"))
    assert made.code == 0, made.err
    assert (store / "curves.png").read_bytes().startswith(b"\x89PNG")
    said = made.json["body"]
    assert (said["updates"], said["outcomes"]) == (200, 2_100)  # the newest 30 % are left to judge it by
    assert (said["verdict"], said["gate"], said["left_out"]) == ("better", True, {})
    kept = command("versions", ME, "--json").json[0]
    assert (kept["id"], kept["kind"], kept["hidden"]) == (made.json["version"], "network", [32])
    assert "network, 32" in command("versions", ME).out
    judged = command("evaluate", ME, "--candidate", made.json["version"], "--json")
    assert (judged.code, judged.json["verdict"]) == (0, "better")
    after = command("pipeline", "status", "--json").json[0]
    assert (after["outcomes"], after["due"], after["failed"], after["interrupted"]) == (0, False, None, False)
    assert after["last"]["version"] == made.json["version"]
    table = command("pipeline", "status").out
    assert made.json["version"][:12] in table
    assert "better" in table
    told = command("pipeline", "status", ME).out
    assert "2,100" in told
    assert any("training: trained" in each.event for each in audit(store))


def test_a_budget_ends_a_training_early_and_the_next_one_can_go_on(store: Path, command: Run) -> None:
    made = command("train", ME, "--budget-cpu-s", "0.000001", "--json").json["body"]
    assert (made["updates"], made["stopped"]) == (50, "the budget of 1e-06 CPU seconds is used up")
    assert made["took_s"] > 0 < made["cpu_s"]
    shown = command("pipeline", "status", ME).out
    assert "50; the budget of 1e-06 CPU seconds is used up" in shown
    assert "s of CPU time)" in shown
    with Steersman.open(store / "log.db", read_only=True, settings={}) as steersman:
        run = steersman.runs.runs()[0]
    assert (run.state, run.step) == ("done", 50)
    assert {"loss", "wall_s", "cpu_s"} <= set(run.metrics)
    later = command("train", ME, "--resume", "--updates", "100")
    assert "in 100 updates" in later.out
    assert "of CPU time" in later.out
    refused = command("train", ME, "--budget-s", "0")
    assert (refused.code, "must be above 0" in refused.err) == (3, True)
    assert "Say how many" in command("train", "gym:CartPole-v1", "--compute", "ray").err


def audit(store: Path) -> list[Any]:
    with Steersman.open(store / "log.db", read_only=True, settings={}) as steersman:
        return steersman.log.audit(20)


def test_a_training_that_goes_on_ends_where_one_at_once_does_to_the_bit(store: Path, command: Run) -> None:
    other = store / "other.db"
    shutil.copy(store / "log.db", other)
    whole = command("train", ME, "--updates", "150", "--store", str(other), "--json").json["version"]
    half = command("train", ME, "--updates", "50", "--json").json["version"]
    refused = command("train", ME, "--resume")
    assert refused.code == 7
    assert "has ended, after 50 updates" in refused.err
    resumed = command("train", ME, "--resume", "--updates", "150", "--json").json["version"]
    assert resumed == whole != half


def test_what_is_broken_off_is_gone_on_with(store: Path, command: Run) -> None:
    other = store / "other.db"
    shutil.copy(store / "log.db", other)
    whole = command("train", ME, "--store", str(other), "--json").json["version"]
    broken(store)
    assert command("pipeline", "status", "--json").json[0]["interrupted"] is True
    resumed = command("train", ME, "--resume", "--json")
    assert resumed.json["version"] == whole
    assert command("pipeline", "status", "--json").json[0]["interrupted"] is False


def broken(store: Path) -> None:
    """Train, and press Ctrl-C at the second look."""
    settings = store / "steersman.toml"
    with (
        Steersman.open(store / "log.db", settings=settings, read_only=True, moves=True) as steersman,
        pytest.raises(KeyboardInterrupt),
    ):
        steersman.agent(ME).pipeline.run(actor="me", progress=Impatient())


class Impatient:
    """Progress that is watched by somebody who presses Ctrl-C at the second look."""

    def __init__(self) -> None:
        self.looks = 0

    def phase(self, title: str, total: int | None = None) -> None:
        self.looks = 0

    def step(self, text: str, amount: int = 1) -> None:
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt

    def note(self, text: str) -> None: ...


def test_a_checkpoint_that_was_changed_is_not_used(store: Path, command: Run) -> None:
    assert command("train", ME, "--updates", "50").code == 0
    file = next((store / "log.db.training" / ME).glob("finished-*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    refused = command("train", ME, "--resume", "--updates", "100")
    assert (refused.code, "was changed" in refused.err) == (1, True)
    failed = command("pipeline", "status", "--json").json[0]["failed"]
    assert "was changed" in failed["reason"]
    assert "failed" in command("pipeline", "status").out


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"STEERSMAN_TRAINING__HIDDEN": "many"}, "no list of widths"),
        ({"STEERSMAN_TRAINING__HIDDEN": "100000, 100000"}, "more than 50,000,000 weights"),
        ({"STEERSMAN_EVALUATION__MIN_OUTCOMES": "5000"}, "5,000 are needed"),
    ],
)
def test_what_cannot_be_trained_says_why_and_is_seen(store: Path, command: Run, env: dict[str, str], said: str) -> None:
    failed = command("train", ME, env=env)
    assert (failed.code, said in failed.err) == (3, True), failed.err
    assert said in command("pipeline", "status", "--json").json[0]["failed"]["reason"]
    assert command("versions", ME, "--json").json == []


def test_what_is_asked_wrongly_is_refused(store: Path, command: Run) -> None:
    assert command("train", "lab/smal").code == 6
    assert command("train", ME, "--resume", "--anew").code == 3
    nothing = command("train", ME, "--resume")
    assert (nothing.code, "no training to go on with" in nothing.err) == (7, True)
    unasked = command("train")
    assert (unasked.code, "training.enabled" in unasked.err) == (3, True)
    undrawn = command("train", "--png", "curves.png")
    assert (undrawn.code, "Name the agent" in undrawn.err) == (3, True)


@pytest.mark.parametrize(
    "asked",
    ["--out x", "--steps 100000", "--method double_dqn", "--seed 0", "--compute local", "--set batch=3", "--actors 2"],
)
def test_what_is_for_environments_is_refused_for_an_agent_and_for_all(command: Run, asked: str) -> None:
    option, value = asked.split()
    for agent in ([ME], []):
        refused = command("train", *agent, option, value)
        assert (refused.code, f"{option}: only for gym: environments" in refused.err) == (3, True)


@pytest.mark.parametrize("asked", [["--resume"], ["--anew"], ["--updates", "50"], ["--kin", "lab/other"]])
def test_what_is_for_agents_is_refused_for_an_environment(command: Run, asked: list[str]) -> None:
    refused = command("train", "gym:steersman/lab-bandit-v1", *asked)
    assert (refused.code, f"{asked[0]}: only for training from an agent's log" in refused.err) == (3, True)


def test_what_was_trained_is_shown_though_it_cannot_be_drawn(command: Run) -> None:
    small = ("--method", "ppo", "--set", "epochs=1", "--steps", "50")
    made = command("train", "gym:steersman/lab-bandit-v1", *small, "--png", "missing/curves.png", "--json")
    assert (made.code, "missing/curves.png" in made.err) == (1, True)
    assert made.json["steps_made"] >= 50


def test_who_is_to_be_heard_has_to_be_another_agent(store: Path, command: Run) -> None:
    alone = command("train", ME, "--kin", ME)
    assert (alone.code, "kin are others" in alone.err) == (3, True)
    unknown = command("train", ME, "--kin", "lab/smal")
    assert (unknown.code, "lab/small" in unknown.err) == (6, True)
    by_all = command("train", "--kin", ME)
    assert (by_all.code, "heard by one agent" in by_all.err) == (3, True)


def test_what_was_learned_from_is_not_learned_again_unless_one_begins_anew(store: Path, command: Run) -> None:
    first, second = (command("train", ME, "--json").json["body"] for _ in range(2))
    assert (second["since"], second["outcomes"]) == (first["position"], 630)  # of the 900 that the first had left out
    assert command("train", ME).code == 0
    early = command("train", ME)
    assert (early.code, "57 outcomes since the last training" in early.err) == (3, True)
    later = command("train", ME, "--anew", "--json").json["body"]
    assert later["since"] == 0
