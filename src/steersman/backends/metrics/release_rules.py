"""Rules about releases and about a world that moves. None wakes anybody: what did harm was rolled back by itself."""

from steersman.backends.metrics.alerting import Alert, Group

_AGENT = "tenant, agent"


def _act(kind: str) -> str:
    return f'max by ({_AGENT}) (steersman_signals{{kind="{kind}", level="act"}}) > 0'


RELEASES = Group(
    name="steersman-releases",
    alerts=(
        Alert(
            name="SteersmanRolledBack",
            expression=f"time() - max by ({_AGENT}) (steersman_last_rollback_timestamp_seconds) < 3600",
            hold="0m",
            severity="ticket",
            area="release",
            summary="A version of {{ $labels.agent }} was rolled back.",
            description="Within the last hour, by itself or by a person; the version of before decides again.",
            runbook="rollback",
        ),
        Alert(
            name="SteersmanReleaseHeld",
            expression=f"max by ({_AGENT}) (steersman_release_held) == 1",
            hold="24h",
            severity="ticket",
            area="release",
            summary="A release of {{ $labels.agent }} has been held for a day.",
            description="It is held, or waits for a person to confirm the next step; until then it goes no further.",
            runbook="release-held",
        ),
        Alert(
            name="SteersmanSampleRatioMismatch",
            expression=f"max by ({_AGENT}) (steersman_release_sample_mismatch) == 1",
            hold="5m",
            severity="ticket",
            area="release",
            summary="The arms of a trial of {{ $labels.agent }} are not as large as they were drawn.",
            description="Subjects of one arm are missing, so nothing can be concluded from comparing the two.",
            runbook="sample-ratio-mismatch",
        ),
        Alert(
            name="SteersmanDrift",
            expression=_act("drift"),
            hold="15m",
            severity="ticket",
            area="drift",
            summary="The states of {{ $labels.agent }} are others than they were.",
            description="The population stability index of a feature is above 0.25, and chance does not explain it.",
            runbook="drift",
        ),
        Alert(
            name="SteersmanRewardAnomaly",
            expression=_act("reward"),
            hold="15m",
            severity="ticket",
            area="rewards",
            summary="Rewards of {{ $labels.agent }} are odd.",
            description="They shifted, or rise while a measurement that should not suffer gets worse.",
            runbook="reward-anomaly",
        ),
    ),
)
