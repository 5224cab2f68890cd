"""Tests of the rules for `promtool test rules`: for each alert, what makes it fire and what must not.

They lie beside the rules that are written out, so that whoever changes a threshold sees what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from steersman.backends.metrics.alerting import Alert
from steersman.backends.metrics.rules import RULES_FILE, RUNBOOKS, alerts

TEST_FILES = {
    "1m": "steersman-rules-minutes.test.yml",
    "10m": "steersman-rules-hours.test.yml",
    "1h": "steersman-rules-days.test.yml",
}
"""Files by the length of their steps: what needs days is told in hours, or its test would take minutes."""
_SERIES = {"tenant": "default", "agent": "lab/pump", "stage": "full"}
_AGENT = {"tenant": "default", "agent": "lab/pump"}
_GUARD = {**_AGENT, "guard": "load"}
_TENANT = {"tenant": "default"}
Values = Mapping[str, str]
"""Samples in the notation of promtool, by metric with the labels that it has beside those of the case."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert: series with which it fires at a time, and some with which it is quiet.

    labels: of the series, and of the alert that is expected.
    """

    alert: str
    labels: Mapping[str, str]
    at: str
    fires: Values
    quiet: tuple[Values, ...]
    step: str = "1m"


def _latency(quick: str, count: str) -> Values:
    name = "steersman_decision_latency_seconds"
    return {f'{name}_bucket{{le="0.1"}}': quick, f"{name}_count": count}


def _overridden(overridden: str, decisions: str) -> Values:
    return {"steersman_overridden_decisions_total": overridden, "steersman_decisions_total": decisions}


def _rewards(**samples: tuple[str, str]) -> Values:
    found = {}
    for arm, (total, count) in samples.items():
        found[f'steersman_reward_ratio_sum{{arm="{arm}",drawn="true"}}'] = total
        found[f'steersman_reward_ratio_count{{arm="{arm}",drawn="true"}}'] = count
    return found


def _costs(champion: str, baseline: str) -> Values:
    found = {}
    for arm, cost in (("champion", champion), ("baseline", baseline)):
        found[f'steersman_cost_total{{arm="{arm}",drawn="true"}}'] = cost
        found[f'steersman_cost_refunds_total{{arm="{arm}",drawn="true"}}'] = "0x200"
        found[f'steersman_costed_outcomes_total{{arm="{arm}",drawn="true"}}'] = "0+10x200"
    return found


def _learned(outcomes: str, learned: str) -> Values:
    return {'steersman_outcomes_total{kind="reported"}': outcomes, "steersman_outcomes_learned_total": learned}


def _collapsed(verdict: str) -> Values:
    return {
        "steersman_action_entropy_ratio": "0.005x90",
        'steersman_learning_state{verdict="still learning"}': f"{int(verdict == 'still learning')}x90",
        'steersman_learning_state{verdict="converged"}': f"{int(verdict == 'converged')}x90",
    }


def _safe(killed: int) -> Values:
    return {
        'steersman_decisions_total{arm="safe"}': "0+50x30",
        'steersman_decisions_total{arm="champion"}': "0+10x30",
        'steersman_controls_active{kind="kill"}': f"{killed}x30",
    }


def _signalled(kind: str, level: str) -> Values:
    return {f'steersman_signals{{kind="{kind}",level="{level}"}}': "1x60"}


def _requests(failed: str) -> Values:
    name = "steersman_http_request_duration_seconds_count"
    return {f'{name}{{operation="decide",status="2xx"}}': "0+100x30", f'{name}{{operation="decide",status="5xx"}}': failed}


CASES: tuple[Case, ...] = (
    Case(
        alert="SteersmanLatencyBurnFast",
        labels=_SERIES,
        at="80m",
        fires=_latency("0+70x90", "0+100x90"),
        quiet=(
            _latency("0+90x90", "0+100x90"),  # slow, but not as fast
            _latency("0+70x70 4900+100x20", "0+100x90"),  # over for ten minutes
            _latency("0+0x90", "0+1x90"),  # too few decisions
        ),
    ),
    Case(
        alert="SteersmanLatencyBurn",
        labels=_SERIES,
        at="420m",
        fires=_latency("0+90x45", "0+100x45"),
        quiet=(_latency("0+95x45", "0+100x45"),),
        step="10m",
    ),
    Case(
        alert="SteersmanLatencyBurnSlow",
        labels=_SERIES,
        at="78h",
        fires=_latency("0+980x80", "0+1000x80"),
        quiet=(_latency("0+995x80", "0+1000x80"),),
        step="1h",
    ),
    Case(
        alert="SteersmanOverrideFlood",
        labels=_SERIES,
        at="250m",
        fires=_overridden("0+3x240 756+36x20", "0+60x260"),
        quiet=(_overridden("0+36x260", "0+60x260"), _overridden("0+3x260", "0+60x260")),
    ),
    Case(
        alert="SteersmanOverridesHigh",
        labels=_SERIES,
        at="8h",
        fires=_overridden("0+36x50", "0+60x50"),
        quiet=(_overridden("0+18x50", "0+60x50"),),
        step="10m",
    ),
    Case(
        alert="SteersmanGuardDead",
        labels=_GUARD,
        at="5m",
        fires={"steersman_guard_alive": "0x10"},
        quiet=({"steersman_guard_alive": "1x10"}, {}),
    ),
    Case(
        alert="SteersmanGuardFailing",
        labels=_GUARD,
        at="30m",
        fires={"steersman_guard_failures_total": "0+5x40"},
        quiet=({"steersman_guard_failures_total": "3x40"},),
    ),
    Case(
        alert="SteersmanFalseBlocks",
        labels=_AGENT,
        at="30h",
        fires={"steersman_judged_blocks_total": "0+2x200", "steersman_false_blocks_total": "0+1x200"},
        quiet=({"steersman_judged_blocks_total": "0+10x200", "steersman_false_blocks_total": "0+1x200"},),
        step="10m",
    ),
    Case(
        alert="SteersmanPolicyOutage",
        labels=_SERIES,
        at="90m",
        fires=_rewards(champion=("0+3x100", "0+10x100"), baseline=("0+4x100", "0+5x100")),
        quiet=(
            _rewards(champion=("0+7x100", "0+10x100"), baseline=("0+4x100", "0+5x100")),
            _rewards(champion=("0+3x100", "0+10x100"), baseline=("0x60 0.8x40", "0x60 1x40")),  # one reward is no evidence
        ),
    ),
    Case(
        alert="SteersmanRewardDecay",
        labels=_SERIES,
        at="170h",
        fires=_rewards(champion=("0+48x144 6948+36x30", "0+60x175")),
        quiet=(_rewards(champion=("0+48x175", "0+60x175")),),
        step="1h",
    ),
    Case(
        alert="SteersmanCostOverBaseline",
        labels=_SERIES,
        at="30h",
        fires=_costs("0+15x200", "0+10x200"),
        quiet=(_costs("0+10x200", "0+10x200"),),
        step="10m",
    ),
    Case(
        alert="SteersmanTrainingStalled",
        labels=_AGENT,
        at="100m",
        fires=_learned("0+1x120", "5x120"),
        quiet=(_learned("0+1x120", "0+1x120"), _learned("5x120", "5x120")),
    ),
    Case(
        alert="SteersmanTrainingDiverging",
        labels=_AGENT,
        at="80m",
        fires={"steersman_learning_bias_ratio": "0.3x90"},
        quiet=({"steersman_learning_bias_ratio": "0.05x90"}, {}),
    ),
    Case(
        alert="SteersmanActionCollapse",
        labels=_AGENT,
        at="80m",
        fires=_collapsed("still learning"),
        quiet=(_collapsed("converged"),),
    ),
    Case(
        alert="SteersmanRolledBack",
        labels=_AGENT,
        at="80m",
        fires={"steersman_last_rollback_timestamp_seconds": "3600x90"},
        quiet=({"steersman_last_rollback_timestamp_seconds": "600x90"}, {}),
    ),
    Case(
        alert="SteersmanReleaseHeld",
        labels=_AGENT,
        at="30h",
        fires={"steersman_release_held": "1x40"},
        quiet=({"steersman_release_held": "1x15 0 1x24"}, {"steersman_release_held": "0x40"}),
        step="1h",
    ),
    Case(
        alert="SteersmanSampleRatioMismatch",
        labels=_AGENT,
        at="20m",
        fires={"steersman_release_sample_mismatch": "1x30"},
        quiet=({"steersman_release_sample_mismatch": "0x30"},),
    ),
    Case(
        alert="SteersmanDrift",
        labels=_AGENT,
        at="40m",
        fires=_signalled("drift", "act"),
        quiet=(_signalled("drift", "warn"), _signalled("reward", "act")),
    ),
    Case(
        alert="SteersmanRewardAnomaly",
        labels=_AGENT,
        at="40m",
        fires=_signalled("reward", "act"),
        quiet=(_signalled("reward", "warn"), _signalled("drift", "act")),
    ),
    Case(alert="SteersmanSafeActionsOnly", labels=_SERIES, at="20m", fires=_safe(0), quiet=(_safe(1),)),
    Case(
        alert="SteersmanStoreNotWriting",
        labels=_TENANT,
        at="3m",
        fires={"steersman_log_writing": "0x5"},
        quiet=({"steersman_log_writing": "1x5"},),
    ),
    Case(
        alert="SteersmanRequestsFailing",
        labels=_TENANT,
        at="20m",
        fires=_requests("0+5x30"),
        quiet=(_requests("0+1x30"),),
    ),
    Case(
        alert="SteersmanMemorySpike",
        labels=_TENANT,
        at="270m",
        fires={"steersman_memory_bytes": "1e9x240 2e9x40"},
        quiet=({"steersman_memory_bytes": "1e9x280"}, {"steersman_memory_bytes": "1e8x240 2e8x40"}),
    ),
    Case(
        alert="SteersmanTelemetryMissing",
        labels={},
        at="10m",
        fires={},
        quiet=({'steersman_build_info{release="1.0.0",tenant="default"}': "1x20"},),
    ),
)


def rule_tests(runbooks: str = RUNBOOKS) -> dict[str, bytes]:
    """Return the files of tests, by name."""
    return {name: _file(step, runbooks) for step, name in TEST_FILES.items()}


def _file(step: str, runbooks: str) -> bytes:
    known = {each.name: each for each in alerts()}
    tests = [test for case in CASES if case.step == step for test in _tests(case, known[case.alert], runbooks)]
    plain = {"rule_files": [RULES_FILE], "evaluation_interval": step, "tests": tests}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def _tests(case: Case, alert: Alert, runbooks: str) -> list[dict[str, Any]]:
    """Return the tests of one alert: fired, quiet and, where a stage matters, fired by what is in shadow."""
    told = [(case.labels, case.fires, True), *((case.labels, values, False) for values in case.quiet)]
    if "stage" in case.labels:
        told.append(({**case.labels, "stage": "shadow"}, case.fires, True))
    return [
        {
            "interval": case.step,
            "name": f"{alert.name} {'fires' if fires else 'is quiet'} ({number})",
            "input_series": [{"series": _series(name, labels), "values": each} for name, each in values.items()],
            "alert_rule_test": [
                {
                    "eval_time": case.at,
                    "alertname": alert.name,
                    "exp_alerts": [_expected(alert, labels, runbooks)] if fires else [],
                }
            ],
        }
        for number, (labels, values, fires) in enumerate(told)
    ]


def _series(name: str, labels: Mapping[str, str]) -> str:
    metric, _, own = name.rstrip("}").partition("{")
    inside = [*([own] if own else []), *(f'{key}="{value}"' for key, value in labels.items())]
    return f"{metric}{{{','.join(inside)}}}"


def _expected(alert: Alert, labels: Mapping[str, str], runbooks: str) -> dict[str, Any]:
    plain = alert.plain(runbooks)
    severity = alert.severity
    if severity.startswith("{{"):
        severity = "ticket" if labels["stage"] == "shadow" else "page"
    return {
        "exp_labels": {**labels, "severity": severity, "area": alert.area},
        "exp_annotations": {key: _filled(text, labels) for key, text in plain["annotations"].items()},
    }


def _filled(text: str, labels: Mapping[str, str]) -> str:
    for key, value in labels.items():
        text = text.replace(f"{{{{ $labels.{key} }}}}", value)
    return text
