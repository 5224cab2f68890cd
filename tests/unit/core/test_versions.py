"""What a version is, in words; versions that were kept before there were networks are tables."""

import msgspec
import pytest
from msgspec.structs import replace

from steersman.core.versions import PolicyVersion, encoded
from steersman.testing.release_contract import version

TABLE = replace(version(b"x"), kind="table", hidden=())


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (replace(TABLE, states=37), "table, 37 states"),
        (replace(TABLE, states=1), "table, 1 state"),
        (replace(TABLE, states=12_000), "table, 12,000 states"),
        (replace(TABLE, kind="network", hidden=(512, 256)), "network, 512-256"),
        (replace(TABLE, kind="network"), "network"),
    ],
)
def test_it_says_what_it_holds(made: PolicyVersion, said: str) -> None:
    assert made.holds == said


def test_one_that_was_kept_before_there_were_networks_is_a_table() -> None:
    earlier = msgspec.json.decode(encoded(TABLE))
    del earlier["kind"], earlier["hidden"]
    assert msgspec.convert(earlier, PolicyVersion) == TABLE
