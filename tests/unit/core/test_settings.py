"""Settings: layers, provenance, and mistakes answered with the way out."""

from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.core.settings import Settings, SettingsFile

FILE = """
agent_files = ["mine.py"]

[learning]
alpha = 0.3

[agents."lab/small".learning]
alpha = 0.4
"""


def test_later_layers_win_and_say_where_they_came_from(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(FILE)
    file = SettingsFile.read(path, {"STEERSMAN_EXPLORATION__EPSILON": "0.05"})
    small = file.settings("lab/small", {"learning": {"gamma": 0.5, "alpha": 0.2}})
    other = file.settings("lab/other", {"learning": {"alpha": 0.2}})
    assert (small.learning.alpha, small.learning.gamma, small.exploration.epsilon) == (0.4, 0.5, 0.05)
    assert other.learning.alpha == 0.3
    assert small.source["learning", "gamma"] == "agent lab/small"
    assert small.source["exploration", "epsilon"] == "environment"
    assert file.agent_files == (str(tmp_path / "mine.py"),)


def test_a_flag_wins_over_all() -> None:
    file = SettingsFile.read(None, {"STEERSMAN_LEARNING__ALPHA": "0.05"})
    assert file.settings("a", {}, {"learning": {"alpha": 0.9}}).learning.alpha == 0.9


def test_the_hash_follows_values_and_not_their_source() -> None:
    plain = Settings()
    assert plain.with_values({"learning": {"alpha": 0.1}}, "x").hash == plain.hash
    assert plain.with_values({"learning": {"alpha": 0.2}}, "x").hash != plain.hash


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learnin": {}}, r"unknown section .*Did you mean 'learning'"),
        ({"learning": {"alhpa": 1}}, r"unknown setting learning.alhpa\. Did you mean 'alpha'"),
        ({"learning": {"alpha": 2}}, "learning.alpha: 2.0 lies outside"),
        ({"learning": {"alpha": "much"}}, "expected a number"),
        ({"learning": {"alpha": float("nan")}}, "lies outside"),
        ({"learning": {"method": "qlearning"}}, "Did you mean 'q_learning'"),
        ({"table": {"max_states": 1.5}}, "expected int"),
        ({"learning": 3}, "is a section"),
    ],
)
def test_mistakes_are_answered_with_the_way_out(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Settings().with_values(values, "test")


def test_a_broken_or_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no settings file"):
        SettingsFile.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[learning")
    with pytest.raises(InvalidInput, match=r"bad\.toml"):
        SettingsFile.read(tmp_path / "bad.toml")


def test_every_setting_has_a_sentence() -> None:
    for section, field, _ in Settings().items():
        assert field.metadata["doc"].endswith("."), f"{section}.{field.name}"
