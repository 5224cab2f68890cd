"""Files with agents of a user's own: loaded once each, and refused with the way out."""

from pathlib import Path

import pytest

from steersman.core.catalog import load_file
from steersman.core.errors import InvalidInput


def test_a_file_that_would_load_itself_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from steersman.core.catalog import load_file\nload_file({str(file)!r})\n")
    with pytest.raises(InvalidInput, match=r"would load itself again.*__main__"):
        load_file(file)
    file.write_text("from steersman.testing.specs import small_agent\n\nagent = small_agent()\n")
    assert [each.name for each in load_file(file)] == ["lab/small"]
