"""Logs tell what happened, and neither secrets nor what a caller sent."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from steersman.core.access import issue
from steersman.core.errors import InvalidInput
from steersman.core.state import Number
from steersman.service import logs

KEY = issue(name="a test", roles=["admin"], at=0.0)[1]
HOSTILE = (
    "patient-4711",
    "line one\nline two",
    '{"event": "forged"}',
    "\x1b[31mred\x1b[0m",
    "\u202eevil",
    "\ud800",
    "${jndi:ldap://example.org/a}",
)
SECRETS = (KEY, KEY.rpartition("_")[2], "hunter2", "s3cr3t-session", "top%20secret")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


Lines = Callable[[], list[Any]]


@pytest.fixture
def lines() -> Lines:
    """Return what was logged as JSON so far."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    return lambda: [json.loads(each) for each in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_fields(lines: Lines) -> None:
    logs.event(logging.getLogger("steersman.service"), logging.WARNING, "request refused", status=429, operation="decide")
    (told,) = lines()
    assert told.pop("at").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "steersman.service",
        "event": "request refused",
        "status": 429,
        "operation": "decide",
    }


def test_what_is_bound_is_told_within_and_not_after(lines: Lines) -> None:
    logger = logging.getLogger("steersman.service")
    with logs.bound(trace="4bf92f3577b34da6a3ce929d0e0e4736", key="0123456789ab"), logs.bound(tenant="default"):
        logger.info("inside")
    logger.info("outside")
    inside, outside = lines()
    assert (inside["trace"], inside["key"], inside["tenant"]) == (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "0123456789ab",
        "default",
    )
    assert not {"trace", "key", "tenant"} & set(outside)


def test_fields_of_unknown_names_are_left_out(lines: Lines) -> None:
    logs.event(logging.getLogger("steersman"), logging.INFO, "decided", state={"load": "patient-4711"}, body="patient-4711")
    assert "patient-4711" not in str(lines())


def raise_and_log(logger: logging.Logger, text: str) -> None:
    """Log an error whose message quotes what a caller sent, in each of the ways in which that happens."""
    try:
        Number(name="load", low=0, high=1, edges=(0.5,)).check(text)
    except InvalidInput as error:
        logger.exception("request failed")
        logger.warning("failed: %s", error)
        logger.warning("failed: %(reason)s", {"reason": str(error)})


@pytest.mark.parametrize("log_format", logs.FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_caller_sent_is_never_logged(log_format: Any, text: str) -> None:
    stream = io.StringIO()
    logs.configure(log_format, stream=stream)
    for name in ("steersman.service", "asyncio", "sqlalchemy.engine"):
        raise_and_log(logging.getLogger(name), text)
    logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: <Task exception={text!r}>")
    logging.getLogger("sqlalchemy.engine").warning("parameters %s", (text,))
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", f"/v1/agents?q={text}", "1.1", 200
    )
    written = stream.getvalue()
    assert written.count("\n") == 12
    for part in (text, text.encode("utf-8", "backslashreplace").decode(), *text.splitlines()):
        assert part not in written
    assert "InvalidInput" in written
    assert "test_logs.py" in written


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_secrets_are_blackened_wherever_they_stand(log_format: Any) -> None:
    stream = io.StringIO()
    logs.configure(log_format, stream=stream)
    logger = logging.getLogger("steersman.service")
    logger.info("key %s was used", KEY)
    logger.info("header Authorization: Bearer %s", KEY)
    logger.info("header Authorization: Bearer s3cr3t-session")
    logger.info("Cookie: session=s3cr3t-session")
    logger.info("store postgresql://steersman:hunter2@db:5432/steersman")
    logs.event(logger, logging.INFO, "opened", path=f"/x/{KEY}", reason="password=hunter2")
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/v1?token=top%20secret", "1.1", 200
    )
    written = stream.getvalue()
    assert written.count("\n") == 7
    assert [each for each in SECRETS if each in written] == []
    assert "[secret]" in written


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_nothing_begins_a_line_of_its_own(log_format: Any) -> None:
    stream = io.StringIO()
    logs.configure(log_format, stream=stream)
    logs.event(logging.getLogger("steersman"), logging.INFO, "read", path="a\nb\x1b[0m", reason="x\u2028y")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_line_that_cannot_be_written_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("patient-4711")

    stream = io.StringIO()
    logs.configure("json", stream=stream)
    logs.event(logging.getLogger("steersman"), logging.INFO, "read", path=Broken())
    assert "could not be logged" in stream.getvalue()
    assert "patient-4711" not in stream.getvalue() + "".join(capsys.readouterr())


def test_the_server_s_own_lines_come_through(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 17)
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/healthz?x=1", "1.1", 200)
    started, request = lines()
    assert started["event"] == "Started server process [17]"
    assert (request["event"], request["path"], request["status"]) == ("request", "/healthz", 200)
