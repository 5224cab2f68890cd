"""Files with agents of a user's own: loaded once each, and refused with the way out."""

from pathlib import Path

import pytest

from steersman.core.catalog import Catalog, load_file
from steersman.core.errors import InvalidInput, NotFound


def test_a_file_that_would_load_itself_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from steersman.core.catalog import load_file\nload_file({str(file)!r})\n")
    with pytest.raises(InvalidInput, match=r"would load itself again.*__main__"):
        load_file(file)
    file.write_text("from steersman.testing.specs import small_agent\n\nagent = small_agent()\n")
    assert [each.name for each in load_file(file)] == ["lab/small"]


def test_a_pack_that_cannot_be_loaded_leaves_the_others_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    described = tmp_path / "half_installed-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: half-installed\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[steersman.packs]\nhalf = no_such_module:pack\n")
    monkeypatch.syspath_prepend(tmp_path)
    catalog = Catalog()
    assert catalog.agent("qe/test-executor").name == "qe/test-executor"
    assert "half" not in catalog.packs
    assert "the pack half cannot be loaded" in caplog.text
    for ask in (lambda: catalog.agent("half/agent"), lambda: catalog.command("half", "run")):
        with pytest.raises(NotFound, match=r"'half' is installed and cannot be loaded: .*no_such_module"):
            ask()
