"""What every registry and every store of releases must do.

Derive a test class from `RegistryContract`, with a fixture `releases` that is empty, or from `ReleaseContract`.
"""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from steersman.app.stores import EmbeddedReleases
from steersman.core.chain import faults
from steersman.core.errors import Conflict, InvalidInput, NotFound, StoreError
from steersman.core.ports import Log, Registry
from steersman.core.values import AuditEvent
from steersman.core.versions import BASELINE, Deployment, Judgement, PolicyVersion, address
from steersman.testing.log_rows import AGENT, decision, learned, outcome

OTHER = "ops/scaler"
SOON_S = 10.0
BAD = [float("nan"), float("inf"), float("-inf")]


def version(artefact: bytes, *, agent: str = AGENT, cut_at: float = 1_000.0) -> PolicyVersion:
    """Return what is known of an artefact."""
    return PolicyVersion(
        id=address(artefact),
        agent=agent,
        cut_at=cut_at,
        position=7,
        parent="",
        settings_hash="0123456789abcdef",
        schema="files:int",
        actions="0011",
        states=3,
        outcomes=5,
        epsilon=0.1,
        size=len(artefact),
        actor="someone",
        reason="a test ☃ \x00",
        kind="network",
        hidden=(512, 256),
    )


def move(number: int, *, agent: str = AGENT, at: float = 1_000.0, champion: str = BASELINE) -> Deployment:
    """Return a move of an agent's pointer."""
    return Deployment(
        agent=agent,
        number=number,
        at=at,
        actor=f"actor {number}",
        move="promoted",
        reason="a test",
        champion=champion,
        quarantined=("ab", "cd"),
        evidence={"difference": 0.125, "interval": [-0.5, 0.75], "of": {"outcomes": 3}, "words": "so ☃"},
    )


def judgement(name: str, *, agent: str = AGENT, at: float = 1_000.0) -> Judgement:
    """Return a verdict."""
    return Judgement(
        id=name,
        agent=agent,
        version="ab",
        against=BASELINE,
        at=at,
        actor="someone",
        kind="evaluation",
        verdict="cannot tell",
        reason="too few outcomes",
        body={"effective": 12.5, "estimates": [0.25, None]},
    )


def event(subject: str) -> AuditEvent:
    """Return an audit event."""
    return AuditEvent(at=1.0, actor="someone", event="promoted", subject=subject, detail="")


class RegistryContract(ABC):
    """Versions are never changed, and an artefact is the one that its name says."""

    @abstractmethod
    def tamper(self, agent: str, version: str, artefact: bytes) -> None:
        """Put another artefact in the place of a version's, past everything that guards it."""

    def test_an_empty_registry_has_no_version(self, releases: Registry) -> None:
        assert releases.versions(AGENT) == []
        for name in ("", "ab", BASELINE):
            with pytest.raises(NotFound, match="has no version"):
                releases.version(AGENT, name)
            with pytest.raises(NotFound, match="has no version"):
                releases.artefact(AGENT, name)

    def test_a_version_is_kept_as_it_was_and_again_changes_nothing(self, releases: Registry) -> None:
        artefact = bytes(range(256)) * 1_000
        releases.keep(version(artefact), artefact)
        releases.keep(replace(version(artefact), reason="another", cut_at=5_000.0), artefact)
        assert releases.versions(AGENT) == [version(artefact)]
        assert releases.artefact(AGENT, address(artefact)) == artefact
        releases.keep(version(b""), b"")
        assert releases.artefact(AGENT, address(b"")) == b""

    def test_the_same_artefact_may_be_a_version_of_two_agents(self, releases: Registry) -> None:
        for agent in (AGENT, OTHER):
            releases.keep(version(b"x", agent=agent), b"x")
        assert [releases.version(agent, address(b"x")).agent for agent in (AGENT, OTHER)] == [AGENT, OTHER]

    def test_a_version_of_another_name_than_its_hash_is_refused(self, releases: Registry) -> None:
        with pytest.raises(InvalidInput, match=address(b"y")):
            releases.keep(version(b"x"), b"y")
        with pytest.raises(InvalidInput):
            releases.keep(replace(version(b"x"), epsilon=BAD[0]), b"x")
        assert releases.versions(AGENT) == []

    def test_versions_are_listed_newest_first(self, releases: Registry) -> None:
        made = [version(bytes([digit]), cut_at=1_000.0 + digit) for digit in range(5)]
        for digit in (3, 0, 4, 1, 2):
            releases.keep(made[digit], bytes([digit]))
        releases.keep(version(b"x", agent=OTHER), b"x")
        assert releases.versions(AGENT) == made[::-1]
        assert releases.versions(AGENT, limit=2) == made[:2:-1]

    def test_a_version_is_found_by_the_beginning_of_its_name(self, releases: Registry) -> None:
        for number in range(40):
            releases.keep(version(b"%d" % number), b"%d" % number)
        ids = [each.id for each in releases.versions(AGENT)]
        for name in ids:
            assert releases.version(AGENT, name).id == name
            assert releases.version(AGENT, name[:12]).id == name
        crowded = next(digit for digit in "0123456789abcdef" if sum(name[0] == digit for name in ids) > 1)
        with pytest.raises(Conflict, match="Give more of the name"):
            releases.version(AGENT, crowded)
        for name in (f"{ids[0]}0", "%", "_", f"{ids[0][:8]}%", ids[0][1:]):
            with pytest.raises(NotFound):
                releases.version(AGENT, name)
        with pytest.raises(NotFound):
            releases.version(OTHER, ids[0])
        with pytest.raises(NotFound):
            releases.artefact(AGENT, ids[0][:12])

    def test_an_artefact_that_was_tampered_with_is_refused(self, releases: Registry) -> None:
        releases.keep(version(b"good"), b"good")
        self.tamper(AGENT, address(b"good"), b"evil")
        with pytest.raises(StoreError, match="not the one that was kept"):
            releases.artefact(AGENT, address(b"good"))


class ReleaseContract(RegistryContract):
    """One move follows another, and a move and the words on it are there together or not."""

    @abstractmethod
    def open_log(self) -> Log:
        """Open the log of the store under test, as the test left it."""

    @abstractmethod
    def open(self, log: Log, *, read_only: bool = False) -> EmbeddedReleases:
        """Open what is released in the store, as another process would; the first time, it is empty."""

    @pytest.fixture
    def log(self) -> Iterator[Log]:
        """An open log, closed after the test."""
        log = self.open_log()
        yield log
        log.close()

    @pytest.fixture
    def releases(self, log: Log) -> Iterator[EmbeddedReleases]:
        """What is released beside the log, closed after the test."""
        releases = self.open(log)
        yield releases
        releases.close()

    # moves

    def test_an_empty_store_has_nothing(self, releases: EmbeddedReleases) -> None:
        assert (releases.current(), releases.moves(AGENT), releases.judgements(AGENT)) == ([], [], [])
        assert releases.at(AGENT, 1e9) is None

    def test_a_move_is_there_as_it_was_with_the_words_on_it(self, log: Log, releases: EmbeddedReleases) -> None:
        full = replace(
            move(1),
            challenger="ab" * 32,
            purpose="experiment",
            release="r1",
            stages="shadow, 10 %, 100 %",
            step=2,
            stage="canary",
            share=0.1,
            entered_at=999.5,
            started_at=900.25,
            position=12,
            previous="cd" * 32,
            held="too few",
            waits_for_person=True,
        )
        releases.move(full, event("first"), event("second"))
        assert releases.current() == releases.moves(AGENT) == [full]
        assert [each.subject for each in log.trail()] == ["first", "second"]

    def test_each_agent_has_a_pointer_of_its_own(self, releases: EmbeddedReleases) -> None:
        for number in (1, 2, 3):
            releases.move(move(number))
        releases.move(move(1, agent=OTHER))
        assert releases.current() == [move(1, agent=OTHER), move(3)]
        assert releases.moves(AGENT) == [move(3), move(2), move(1)]
        assert releases.moves(AGENT, limit=1) == [move(3)]

    def test_a_move_made_from_an_old_state_is_refused_with_its_words(self, log: Log, releases: EmbeddedReleases) -> None:
        with pytest.raises(Conflict, match=r"nothing was moved yet.*Look again"):
            releases.move(move(2), event("too early"))
        releases.move(move(1), event("first"))
        for number in (1, 0, 3):
            with pytest.raises(Conflict, match=r"actor 1 moved meanwhile \(promoted, number 1\).*Look again"):
                releases.move(move(number), event("refused"))
        assert (releases.moves(AGENT), [each.subject for each in log.trail()]) == ([move(1)], ["first"])

    @pytest.mark.parametrize("bad", BAD)
    def test_evidence_that_is_not_finite_is_kept_as_unknown(self, releases: EmbeddedReleases, bad: float) -> None:
        releases.move(replace(move(1), evidence={"upper": bad, "sizes": [1, bad], "known": 0.5}))
        releases.judge(replace(judgement("a"), body={"upper": bad}))
        assert releases.current()[0].evidence == {"upper": None, "sizes": [1, None], "known": 0.5}
        assert releases.judgements(AGENT)[0].body == {"upper": None}

    @pytest.mark.parametrize("bad", BAD)
    def test_other_numbers_must_be_finite(self, log: Log, releases: EmbeddedReleases, bad: float) -> None:
        for each in (replace(move(1), at=bad), replace(move(1), share=bad), replace(move(1), evidence={"a": object()})):
            with pytest.raises(InvalidInput):
                releases.move(each)
        with pytest.raises(InvalidInput):
            releases.judge(judgement("a", at=bad))
        with pytest.raises(InvalidInput):
            releases.move(move(1), event("good"), replace(event("bad"), at=bad))
        with pytest.raises(InvalidInput):
            releases.move(replace(move(1), reason="\ud800"))
        assert (releases.current(), releases.judgements(AGENT), log.trail()) == ([], [], [])

    def test_what_was_in_production_at_a_time(self, releases: EmbeddedReleases) -> None:
        times = [1_000.0, 1_010.0, 1_010.0, 1_005.0, 1_020.0]  # two at once, then the clock was set back
        for number, at in enumerate(times, start=1):
            releases.move(move(number, at=at))
        releases.move(move(1, agent=OTHER, at=1.0))
        found = {at: releases.at(AGENT, at) for at in (999.0, 1_000.0, 1_004.5, 1_005.0, 1_010.0, 1_019.5, 1_020.0, 1e9)}
        numbers = {at: each and each.number for at, each in found.items()}
        expected = {999.0: None, 1_000.0: 1, 1_004.5: 1, 1_005.0: 4, 1_010.0: 4, 1_019.5: 4, 1_020.0: 5, 1e9: 5}
        assert numbers == expected

    def test_of_many_that_race_for_a_number_one_gets_it(self, log: Log, releases: EmbeddedReleases) -> None:
        won: list[tuple[int, int]] = []
        failed: list[Exception] = []

        def race(racer: int) -> None:
            try:
                for number in range(1, 7):
                    try:
                        releases.move(replace(move(number), actor=str(racer)), event(f"{number} {racer}"))
                    except Conflict:
                        continue
                    won.append((number, racer))
            except Exception as error:  # noqa: BLE001 - any of them is what this test looks for
                failed.append(error)

        threads = [threading.Thread(target=race, args=(racer,)) for racer in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failed == []
        assert [number for number, _ in sorted(won)] == [1, 2, 3, 4, 5, 6]
        assert [(each.number, int(each.actor)) for each in releases.moves(AGENT)[::-1]] == sorted(won)
        assert [each.subject for each in log.trail()] == [f"{number} {racer}" for number, racer in sorted(won)]
        assert list(faults(b"", log.trail())) == []

    # verdicts

    def test_verdicts_are_listed_newest_first_and_never_changed(self, log: Log, releases: EmbeddedReleases) -> None:
        made = [judgement(f"j{digit}", at=1_000.0 + digit) for digit in range(4)]
        for each in (made[2], made[0], made[3], made[1]):
            releases.judge(each, event(each.id))
        releases.judge(made[0], event("again"))
        with pytest.raises(Conflict, match="another verdict of the name 'j0'"):
            releases.judge(replace(made[0], verdict="better"), event("refused"))
        releases.judge(judgement("other", agent=OTHER), event("other"))
        assert releases.judgements(AGENT) == made[::-1]
        assert releases.judgements(AGENT, limit=1) == made[:2:-1]
        assert [each.subject for each in log.trail()] == ["j2", "j0", "j3", "j1", "other"]

    # beside the log, and beside each other

    def test_the_trail_is_one_chain_whoever_tells(self, log: Log, releases: EmbeddedReleases) -> None:
        for number in (1, 2, 3):
            log.append((event(f"log {number}"),)).wait(SOON_S)
            releases.move(move(number), event(f"move {number}"))
            releases.judge(judgement(f"j{number}"), event(f"verdict {number}"))
        assert [each.number for each in log.trail()] == list(range(1, 10))
        assert list(faults(b"", log.trail())) == []

    def test_whoever_looks_sees_the_moves_of_all(self, log: Log, releases: EmbeddedReleases) -> None:
        other, reader = self.open(log), self.open(log, read_only=True)
        releases.keep(version(b"x"), b"x")
        releases.move(move(1, champion=address(b"x")))
        for each in (other, reader):
            assert each.current() == [move(1, champion=address(b"x"))]
            assert each.artefact(AGENT, address(b"x")) == b"x"
        other.move(move(2))
        other.judge(judgement("a"))
        for each in (releases, reader):
            assert (each.current(), each.judgements(AGENT)) == ([move(2)], [judgement("a")])
        with pytest.raises(Conflict, match="actor 2 moved meanwhile"):
            releases.move(move(2))
        releases.move(move(3))
        assert reader.moves(AGENT) == other.moves(AGENT) == [move(3), move(2), move(1, champion=address(b"x"))]
        other.close()
        reader.close()

    def test_a_cut_of_the_log_leaves_what_was_released(self, log: Log, releases: EmbeddedReleases) -> None:
        made = decision()
        releases.keep(version(b"x"), b"x")
        releases.move(move(1))
        releases.judge(judgement("a"))
        log.append((made, outcome(made))).wait(SOON_S)
        log.cut(replace(learned({("s", 0): 1.0}), position=2)).wait(SOON_S)
        assert log.outcomes(made.id) == []
        assert (releases.versions(AGENT), releases.artefact(AGENT, address(b"x"))) == ([version(b"x")], b"x")
        assert (releases.current(), releases.judgements(AGENT)) == ([move(1)], [judgement("a")])

    def test_moves_take_no_position_of_the_log(self, log: Log, releases: EmbeddedReleases) -> None:
        log.append((decision(),))
        releases.move(move(1), event("first"))
        log.append((decision(),)).wait(SOON_S)
        assert (log.position, log.durable_position) == (2, 2)
        assert log.since(AGENT, 0) == [(place, row) for place, row in enumerate(log.rows(AGENT), start=1)]

    def test_names_are_said_by_moves_alone(self, releases: EmbeddedReleases) -> None:
        releases.name(AGENT, {"champion": "ab", "challenger": ""})
        assert releases.current() == []
