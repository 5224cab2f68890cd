"""An agent of the fleet at work on a small project, in one call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from steersman.app import Steersman
from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.ports import AgentHandle, Progress
from steersman.packs.qe.fleet.member import Member
from steersman.packs.qe.fleet.skill import Skill
from steersman.packs.qe.fleet.work import WorkOptions, WorkReport, at_work


class Work(Protocol):
    """Let an agent work on a project: `action` holds it to one."""

    def __call__(
        self,
        spec: AgentSpec,
        skill: Skill,
        project: Path,
        rounds: int = 1,
        *,
        seed: int = 0,
        action: Mapping[str, Choice] | Choice | None = None,
    ) -> WorkReport: ...


@pytest.fixture
def work(progress: Progress) -> Work:
    """Return what lets an agent work: decided, logged and learned by the product's own loop, in memory."""

    def run(
        spec: AgentSpec,
        skill: Skill,
        project: Path,
        rounds: int = 1,
        *,
        seed: int = 0,
        action: Mapping[str, Choice] | Choice | None = None,
    ) -> WorkReport:
        with Steersman.open("memory:", settings={}, seed=seed) as steersman:
            handle: AgentHandle = steersman.agent(spec)
            if action is not None:
                chosen = dict(spec.actions.action(action))  # refused by a guard, it ends in NotPermitted with the reason
                steersman.control("pin", spec.name, actor="test", choices=chosen).wait(10.0)
            options = WorkOptions(agent=spec.name, path=str(project), rounds=rounds, seed=seed, timeout_s=60.0)
            return at_work(Member(spec, handle, skill, "qe work"), options, progress)

    return run


@pytest.fixture
def shop_project(tmp_path: Path, make: Callable[[Path, Mapping[str, str]], Path]) -> Path:
    """A small project of two modules with tests."""
    return make(
        tmp_path / "shop",
        {
            "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
            "cart.py": "def total(prices):\n    return sum(prices)\n\n\ndef guest(name):\n    return name or 'guest'\n",
            "rebate.py": "def rebate(total):\n    if total > 100:\n        return total - 10\n    return total\n",
            "tests/test_shop.py": (
                "from cart import guest, total\nfrom rebate import rebate\n\n\n"
                "def test_total():\n    assert total([1, 2]) == 3\n\n\n"
                "def test_guest():\n    assert guest('') == 'guest'\n\n\n"
                "def test_rebate():\n    assert rebate(200) == 190\n"
            ),
        },
    )
