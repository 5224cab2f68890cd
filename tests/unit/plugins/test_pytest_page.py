"""The page knows each option of the plugin, and the pipelines use no other."""

import re
from pathlib import Path

import pytest

from steersman.plugins.pytest_plugin import pytest_addoption

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")


def options() -> set[str]:
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    return {name for option in parser.getgroup("steersman").options for name in option.names()}


def test_every_option_is_on_the_page_and_no_other() -> None:
    assert set(re.findall(r"--steersman[a-z-]*", PAGE)) == options()


def test_every_setting_is_on_the_page() -> None:
    for name in ("steersman = true", "`steersman_store`", "`steersman_keep`", "`STEERSMAN_PYTEST_STORE`"):
        assert name in PAGE


@pytest.mark.parametrize("pipeline", ["github-actions.yml", "gitlab-ci.yml"])
def test_a_pipeline_uses_what_there_is(pipeline: str) -> None:
    text = (ROOT / "examples" / "ci" / pipeline).read_text(encoding="utf-8")
    used = set(re.findall(r"--steersman[a-z-]*", text))
    assert used <= options()
    assert "--steersman" in used
    assert pipeline in PAGE
