"""What the pages of releases make of moves, reports and verdicts: steps, evidence against its limits, axes, words."""

import math
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from steersman.core.errors import InvalidInput
from steersman.core.values import AuditEvent
from steersman.core.versions import Deployment, Judgement
from steersman.service.pages import changes, evidence, marks, release, releases, trials, words
from steersman.stages.evaluate.calibration import Forecast, Live, ledger
from steersman.stages.monitor.drift import Drift
from steersman.stages.release.report import Compared, Report

BEGUN = Deployment(
    agent="lab/small",
    number=4,
    at=100.0,
    actor="ada",
    move="started",
    reason="it is time",
    champion="a" * 64,
    challenger="b" * 64,
    release="trial",
    stages="shadow 1h, 10% 1d",
    stage="shadow",
    previous="a" * 64,
)
ADVANCED = replaced(BEGUN, number=5, at=200.0, move="advanced", step=1, stage="canary", share=0.1)
ENDED = replaced(
    ADVANCED, number=6, at=300.0, move="promoted", champion="b" * 64, challenger="", release="", stages="", step=0, share=0.0
)
REWARD = Compared(
    metric="reward",
    better="higher",
    margin=0.1,
    champion_units=50,
    challenger_units=40,
    champion_mean=0.2,
    challenger_mean=0.3,
    difference=0.1,
    low=-0.1,
    high=0.3,
    e_worse=1.0,
    e_not_worse=20.0,
    welch_p=0.1,
    cohens_d=0.2,
    verdict="not worse",
)
REPORT = Report(
    champion_units=50,
    challenger_units=40,
    champion_arrivals=49,
    challenger_arrivals=40,
    metrics=(REWARD, replaced(REWARD, metric="override", better="lower", e_worse=9.0, e_not_worse=1.0)),
    e_ratio=31.7,
    mismatch=False,
    e_breaker={"reward": 1.0},
    broken=(),
    winner=None,
    improvement=0.1,
    improvement_low=-0.1,
    improvement_high=0.3,
    promotable=False,
    recommendation="Go on.",
)


def test_a_trial_under_way_has_steps_that_are_done_now_and_to_come() -> None:
    line = trials.timeline(ADVANCED, [ADVANCED, BEGUN])
    assert line is not None
    assert [(each.name, each.lasts, each.place) for each in line.steps] == [
        ("shadow", "1 h", "done"),
        ("10 %", "1 d", "now"),
        ("100 %", "", "next"),
    ]
    assert [each.entered and each.entered.at for each in line.steps] == [100.0, 200.0, None]
    assert (line.first, line.ending) == (BEGUN, None)


def test_the_last_trial_tells_how_it_ended() -> None:
    line = trials.timeline(ENDED, [ENDED, ADVANCED, BEGUN])
    assert line is not None
    assert (line.ending, [each.place for each in line.steps]) == (ENDED, ["done", "done", "done"])
    back = replaced(ENDED, move="rolled back", champion="a" * 64)
    rolled = trials.timeline(back, [back, ADVANCED, BEGUN])
    assert rolled is not None
    assert rolled.steps[-1].place == "next"


def test_an_experiment_has_no_step_to_everybody_and_no_trial_has_no_steps() -> None:
    compared = replaced(ADVANCED, purpose="experiment", stages="50% 1d", step=0, move="started")
    line = trials.timeline(compared, [compared])
    assert line is not None
    assert [each.name for each in line.steps] == ["50 %"]
    assert trials.timeline(replaced(ENDED, number=1), [replaced(ENDED, number=1)]) is None
    assert trials.timeline(ENDED, []) is None


def test_evidence_goes_its_way_by_its_log_and_the_worst_metric_speaks() -> None:
    found = trials.comparison(REPORT, 0.05)
    limit = 2 / (0.05 * 0.9 * 0.9)
    assert found.harm.limit == pytest.approx(limit)
    assert found.harm.share == pytest.approx(math.log(9.0) / math.log(limit))
    assert [each.fine.share for each in found.lines] == [pytest.approx(1.0), 0.0]
    assert found.fine.value == 1.0
    assert found.ratio.share == pytest.approx(0.5, abs=1e-3)
    assert [each.name for each in found.lines] == ["reward", "guard overrides"]


def test_better_is_to_the_right_whichever_way_is_better() -> None:
    up, down = (each.mark for each in trials.comparison(REPORT, 0.05).lines)
    assert up is not None
    assert down is not None
    assert (up.zero, down.zero) == (50.0, 50.0)
    assert up.margin is not None
    assert up.margin == down.margin
    assert up.margin < 50.0 < up.mean
    assert down.mean < 50.0
    open_ended = replaced(REPORT, metrics=(replaced(REWARD, low=-math.inf, high=math.inf), REWARD))
    assert trials.comparison(open_ended, 0.05).lines[0].mark is None


def judged(**body: Any) -> Judgement:
    return Judgement(
        id="1",
        agent="lab/small",
        version="b" * 64,
        against="a" * 64,
        at=1.0,
        actor="ada",
        kind="evaluation",
        verdict="better",
        reason="It earns more.",
        body=body,
    )


def test_policies_lie_on_one_axis_and_what_is_lacking_is_unknown() -> None:
    estimate = {"value": 0.5, "low": 0.0, "high": 1.0}
    found = evidence.evaluated(
        judged(
            evaluation={
                "outcomes": 7,
                "estimator": "snips",
                "standings": {"candidate": {"estimates": {"snips": estimate}, "effective": 5.0}, "baseline": {}},
                "differences": {"incumbent": {**estimate, "margin": 0.1, "verdict": "better"}, "baseline": {"value": None}},
            },
            gate={"passed": None, "checks": []},
        )
    )
    candidate, baseline = found.policies
    assert candidate.mark is not None
    assert (candidate.value, candidate.version, candidate.never, candidate.mark.mean) == (0.5, "b" * 64, None, 50.0)
    assert (baseline.value, baseline.mark, baseline.version) == (None, None, "baseline")
    assert [each.other for each in found.differences] == ["incumbent"]
    assert (found.outcomes, found.passed) == (7, None)


def test_an_evaluation_of_which_nothing_is_known_is_empty() -> None:
    found = evidence.evaluated(judged())
    assert (found.policies, found.differences, found.checks, found.passed, found.outcomes) == ((), (), (), None, 0)


def test_forecasts_stand_beside_what_was_seen_newest_first() -> None:
    pairs = [
        (Forecast(name=name, value=0.5, low=0.0, high=1.0), Live(mean=mean, standard_error=0.01, count=9))
        for name, mean in (("first", 0.5), ("second", 2.0))
    ]
    second, first = evidence.foretold(ledger(pairs, reach=2.0).lines)
    assert [each.line.forecast.name for each in (first, second)] == ["first", "second"]
    assert first.seen == first.mark.mean
    assert second.seen > second.mark.high
    assert evidence.foretold(()) == ()


def test_what_drifts_furthest_comes_first_with_its_bins() -> None:
    calm = Drift(
        subject="load",
        of="feature",
        psi=0.01,
        kl=0.01,
        chance=0.9,
        level=None,
        since=None,
        reference=(0.5, 0.5),
        current=(0.5, 0.5),
    )
    first, second = evidence.shifted([calm, replace(calm, subject="cpu", psi=0.4, level="act", current=(1.0, 0.0))])
    assert (first.drift.subject, first.shade, second.shade) == ("cpu", 5, 0)
    assert first.bins == ((0.0, 43.0, 10.0, 20.0), (50.0, 43.0, 10.0, 0.0))


def test_a_version_says_what_it_is_now() -> None:
    now = replaced(ADVANCED, quarantined=("c" * 64,), previous="d" * 64)
    said = {name: release.parts(name * 64, now) for name in "abcde"}
    assert said == {"a": ("in production",), "b": ("on trial",), "c": ("in quarantine",), "d": ("before",), "e": ()}


def test_a_champion_decides_since_the_first_move_of_its_last_run() -> None:
    before = replaced(BEGUN, number=3, at=50.0, champion="c" * 64)
    assert release.since(ADVANCED, [ADVANCED, BEGUN, before]) == 100.0
    assert release.since(ADVANCED, []) == 200.0


def test_times_are_picked_in_utc() -> None:
    assert release.at_of("1970-01-02T00:00") == 86_400.0
    for wrong in ("", "yesterday", "1970-01-02", "1970-13-02T00:00", "1970-01-02T00:00+02:00"):
        with pytest.raises(InvalidInput, match="expected a time"):
            release.at_of(wrong)


def test_who_waits_for_a_person_comes_first() -> None:
    def line(name: str, **more: Any) -> releases.Line:
        return releases.Line(
            name=name, now=replaced(ENDED, agent=name, **more), mode="staged", defined=True, steps=(), comparison=None
        )

    waits = line("c", waits_for_person=True, release="trial")
    lines = [line("a"), line("b", held="x", release="trial"), waits, line("d", release="trial")]
    assert [each.name for each in sorted(lines, key=lambda each: each.urgency)] == ["c", "b", "d", "a"]


def test_a_value_has_no_more_decimals_than_its_interval_deserves() -> None:
    assert words.within(0.00045, -0.024, 0.024) == ("0.000", "−0.024", "+0.024")
    assert words.within(0.5, -math.inf, math.inf) == ("+0.50", "−∞", "+∞")
    assert words.ends(0.7943, 0.7995) == "0.7943 to 0.7995"
    assert (words.ends(None, 1.0), words.ends(0.0, math.inf), words.ends(0.5, 0.5)) == ("–", "–", "0.500 to 0.500")


def test_a_band_ends_where_its_axis_does() -> None:
    mark = marks.band(-5.0, 0.5, 0.0, (-1.0, 1.0), margin=-0.5)
    assert (mark.low, mark.margin, mark.mean, mark.high, mark.zero) == (2.0, 26.0, 50.0, 74.0, 50.0)
    assert marks.band(2.0, 3.0, 2.5, (1.0, 4.0)).zero is None


@pytest.mark.parametrize(
    ("event", "detail", "kind", "text"),
    [
        (
            "release advanced",
            '{"number":5,"champion":"a","challenger":"b","stage":"canary","share":0.1,"reason":"it is time"}',
            "release",
            "release advanced: b at 10 %; it is time",
        ),
        (
            "release started",
            '{"champion":"a","challenger":"b","stage":"shadow","share":0.0,"reason":""}',
            "release",
            "release started: b in shadow",
        ),
        (
            "release rolled back",
            '{"champion":"a","challenger":"","stage":"full","share":0.0,"reason":"harm"}',
            "release",
            "release rolled back: a decides; harm",
        ),
        ("release held", "no JSON", "release", "release held: no JSON"),
        ("drill: passed", "b against a", "evidence", "drill: passed: b against a"),
        ("kill switch on", "", "control", "kill switch on"),
        ("key created", "", "audit", "key created"),
    ],
)
def test_moves_and_verdicts_are_told_in_words(event: str, detail: str, kind: str, text: str) -> None:
    told = changes._told(AuditEvent(at=1.0, actor="ada", event=event, subject="lab/small", detail=detail))
    assert (told.kind, told.text) == (kind, text)
