"""What is in production, in words, as the commands of a release print it."""

import msgspec
import pytest

from steersman.cli.opening import in_words, moment, step
from steersman.core.versions import BASELINE, Deployment

TRIAL = Deployment(
    agent="mine/backup",
    number=2,
    at=60.0,
    actor="ann",
    move="started",
    reason="",
    champion=BASELINE,
    challenger="0123456789abcdef",
    release="r",
    stages="shadow 1h, 10% 24h",
    step=0,
    stage="shadow",
)


def test_one_policy_for_everybody_is_told_as_that() -> None:
    alone = Deployment(agent="a", number=1, at=0.0, actor="ann", move="promoted", reason="", champion="0123456789abcdef")
    assert in_words(alone) == "In production: 0123456789ab, for everybody."
    assert step(alone) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "asked beside it and not obeyed (shadow 1h, 1 of 2)."),
        ({"stage": "canary", "step": 1, "share": 0.1}, "for 10 % of the subjects (10% 24h, 2 of 2)."),
        ({"held": "the auditors are here"}, "(shadow 1h, 1 of 2). Held: the auditors are here."),
        ({"waits_for_person": True}, "It waits for a person: `steersman release resume` confirms the next step."),
    ],
)
def test_a_trial_is_told_with_its_step_and_what_keeps_it(changed: dict[str, object], words: str) -> None:
    told = in_words(msgspec.structs.replace(TRIAL, **changed))
    assert told.startswith("In production: the baseline rule. On trial: 0123456789ab, ")
    assert told.endswith(words)


def test_times_are_told_in_utc_and_the_beginning_of_time_not_at_all() -> None:
    assert moment(1_769_860_800.0) == "2026-01-31 12:00"
    assert moment(0.0) == ""
