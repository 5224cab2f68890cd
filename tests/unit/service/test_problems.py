"""Problems: each error has its status, and what nobody foresaw tells nothing but its number."""

import logging
from pathlib import Path

import httpx
import pytest

from steersman.core import errors
from steersman.service.operations import Call, Operation
from steersman.service.problems import Throttled, problem, refused
from steersman.testing.serving import serving

_STATUS = {
    errors.InvalidInput: 400,
    errors.Unauthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooMany: 429,
    errors.DeadlineExceeded: 503,
    errors.StoreError: 503,
    errors.StoreVersionError: 503,
    errors.Overloaded: 503,
    errors.WorkerLost: 500,
    errors.SteersmanError: 500,
}


@pytest.mark.parametrize(
    "kind", [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
)
def test_each_error_has_its_status_and_keeps_its_words(kind: type[errors.SteersmanError]) -> None:
    found = problem(kind("do this instead"))
    assert (found.status, found.detail) == (_STATUS[kind], "do this instead")
    assert found.type.startswith("urn:steersman:problem:")
    assert ("retry-after" in refused(kind("x")).headers) is (found.status in (429, 503))


def test_waiting_is_told_in_whole_seconds_and_never_too_short() -> None:
    assert refused(Throttled("x", 0.01)).headers["retry-after"] == "1"
    assert refused(Throttled("x", 2.2)).headers["retry-after"] == "3"


def test_what_a_caller_sent_is_not_sent_back_at_length() -> None:
    assert len(problem(errors.NotFound("x" * 1_000_000)).detail) < 3_000


def test_what_nobody_foresaw_tells_its_number_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(call: Call) -> None:
        raise ZeroDivisionError("the secret of the house")

    operations = (Operation(method="GET", path="/broken", role=None, summary="Break.", handler=broken),)
    with serving(str(tmp_path / "log.db"), operations=operations) as running, caplog.at_level(logging.ERROR):
        answer = httpx.get(f"{running.url}/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    number = answer.json()["instance"]
    assert [each.fields["instance"] for each in caplog.records if each.name == "steersman.service"] == [number]  # type: ignore[attr-defined]
