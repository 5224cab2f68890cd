"""What pytest reports of a test becomes one line: the verdict in the end, all of its time, and how often it ran again."""

from collections.abc import Iterator
from typing import Any

import pytest

from steersman.plugins.recorder import Recorder
from steersman.plugins.runs import FAILED, PASSED, SKIPPED, Run, RunFolder


def phase(test: str, when: Any, outcome: Any, seconds: float = 1.0, **more: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=test,
        location=("f", 0, test),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        duration=seconds,
        **more,
    )


@pytest.fixture
def recorder(folder: RunFolder) -> Iterator[Recorder]:
    made = Recorder(folder, {"commit": "abc"})
    yield made
    made.drop()


def read(folder: RunFolder) -> Run:
    (run,) = folder.sizes()
    return folder.read(run)


def ran(recorder: Recorder, test: str, *outcomes: Any, **more: Any) -> None:
    for when, outcome in zip(("setup", "call", "teardown"), outcomes, strict=True):
        recorder.report(phase(test, when, outcome, **(more if when == "call" else {})))
    recorder.finish(test)


def test_each_test_that_is_over_is_in_the_file_at_once(folder: RunFolder, recorder: Recorder) -> None:
    assert not folder.folder.exists(), "a run without tests leaves nothing"
    ran(recorder, "a", "passed", "passed", "passed")
    assert (read(folder).tests, read(folder).seconds, read(folder).whole) == (("a",), (3.0,), False)
    recorder.end(0, whole=True)
    assert (read(folder).about["commit"], read(folder).whole) == ("abc", True)


@pytest.mark.parametrize(
    ("outcomes", "more", "verdict"),
    [
        (("passed", "failed", "passed"), {}, FAILED),
        (("passed", "passed", "failed"), {}, FAILED),
        (("passed", "skipped", "passed"), {}, SKIPPED),
        (("passed", "skipped", "passed"), {"wasxfail": "known"}, PASSED),
    ],
)
def test_the_verdict_is_that_of_all_phases(
    folder: RunFolder, recorder: Recorder, outcomes: Any, more: Any, verdict: str
) -> None:
    ran(recorder, "a", *outcomes, **more)
    assert read(folder).verdicts == (verdict,)


def test_a_test_that_runs_again_has_one_line(folder: RunFolder, recorder: Recorder) -> None:
    recorder.report(phase("a", "setup", "passed"))
    recorder.report(phase("a", "call", "rerun"))
    recorder.report(phase("a", "teardown", "passed"))
    recorder.finish("a")
    ran(recorder, "a", "passed", "passed", "passed")
    assert (read(folder).verdicts, read(folder).reruns, read(folder).seconds) == ((PASSED,), (1,), (6.0,))


def test_the_first_failure_is_noted_with_its_place(folder: RunFolder, recorder: Recorder) -> None:
    for test, verdict in (("a", "passed"), ("b", "failed"), ("c", "failed")):
        ran(recorder, test, "passed", verdict, "passed")
    assert recorder.first_failure is not None
    assert (recorder.first_failure.place, recorder.over) == (2, 3)
    assert recorder.run().failed == {"b", "c"}
    assert read(folder).failed == {"b", "c"}


def test_the_test_in_which_a_worker_crashed_is_written_at_the_end(folder: RunFolder, recorder: Recorder) -> None:
    ran(recorder, "a", "passed", "passed", "passed")
    recorder.report(phase("b", "???", "failed", 0.0))
    recorder.report(phase("c", "setup", "passed"))
    recorder.end(1, whole=False)
    assert dict(zip(read(folder).tests, read(folder).verdicts, strict=True)) == {"a": PASSED, "b": FAILED}
