"""The events that the pages show are what a consumer reads: each decodes, and its data are those of its type."""

from pathlib import Path

import msgspec
import pytest

from steersman.core.events import Event, EventTypes, decode
from steersman.packs.trading import pack

DOCS = Path(__file__).parents[2] / "docs"
TYPES = EventTypes(pack.events)


def shown(page: str) -> list[Event]:
    """Return the events of a page: the lines of its blocks of JSON that name a type."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [decode(line.encode()) for line in lines if line.startswith('{"id": ')]


@pytest.mark.parametrize("event", shown("trading.md"), ids=lambda event: event.type)
def test_an_event_that_is_shown_names_all_its_data_and_fits_its_type(event: Event) -> None:
    payload = TYPES.payload(event)
    assert msgspec.json.decode(msgspec.json.encode(payload)) == event.data, (
        "nothing is left out, and nothing is there that is not read"
    )


def test_every_event_of_the_pack_is_shown() -> None:
    assert sorted(each.kind for each in shown("trading.md")) == sorted(pack.events)


def test_the_bus_page_shows_an_event() -> None:
    assert [each.type for each in shown("bus.md")] == ["job.queued"]
