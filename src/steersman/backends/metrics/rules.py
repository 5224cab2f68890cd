"""Rules for Prometheus: what is computed beforehand, and when somebody has to be woken, or asked to look.

A *page* wakes somebody, a *ticket* waits for the morning. What a policy in shadow does is carried out by nobody, so it never
pages. Burn rates follow the multi-window scheme of the Google SRE workbook (chapter 5): an alert needs the long window, for
evidence, and the short one, so that it ends soon after the cause.
"""

import msgspec

from steersman.backends.metrics.alerting import Alert, Group, Record
from steersman.backends.metrics.release_rules import RELEASES
from steersman.backends.metrics.table import SLO_S

RULES_FILE = "steersman-rules.yml"
RUNBOOKS = "docs/runbooks.md"
OBJECTIVE = 0.99
"""Share of decisions that are to be made within `table.SLO_S`."""
_BURN_WINDOWS = ("5m", "30m", "1h", "6h", "3d")
_SERIES = "tenant, agent, stage"
_AGENT = "tenant, agent"
_PAGE_UNLESS_SHADOW = '{{ if eq $labels.stage "shadow" }}ticket{{ else }}page{{ end }}'
_COMPARED = 'arm="{arm}", drawn="true"'


def rules(runbooks: str = RUNBOOKS) -> bytes:
    """Return the file of rules. It is JSON, which is YAML as well."""
    groups = [
        {"name": each.name, "rules": [*(r.plain() for r in each.records), *(a.plain(runbooks) for a in each.alerts)]}
        for each in GROUPS
    ]
    return msgspec.json.format(msgspec.json.encode({"groups": groups}), indent=2) + b"\n"


def alerts() -> tuple[Alert, ...]:
    """Return all alerts."""
    return tuple(alert for group in GROUPS for alert in group.alerts)


def _slow(window: str) -> str:
    return f"tenant_agent_stage:steersman_decision_slow:ratio_rate{window}"


def _slow_record(window: str) -> Record:
    metric = "steersman_decision_latency_seconds"
    quick = f'sum by ({_SERIES}) (rate({metric}_bucket{{le="{SLO_S}"}}[{window}]))'
    return Record(name=_slow(window), expression=f"1 - {quick} / sum by ({_SERIES}) (rate({metric}_count[{window}]))")


def _burn(name: str, factor: float, long: str, short: str, severity: str, least: int) -> Alert:
    """Return an alert for the objective's budget being spent `factor` times as fast as it lasts; with enough decisions."""
    limit = f"{factor * (1 - OBJECTIVE):.4g}"
    enough = f"sum by ({_SERIES}) (increase(steersman_decision_latency_seconds_count[{long}])) >= {least}"
    return Alert(
        name=name,
        expression=f"{_slow(long)} > {limit} and {_slow(short)} > {limit} and {enough}",
        hold="0m" if severity != "ticket" else "15m",
        severity=severity,
        area="latency",
        summary="Decisions of {{ $labels.agent }} ({{ $labels.stage }}) are slow.",
        description=f"Over {long} and over {short}, more than {factor:g} times the allowed {1 - OBJECTIVE:.0%} of decisions "
        f"took longer than {SLO_S * 1000:g} ms.",
        runbook="latency-burn",
    )


def _overridden(window: str) -> Record:
    return Record(
        name=f"tenant_agent_stage:steersman_overridden:ratio_rate{window}",
        expression=f"sum by ({_SERIES}) (rate(steersman_overridden_decisions_total[{window}])) / "
        f"sum by ({_SERIES}) (rate(steersman_decisions_total[{window}]))",
    )


def _rewards(window: str, arm: str) -> tuple[Record, Record]:
    """Return how many rewards an arm earned, and their mean in shares of the range, where chance chose the arm."""
    chosen = f"{{{_COMPARED.format(arm=arm)}}}[{window}]"
    count, mean = _count(window, arm), _mean(window, arm)
    total = f"sum by ({_SERIES}) (increase(steersman_reward_ratio_sum{chosen}))"
    return (
        Record(name=count, expression=f"sum by ({_SERIES}) (increase(steersman_reward_ratio_count{chosen}))"),
        Record(name=mean, expression=f"{total} / ({count} > 0)"),
    )


def _count(window: str, arm: str) -> str:
    return f"tenant_agent_stage:steersman_reward_{arm}:count{window}"


def _mean(window: str, arm: str) -> str:
    return f"tenant_agent_stage:steersman_reward_{arm}:mean{window}"


def _worse(now: tuple[str, str], before: tuple[str, str], margin: float) -> str:
    """Return the condition that one mean is below another by more than a margin and two standard errors.

    What lies in [0, 1] has a standard deviation of at most 1/2, so two standard errors of a difference are at most
    √(1/n + 1/m): with little evidence nothing is said.
    """
    noise = f"sqrt(1 / ({_count(*now)} > 0) + 1 / ({_count(*before)} > 0))"
    return f"{_mean(*before)} - {_mean(*now)} > {margin:g} + {noise}"


def _cost(arm: str) -> str:
    chosen = f"{{{_COMPARED.format(arm=arm)}}}[1d]"
    return (
        f"(sum by ({_SERIES}) (increase(steersman_cost_total{chosen})) - "
        f"sum by ({_SERIES}) (increase(steersman_cost_refunds_total{chosen}))) / "
        f"(sum by ({_SERIES}) (increase(steersman_costed_outcomes_total{chosen})) >= 30)"
    )


_LATENCY = Group(
    name="steersman-latency",
    records=tuple(_slow_record(each) for each in _BURN_WINDOWS),
    alerts=(
        _burn("SteersmanLatencyBurnFast", 14.4, "1h", "5m", _PAGE_UNLESS_SHADOW, 100),
        _burn("SteersmanLatencyBurn", 6, "6h", "30m", _PAGE_UNLESS_SHADOW, 100),
        _burn("SteersmanLatencyBurnSlow", 1, "3d", "6h", "ticket", 1_000),
    ),
)
_GUARDS = Group(
    name="steersman-guards",
    records=(_overridden("10m"), _overridden("6h"), _overridden("1d")),
    alerts=(
        Alert(
            name="SteersmanOverrideFlood",
            expression="tenant_agent_stage:steersman_overridden:ratio_rate10m > 0.25 and "
            "tenant_agent_stage:steersman_overridden:ratio_rate10m > "
            "3 * tenant_agent_stage:steersman_overridden:ratio_rate1d and "
            f"sum by ({_SERIES}) (increase(steersman_overridden_decisions_total[10m])) >= 10",
            hold="2m",
            severity=_PAGE_UNLESS_SHADOW,
            area="guards",
            summary="Guards suddenly override {{ $labels.agent }} ({{ $labels.stage }}).",
            description="In the last 10 minutes guards refused what would have been best in more than a quarter of the "
            "decisions, three times as often as over the day.",
            runbook="override-flood",
        ),
        Alert(
            name="SteersmanOverridesHigh",
            expression="tenant_agent_stage:steersman_overridden:ratio_rate6h > 0.5 and "
            f"sum by ({_SERIES}) (increase(steersman_overridden_decisions_total[6h])) >= 50",
            hold="1h",
            severity="ticket",
            area="guards",
            summary="Guards override most of what {{ $labels.agent }} ({{ $labels.stage }}) holds best.",
            description="Over 6 hours guards refused what would have been best in more than half of the decisions: what is "
            "rewarded and what is allowed do not fit together.",
            runbook="override-flood",
        ),
        Alert(
            name="SteersmanGuardDead",
            expression="steersman_guard_alive == 0",
            hold="2m",
            severity="page",
            area="guards",
            summary="Guard {{ $labels.guard }} of {{ $labels.agent }} lets its probe pass.",
            description="The guard does not refuse the state that it declares as its probe, or does not answer in time.",
            runbook="guard-dead",
        ),
        Alert(
            name="SteersmanGuardFailing",
            expression=f"sum by ({_AGENT}, guard) (increase(steersman_guard_failures_total[15m])) >= 10",
            hold="5m",
            severity="ticket",
            area="guards",
            summary="Guard {{ $labels.guard }} of {{ $labels.agent }} fails, and so denies everything.",
            description="It raised or was late in at least 10 decisions within 15 minutes; the safe action was served.",
            runbook="guard-dead",
        ),
        Alert(
            name="SteersmanFalseBlocks",
            expression=f"sum by ({_AGENT}) (increase(steersman_false_blocks_total[1d])) / "
            f"(sum by ({_AGENT}) (increase(steersman_judged_blocks_total[1d])) >= 20) > 0.2",
            hold="1h",
            severity="ticket",
            area="guards",
            summary="{{ $labels.agent }} blocks what it should let pass.",
            description="Over a day more than a fifth of its blocks, as far as they were judged, turned out to be wrong.",
            runbook="false-blocks",
        ),
    ),
)
_REWARDS = Group(
    name="steersman-rewards",
    records=(
        *_rewards("1h", "champion"),
        *_rewards("1h", "baseline"),
        *_rewards("1d", "champion"),
        *_rewards("7d", "champion"),
    ),
    alerts=(
        Alert(
            name="SteersmanPolicyOutage",
            expression=_worse(("1h", "champion"), ("1h", "baseline"), 0.15),
            hold="5m",
            severity=_PAGE_UNLESS_SHADOW,
            area="rewards",
            summary="What {{ $labels.agent }} has learned ({{ $labels.stage }}) does harm.",
            description="Over an hour the learned policy earned less than the baseline, by more than 15 % of the reward's "
            "range and than noise explains.",
            runbook="rollback",
        ),
        Alert(
            name="SteersmanRewardDecay",
            expression=_worse(("1d", "champion"), ("7d", "champion"), 0.05),
            hold="1h",
            severity="ticket",
            area="rewards",
            summary="Rewards of {{ $labels.agent }} ({{ $labels.stage }}) fall.",
            description="Over a day the learned policy earned less than over the week, by more than 5 % of the reward's "
            "range and than noise explains.",
            runbook="reward-anomaly",
        ),
        Alert(
            name="SteersmanCostOverBaseline",
            expression=f"({_cost('champion')}) > 1.1 * ({_cost('baseline')})",
            hold="1h",
            severity="ticket",
            area="rewards",
            summary="{{ $labels.agent }} ({{ $labels.stage }}) costs more than its baseline.",
            description="Over a day an action of the learned policy cost over 10 % more than one of the baseline.",
            runbook="resource-spike",
        ),
    ),
)
_LEARNING = Group(
    name="steersman-learning",
    alerts=(
        Alert(
            name="SteersmanTrainingStalled",
            expression=f'sum by ({_AGENT}) (increase(steersman_outcomes_total{{kind="reported"}}[1h])) >= 20 '
            f"unless on ({_AGENT}) sum by ({_AGENT}) (increase(steersman_outcomes_learned_total[1h])) > 0",
            hold="15m",
            severity="ticket",
            area="learning",
            summary="Nothing is learned for {{ $labels.agent }}.",
            description="Outcomes were reported in the last hour and not one of them was learned.",
            runbook="failed-training",
        ),
        Alert(
            name="SteersmanTrainingDiverging",
            expression="steersman_learning_bias_ratio > 0.1",
            hold="1h",
            severity="ticket",
            area="learning",
            summary="Values of {{ $labels.agent }} do not settle.",
            description="The mean signed TD error, beyond noise, stays above 10 % of the reward's range.",
            runbook="failed-training",
        ),
        Alert(
            name="SteersmanActionCollapse",
            expression=f"steersman_action_entropy_ratio < 0.02 and on ({_AGENT}) "
            'steersman_learning_state{verdict=~"still learning|unsettled"} == 1',
            hold="1h",
            severity="ticket",
            area="learning",
            summary="{{ $labels.agent }} takes one action only, and has not converged.",
            description="The entropy of its actions is below 2 % of what is possible while it still learns: a collapse, no "
            "success.",
            runbook="drift",
        ),
    ),
)
_SERVICE = Group(
    name="steersman-service",
    alerts=(
        Alert(
            name="SteersmanSafeActionsOnly",
            expression=f'sum by ({_SERIES}) (rate(steersman_decisions_total{{arm="safe"}}[5m])) / '
            f"sum by ({_SERIES}) (rate(steersman_decisions_total[5m])) > 0.5 unless on ({_AGENT}) "
            'max by (tenant, agent) (steersman_controls_active{kind="kill"}) == 1',
            hold="5m",
            severity=_PAGE_UNLESS_SHADOW,
            area="service",
            summary="{{ $labels.agent }} ({{ $labels.stage }}) serves its safe action in most decisions.",
            description="Deciding fails, or guards allow nothing, in more than half of the decisions; no kill switch is "
            "pulled.",
            runbook="safe-actions-only",
        ),
        Alert(
            name="SteersmanStoreNotWriting",
            expression="steersman_log_writing == 0",
            hold="1m",
            severity="page",
            area="service",
            summary="The store of tenant {{ $labels.tenant }} does not take what is logged.",
            description="Outcomes are not acknowledged, and decisions wait in memory.",
            runbook="store-not-writing",
        ),
        Alert(
            name="SteersmanRequestsFailing",
            expression='sum by (tenant) (rate(steersman_http_request_duration_seconds_count{status="5xx"}[10m])) / '
            "sum by (tenant) (rate(steersman_http_request_duration_seconds_count[10m])) > 0.02 and "
            'sum by (tenant) (increase(steersman_http_request_duration_seconds_count{status="5xx"}[10m])) >= 10',
            hold="2m",
            severity="page",
            area="service",
            summary="Requests of tenant {{ $labels.tenant }} are refused or fail.",
            description="Over 10 minutes more than 2 % of the requests were answered with a status of 500 or above.",
            runbook="requests-failing",
        ),
        Alert(
            name="SteersmanMemorySpike",
            expression="steersman_memory_bytes > 1.5 * avg_over_time(steersman_memory_bytes[1d]) and "
            "steersman_memory_bytes > 5e8",
            hold="15m",
            severity="ticket",
            area="service",
            summary="The service needs much more memory than over the day.",
            description="Its processes hold more than 1.5 times their mean of the day, and over 500 MB.",
            runbook="resource-spike",
        ),
        Alert(
            name="SteersmanTelemetryMissing",
            expression="absent(steersman_build_info)",
            hold="5m",
            severity="ticket",
            area="service",
            summary="No metrics of Steersman arrive.",
            description="Nothing was scraped for 5 minutes: the service is down, or the scraper may not read /metrics.",
            runbook="telemetry-missing",
        ),
    ),
)
GROUPS = (_LATENCY, _GUARDS, _REWARDS, _LEARNING, RELEASES, _SERVICE)
