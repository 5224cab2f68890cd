"""What every tracker must do. Derive a test class from `TrackerContract`; `told` reads back what outsiders would see."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

from abc import ABC, abstractmethod

import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.core.tracking import Begun, Ended, Run, Tracker, begin, logged

AT = 1_700_000_000.0
NAN, INFINITE = float("nan"), float("inf")


def run(agent: str = "qe/tester", **params: str | float | bool) -> Begun:
    """Return the head of a run."""
    return begin("a first try", agent=agent, at=AT, params={"gamma": 0.99, "double": True, **params})


class TrackerContract(ABC):
    """A run is told as it went, a second process goes on with it, and what is no number never becomes a point."""

    @abstractmethod
    def open(self) -> Tracker:
        """Return a tracker on the place of this test; each call is as another process would see it."""

    @abstractmethod
    def told(self, begun: Begun) -> Run:
        """Return what the place says of a run, read as others read it."""

    @abstractmethod
    def kept(self, begun: Begun, name: str) -> bytes:
        """Return an artefact, read as others read it."""

    def test_a_run_is_told_from_its_first_word_to_its_last(self) -> None:
        tracker, begun = self.open(), run(note="a ☃")
        tracker.begin(begun)
        for step in (10, 20, 30):
            tracker.log(begun.id, logged(step, {"loss": 1.0 / step, "epsilon": 0.5}, at=AT + step))
        assert self.told(begun).state == "running"
        tracker.end(begun.id, Ended(at=AT + 40))
        found = self.told(begun)
        assert (found.state, found.reason) == ("done", "")
        assert [step for step, _ in found.metrics["loss"]] == [10, 20, 30]
        assert [value for _, value in found.metrics["loss"]] == pytest.approx([0.1, 0.05, 1 / 30])
        assert found.metrics["epsilon"] == [(10, 0.5), (20, 0.5), (30, 0.5)]
        assert {name: str(value) for name, value in found.begun.params.items()} == {
            "gamma": "0.99",
            "double": "True",
            "note": "a ☃",
        }

    def test_a_run_that_failed_says_why(self) -> None:
        tracker, begun = self.open(), run()
        tracker.begin(begun)
        tracker.end(begun.id, Ended(at=AT, reason="the loss is no number ☃"))
        assert (self.told(begun).state, self.told(begun).reason) == ("failed", "the loss is no number ☃")

    def test_what_is_no_finite_number_is_marked_and_no_point(self) -> None:
        tracker, begun = self.open(), run()
        tracker.begin(begun)
        tracker.log(begun.id, logged(1, {"loss": 0.5, "q": INFINITE}, at=AT))
        tracker.log(begun.id, logged(2, {"loss": NAN}, at=AT))
        tracker.end(begun.id, Ended(at=AT))
        found = self.told(begun)
        assert found.metrics == {"loss": [(1, 0.5)]}
        assert sorted(found.odd) == [(1, "q", "inf"), (2, "loss", "nan")]

    def test_another_process_goes_on_with_a_run(self) -> None:
        first, begun = self.open(), run()
        first.begin(begun)
        first.log(begun.id, logged(1, {"loss": 0.5}, at=AT))
        first.end(begun.id, Ended(at=AT, reason="killed"))
        second = self.open()
        second.begin(begun)
        second.log(begun.id, logged(2, {"loss": 0.25}, at=AT + 1))
        second.end(begun.id, Ended(at=AT + 2))
        found = self.told(begun)
        assert (found.state, found.metrics["loss"]) == ("done", [(1, 0.5), (2, 0.25)])

    def test_artefacts_and_aliases_stay_with_their_run(self) -> None:
        tracker, begun = self.open(), run()
        tracker.begin(begun)
        tracker.artefact(begun.id, "policy.safetensors", b"\x00weights")
        tracker.alias(begun.id, "champion")
        tracker.end(begun.id, Ended(at=AT))
        assert self.kept(begun, "policy.safetensors") == b"\x00weights"
        assert self.told(begun).aliases == ["champion"]

    def test_two_runs_are_kept_apart(self) -> None:
        tracker, one, other = self.open(), run(), run("qe/other")
        for begun, value in ((one, 1.0), (other, 2.0)):
            tracker.begin(begun)
            tracker.log(begun.id, logged(1, {"reward": value}, at=AT))
        for begun in (one, other):
            tracker.end(begun.id, Ended(at=AT))
        assert [self.told(each).metrics["reward"] for each in (one, other)] == [[(1, 1.0)], [(1, 2.0)]]

    @pytest.mark.parametrize("name", ["../outside", "a/b", "", ".hidden", "a\x00b", "a" * 101])
    def test_a_name_that_leads_elsewhere_is_refused(self, name: str) -> None:
        tracker, begun = self.open(), run()
        tracker.begin(begun)
        with pytest.raises(InvalidInput, match="no file's name"):
            tracker.artefact(begun.id, name, b"x")

    def test_a_run_that_nobody_began_is_not_found(self) -> None:
        with pytest.raises(NotFound, match="no training run"):
            self.open().log(run().id, logged(1, {"loss": 1.0}, at=AT))
