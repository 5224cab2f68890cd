"""The pages hold together: links lead somewhere, blocks of Python run, commands exist, benchmarks have their sections."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from steersman.cli.app import app
from steersman.packs.qe import pack

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [body for found, body in FENCE.findall(text) if found == language]


def anchors(text: str) -> set[str]:
    """Return what the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_every_local_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[page])):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if blocks(text, "python")])
def test_every_block_of_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEERSMAN_STORE", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    for name, body in re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", TEXTS[page], re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(body)
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks(TEXTS[page], "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    if "steersman" in names:
        names["steersman"].close()


def shown_commands() -> list[str]:
    """Return the lines that a reader would type."""
    consoles = [line for text in TEXTS.values() for block in blocks(text, "console") for line in block.splitlines()]
    return sorted({line.removeprefix("$ ") for line in consoles if line.startswith("$ steersman ")})


@pytest.mark.parametrize("line", shown_commands())
def test_every_command_shown_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    assert [word for word in words if word.startswith("-") and word not in options] == []


def test_every_benchmark_has_its_section() -> None:
    text = TEXTS["docs/benchmarks.md"]
    missing = [each.name for each in (ROOT / "benchmarks").glob("*.py") if f"python benchmarks/{each.name}" not in text]
    assert missing == []


def test_every_agent_of_the_fleet_has_its_row() -> None:
    rows = [line for line in TEXTS["docs/fleet.md"].splitlines() if line.startswith("| `")]
    assert {line.split("`")[1] for line in rows} == {name.removeprefix("qe/") for name in pack.agents}
