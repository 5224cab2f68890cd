"""Judge: a version on logged evidence, with the gate that decides whether it may be tried; and how right that was."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from steersman.core.errors import NotPermitted
from steersman.core.sections import Evaluation as Settings
from steersman.core.values import AuditEvent
from steersman.core.versions import BASELINE, Judgement, short
from steersman.loops.cut import production
from steersman.loops.evidence import Gathered, gather
from steersman.loops.promote import resolve
from steersman.loops.runtime import Runtime
from steersman.maths.randomness import key_for
from steersman.stages.evaluate.calibration import Forecast, Ledger, Live
from steersman.stages.evaluate.calibration import ledger as calibrated
from steersman.stages.evaluate.evaluate import evaluate as evaluated
from steersman.stages.evaluate.gate import Gate, gate

_LEDGER = 1_000


def evaluate(agent: Runtime, candidate: str, against: str, *, actor: str) -> Judgement:
    """Judge a version against another on the agent's newest outcomes; keep the verdict with its evidence, and return it.

    Where what is being learned decides, there is nothing to hold it against but the baseline rule.
    """
    incumbent = resolve(agent, against) or BASELINE
    gathered = gather(agent, candidate, incumbent)
    settings = agent.settings.evaluation
    rng = np.random.default_rng(key_for(gathered.position, agent.spec.name)[0])
    found = evaluated(gathered.evidence, settings, rng)
    guarded = replace(gathered.evidence, allowed=gathered.guarded)  # what people pinned says nothing about a version
    passed = gate(found, guarded, gathered.unmasked_best, settings)
    judgement = Judgement(
        id=agent.world.ids(),
        agent=agent.spec.name,
        version=candidate,
        against=incumbent,
        at=agent.world.clock(),
        actor=actor,
        kind="evaluation",
        verdict=found.verdict,
        reason=f"{found.reason}{_fresh(gathered, settings)}",
        body={
            "evaluation": plain(found),
            "gate": _plain_gate(passed),
            "since": gathered.since,
            "position": gathered.position,
        },
    )
    keep(agent, judgement)
    return judgement


def _fresh(gathered: Gathered, settings: Settings) -> str:
    """Return why there is little evidence although the log holds much, if that is so."""
    few = gathered.since and len(gathered.evidence) < settings.min_outcomes
    return " Only outcomes that it did not learn from count: those since it was cut." if few else ""


def keep(agent: Runtime, judgement: Judgement) -> None:
    """Keep a verdict, with its event in the audit trail."""
    event = AuditEvent(
        at=judgement.at,
        actor=judgement.actor,
        event=f"{judgement.kind}: {judgement.verdict}",
        subject=judgement.agent,
        detail=f"{_of_which(judgement)}{judgement.reason}",
    )
    production(agent).releases.judge(judgement, event)


def _of_which(judgement: Judgement) -> str:
    """Return which versions a verdict is about; a training is held against none, and has none where it failed."""
    if judgement.kind == "training":
        return f"{short(judgement.version)}: " if judgement.version else ""
    return f"{short(judgement.version)} against {short(judgement.against)}: "


def check_gate(judged: Judgement, despite: str) -> None:
    """Raise NotPermitted where the gate does not let a version pass, unless somebody says why it is tried all the same."""
    found = judged.body["gate"]
    if found["passed"] or (despite and judged.verdict != "worse"):
        return
    why = f"{judged.verdict}. {judged.reason} {found['sentence']}"
    way_out = "" if judged.verdict == "worse" else " To try it all the same, say why (despite)."
    raise NotPermitted(f"{judged.agent}: {short(judged.version)} may not be released: {why}{way_out}")


def _plain_gate(passed: Gate) -> dict[str, Any]:
    return {"passed": passed.passed, "sentence": passed.sentence, **plain(passed)}


def ledger(agent: Runtime) -> Ledger:
    """Return each forecast of a release beside what came of it live: by how much more the challenger earned.

    Forecasts of whole episodes are left out: live, decisions are compared.
    """
    place, name = production(agent).releases, agent.spec.name
    judgements = place.judgements(name, _LEDGER)
    foretold = {each.id: each for each in judgements if each.kind == "evaluation"}
    started = (each for each in place.moves(name, _LEDGER) if each.move == "started")
    by_release = {each.release: foretold.get(each.evidence.get("evaluation", "")) for each in started}
    pairs = [
        (_forecast(said), live)
        for each in reversed(judgements)
        if each.kind == "outcome" and (said := by_release.get(each.release)) is not None
        if not said.body["evaluation"]["sequential"] and (live := _live(each)) is not None
    ]
    low, high = agent.spec.reward_range
    return calibrated(pairs, reach=high - low, level=agent.settings.evaluation.level)


def _forecast(judged: Judgement) -> Forecast:
    found = judged.body["evaluation"]["differences"]["incumbent"]
    name = f"{short(judged.version)} less {short(judged.against)}"
    return Forecast(name=name, value=found["value"], low=found["low"], high=found["high"])


def _live(outcome: Judgement) -> Live | None:
    """Return what a release came to in reward; None where too little of it was seen to say."""
    reward = outcome.body["metrics"][0]
    if reward.get("standard_error") is None:
        return None
    return Live(
        mean=reward["challenger_mean"] - reward["champion_mean"],
        standard_error=reward["standard_error"],
        count=reward["challenger_units"],
    )


def plain(value: object) -> dict[str, Any]:
    """Return a value as JSON has it; what is no finite number as null."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return found
