"""What is run in the databases is what is composed from the tables."""

from pathlib import Path

import pytest

from steersman.backends import sql
from steersman.backends.sql.compose import composed, written


@pytest.mark.parametrize("folder", ["sqlite", "postgres"])
def test_the_files_hold_what_is_composed(folder: str) -> None:
    file = Path(sql.__file__).parent / folder / "statements.json"
    assert file.read_bytes() == written(composed(folder)), "run `python -m steersman.backends.sql.compose`"
