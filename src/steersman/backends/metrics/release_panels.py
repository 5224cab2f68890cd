"""The dashboard of releases: what is in production and tried, what the log says of it, and whether the world moves."""

from steersman.backends.metrics.grafana import Dashboard, Panel, Query

_CHOSEN = 'tenant=~"$tenant", agent=~"$agent"'


def _by(labels: str, metric: str) -> str:
    return f"max by (agent{labels}) ({metric}{{{_CHOSEN}}})"


RELEASES = Dashboard(
    name="releases",
    span="7d",
    title="Steersman: what is in production, and what is tried",
    about="Moves and trials, off-policy estimates with their intervals, and drift. The service's own pages say why.",
    panels=(
        Panel(
            title="Stage",
            about="full: nobody is tried. shadow: the challenger is asked and not obeyed. canary: it decides for some.",
            queries=(Query(expression=f"{_by(', stage', 'steersman_release_stage')} == 1", legend="{{agent}} {{stage}}"),),
            shape="stat",
        ),
        Panel(
            title="Held, or waiting for a person",
            about="1 while a trial does not go on.",
            queries=(Query(expression=_by("", "steersman_release_held")),),
            shape="stat",
            limits=((None, "green"), (1, "yellow")),
        ),
        Panel(
            title="Share of the challenger",
            about="Share of the subjects that the challenger decides for; a step down is a rollback or the end of a trial.",
            queries=(Query(expression=_by("", "steersman_release_share_ratio")),),
            unit="percentunit",
            lowest=0,
            highest=1,
        ),
        Panel(
            title="Evidence of harm",
            about="The largest e-value that the challenger is worse by more than a margin. With k metrics it goes back at "
            "k/(0.9·α): 89 for four of them at α 0.05.",
            queries=(Query(expression=_by("", "steersman_release_harm_evidence")),),
            limits=((None, "green"), (20, "yellow"), (89, "red")),
            lowest=0,
        ),
        Panel(
            title="Moves and rollbacks",
            about="Number of the last move, and rollbacks among the last 1,000 moves.",
            queries=(
                Query(expression=_by("", "steersman_release_number"), legend="{{agent}} moves"),
                Query(expression=_by("", "steersman_rollbacks"), legend="{{agent}} rollbacks"),
            ),
            lowest=0,
        ),
        Panel(
            title="Sizes of the arms",
            about="1 where they are not those that were drawn: then nothing can be concluded.",
            queries=(Query(expression=_by("", "steersman_release_sample_mismatch")),),
            shape="stat",
            limits=((None, "green"), (1, "red")),
        ),
        Panel(
            title="Off-policy estimates",
            about="What the last evaluation says each policy would earn, with its interval, in the agent's units.",
            queries=(
                Query(expression=_by(", policy", "steersman_evaluation_value"), legend="{{agent}} {{policy}}"),
                Query(expression=_by(", policy", "steersman_evaluation_low"), legend="{{agent}} {{policy}} at least"),
                Query(expression=_by(", policy", "steersman_evaluation_high"), legend="{{agent}} {{policy}} at most"),
            ),
        ),
        Panel(
            title="What estimates are worth",
            about="Effective sample size of each policy, and hours since the evaluation.",
            queries=(
                Query(expression=_by(", policy", "steersman_evaluation_effective_outcomes"), legend="{{agent}} {{policy}}"),
                Query(
                    expression=f"(time() - {_by('', 'steersman_evaluation_timestamp_seconds')}) / 3600",
                    legend="{{agent}} hours ago",
                ),
            ),
            lowest=0,
        ),
        Panel(
            title="Drift",
            about="Population stability index of what drifts most: 0.1 is worth a look, 0.25 asks for action.",
            queries=(Query(expression=_by(", of", "steersman_drift_psi"), legend="{{agent}} {{of}}"),),
            limits=((None, "green"), (0.1, "yellow"), (0.25, "red")),
            lowest=0,
        ),
        Panel(
            title="Signals",
            about="What monitoring tells now: drift, rewards, the error budget.",
            queries=(
                Query(
                    expression=f"{_by(', kind, level', 'steersman_signals')} > 0",
                    legend="{{agent}} {{kind}}: {{level}}",
                ),
            ),
            shape="stat",
            limits=((None, "yellow"),),
        ),
    ),
)
