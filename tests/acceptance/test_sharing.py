"""Agents of one file learn from each other, on a store on disk, and the command line tells whose evidence it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from steersman.app import Steersman
from steersman.core.catalog import load_file

AGENTS = """
from steersman import ActionSpace, AgentSpec, Kinship, Number, Reward, StateSchema


def sized(name, most):
    return AgentSpec(
        name=f"mine/{name}",
        description="Decides how much of a job to do now.",
        state=StateSchema(name=name, fields=(Number(name="items", low=0, high=most, edges=(most / 3, most * 2 / 3)),)),
        actions=ActionSpace.flat("little", "all"),
        reward=Reward.plain(0.0, most),
        baseline=lambda state: "all",
        safe_action="little",
        settings={"learning": {"gamma": 0.0}},
        kinship=Kinship(
            category="jobs",
            project=lambda state: {"size": state["items"] / most},
            roles={"action=little": "careful", "action=all": "bold"},
        ),
    )


old, new = sized("old", 100.0), sized("new", 8.0)
"""


def test_a_newcomer_is_explained_and_replayed_with_what_it_borrowed(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "kin.py").write_text(AGENTS)
    (tmp_path / "steersman.toml").write_text('agent_files = ["kin.py"]\n')
    with Steersman.open(tmp_path / "s.db", agents=load_file(str(tmp_path / "kin.py")), settings={}) as steersman:
        old = steersman.agent("mine/old")
        for _ in range(40):
            decision = old.decide({"items": 90})
            old.report(decision, {"reward": 80.0 if decision.choice == "little" else 20.0})
        assert old.share() > 0

    made = command("decide", "mine/new", '{"items": 7}', "--store", "s.db", "--json").json
    assert [each["source"] for each in made["priors"]] == ["own", "category/jobs"]
    explained = command("explain", made["id"], "--store", "s.db")
    assert (explained.code, explained.err) == (0, "")
    for word in ("Whose evidence", "own", "category/jobs", "100%"):
        assert word in explained.out
    assert command("replay", made["id"], "--store", "s.db").code == 0

    assert command("export", "log.jsonl", "--store", "s.db").code == 0
    assert command("import", "log.jsonl", "--store", "other.db").code == 0
    assert command("replay", made["id"], "--store", "other.db").code == 0, "what was borrowed stands in the row"
