"""The dashboards: for who answers for it, for who is on call, and for who looks for the cause.

Where several agents would make a panel crowded, the variables `agent`, `stage` and `tenant` choose.
"""

from steersman.backends.metrics.grafana import Dashboard, Panel, Query, rendered
from steersman.backends.metrics.release_panels import RELEASES
from steersman.backends.metrics.table import SLO_S

_CHOSEN = 'tenant=~"$tenant", agent=~"$agent"'
_STAGED = f'{_CHOSEN}, stage=~"$stage"'


def _rate(metric: str, by: str, *, where: str = "", staged: bool = True, window: str = "$__rate_interval") -> str:
    chosen = _STAGED if staged else _CHOSEN
    return f"sum by ({by}) (rate({metric}{{{chosen}{f', {where}' if where else ''}}}[{window}]))"


def _reward(arm: str, window: str) -> str:
    """Return the mean reward of an arm in the agent's own units, of decisions whose arm was drawn by chance."""
    where = f'arm="{arm}", drawn="true"'
    share = (
        f"{_rate('steersman_reward_ratio_sum', 'tenant, agent', where=where, window=window)} / "
        f"({_rate('steersman_reward_ratio_count', 'tenant, agent', where=where, window=window)} > 0)"
    )
    low, high = (f"max by (tenant, agent) (steersman_reward_{each}{{{_CHOSEN}}})" for each in ("low", "high"))
    return f"{low} + ({high} - {low}) * ({share})"


def _share(part: str, whole: str, window: str, *, by: str = "agent") -> str:
    return f"{_rate(part, by, window=window)} / ({_rate(whole, by, window=window)} > 0)"


def _quantile(share: float) -> str:
    buckets = _rate("steersman_decision_latency_seconds_bucket", "agent, le")
    return f"histogram_quantile({share:g}, {buckets})"


def _cost(arm: str) -> str:
    where = f'arm="{arm}", drawn="true"'
    costs = _rate("steersman_cost_total", "agent", where=where, window="1d")
    refunds = _rate("steersman_cost_refunds_total", "agent", where=where, window="1d")
    return f"({costs} - {refunds}) / ({_rate('steersman_costed_outcomes_total', 'agent', where=where, window='1d')} > 0)"


def _gauge(metric: str) -> str:
    return f"max by (agent) ({metric}{{{_CHOSEN}}})"


_SAFE = 'arm="safe"'
_REQUESTS = 'steersman_http_request_duration_seconds_count{tenant=~"$tenant"}'
_TIMES = f"steersman_decision_latency_seconds_bucket{{{_STAGED}}}"
_GOOD_ABOVE: tuple[tuple[float | None, str], ...] = ((None, "red"), (0.85, "yellow"), (0.9, "green"))
_BAD_ABOVE: tuple[tuple[float | None, str], ...] = ((None, "green"), (0.25, "yellow"), (0.5, "red"))
_SLO: tuple[tuple[float | None, str], ...] = ((None, "green"), (SLO_S, "red"))
_ALIVE: tuple[tuple[float | None, str], ...] = ((None, "red"), (1, "green"))

_EXECUTIVE = Dashboard(
    name="executive",
    span="7d",
    title="Steersman: what it is worth",
    about="What the learned policies earn against the rules they replace, how often they succeed, what they cost, and how "
    "often guards had to hold them back.",
    panels=(
        Panel(
            title="Reward trend against the baseline",
            about="Mean reward of a day by arm, in the agent's units; only decisions whose arm was drawn by chance, so that "
            "the lines can be compared.",
            queries=(
                Query(expression=_reward("champion", "1d"), legend="{{agent}} learned"),
                Query(expression=_reward("baseline", "1d"), legend="{{agent}} baseline"),
            ),
            width=24,
        ),
        Panel(
            title="Reward gained over the baseline",
            about="What an action of the learned policy earned more, over a week, in the agent's units.",
            queries=(Query(expression=f"({_reward('champion', '7d')}) - ({_reward('baseline', '7d')})"),),
            shape="stat",
            limits=((None, "red"), (0, "green")),
        ),
        Panel(
            title="Success rate",
            about="Share of rewarded outcomes that reached success_reward, over a day; 90 % is the aim.",
            queries=(Query(expression=_share("steersman_successes_total", "steersman_reward_ratio_count", "1d")),),
            shape="stat",
            unit="percentunit",
            limits=_GOOD_ABOVE,
        ),
        Panel(
            title="Cost of an action",
            about="Over a day, in the unit of the measurement that the agent names as its cost; absent where it names none.",
            queries=(
                Query(expression=_cost("champion"), legend="{{agent}} learned"),
                Query(expression=_cost("baseline"), legend="{{agent}} baseline"),
            ),
        ),
        Panel(
            title="Overrides",
            about="Share of decisions in which guards refused what would have been best.",
            queries=(Query(expression=_share("steersman_overridden_decisions_total", "steersman_decisions_total", "1h")),),
            unit="percentunit",
            limits=_BAD_ABOVE,
            lowest=0,
        ),
        Panel(
            title="Decisions a day",
            about="How much is decided, by arm.",
            queries=(
                Query(
                    expression=f"86400 * {_rate('steersman_decisions_total', 'agent, arm', window='1h')}",
                    legend="{{agent}} {{arm}}",
                ),
            ),
            width=24,
        ),
    ),
)
_ON_CALL = Dashboard(
    name="on-call",
    title="Steersman: on call",
    about="Is it up, is it quick, does it do harm? The runbooks say what to do.",
    panels=(
        Panel(
            title="Alerts",
            about="What fires now.",
            queries=(
                Query(expression='ALERTS{alertname=~"Steersman.*", alertstate="firing"}', legend="{{alertname}} {{agent}}"),
            ),
            shape="table",
            width=24,
        ),
        Panel(
            title="Store",
            about="Whether the store takes what is logged.",
            queries=(Query(expression='min by (tenant) (steersman_log_writing{tenant=~"$tenant"})', legend="{{tenant}}"),),
            shape="stat",
            limits=_ALIVE,
            width=6,
        ),
        Panel(
            title="Guards",
            about="Guards that refuse their probe; those without a probe are absent.",
            queries=(
                Query(
                    expression=f"min by (agent, guard) (steersman_guard_alive{{{_CHOSEN}}})", legend="{{agent}} {{guard}}"
                ),
            ),
            shape="stat",
            limits=_ALIVE,
            width=6,
        ),
        Panel(
            title="Controls in force",
            about="Kill switches, pins, pauses and modes by a person.",
            queries=(
                Query(
                    expression=f"max by (agent, kind) (steersman_controls_active{{{_CHOSEN}}}) == 1",
                    legend="{{agent}} {{kind}}",
                ),
            ),
            shape="stat",
            limits=((None, "yellow"),),
        ),
        Panel(
            title="Recent rewards",
            about="Mean reward of the last hour by arm, in the agent's units.",
            queries=(
                Query(expression=_reward("champion", "1h"), legend="{{agent}} learned"),
                Query(expression=_reward("baseline", "1h"), legend="{{agent}} baseline"),
            ),
        ),
        Panel(
            title="Decision latency",
            about=f"p95 and p99 of the time to decide; p95 should stay below {SLO_S * 1000:g} ms.",
            queries=(
                Query(expression=_quantile(0.95), legend="{{agent}} p95"),
                Query(expression=_quantile(0.99), legend="{{agent}} p99"),
            ),
            unit="s",
            limits=_SLO,
            lowest=0,
        ),
        Panel(
            title="Q stability",
            about="How much better the best action is held than the second best, in reward ranges: near 0, noise decides.",
            queries=(Query(expression=_gauge("steersman_value_gap_ratio")),),
            unit="percentunit",
        ),
        Panel(
            title="Overrides",
            about="Share of decisions in which guards refused what would have been best.",
            queries=(
                Query(
                    expression=_share(
                        "steersman_overridden_decisions_total", "steersman_decisions_total", "10m", by="agent, stage"
                    ),
                    legend="{{agent}} {{stage}}",
                ),
            ),
            unit="percentunit",
            limits=_BAD_ABOVE,
            lowest=0,
        ),
        Panel(
            title="Which guard refuses, and which fails",
            about="Decisions an hour. A guard that fails denies everything.",
            queries=(
                Query(
                    expression=f"3600 * {_rate('steersman_guard_refusals_total', 'agent, guard', staged=False)}",
                    legend="{{agent}} {{guard}}",
                ),
                Query(
                    expression=f"3600 * {_rate('steersman_guard_failures_total', 'agent, guard', staged=False)}",
                    legend="{{agent}} {{guard}} FAILED",
                ),
            ),
        ),
        Panel(
            title="Kept from deciding",
            about="Decisions an hour that the learned policy was kept from: by its mode, a limit, or a kill switch.",
            queries=(
                Query(
                    expression=f"3600 * {_rate('steersman_influence_total', 'agent, mode, reason', staged=False)}",
                    legend="{{agent}} {{mode}}: {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Safe actions",
            about="Share of decisions that were served the safe action: a kill switch, a failure, or nothing allowed.",
            queries=(
                Query(
                    expression=f"{_rate('steersman_decisions_total', 'agent', where=_SAFE)} / "
                    f"({_rate('steersman_decisions_total', 'agent')} > 0)"
                ),
            ),
            unit="percentunit",
            limits=_BAD_ABOVE,
            lowest=0,
        ),
        Panel(
            title="Requests",
            about="Requests per second by class of status.",
            queries=(
                Query(
                    expression=f"sum by (status) (rate({_REQUESTS}[$__rate_interval]))",
                    legend="{{status}}",
                ),
            ),
            unit="reqps",
            lowest=0,
        ),
        Panel(
            title="Memory",
            about="Resident memory of all processes of the service.",
            queries=(Query(expression='max by (tenant) (steersman_memory_bytes{tenant=~"$tenant"})', legend="{{tenant}}"),),
            unit="bytes",
            lowest=0,
        ),
    ),
)
_DEBUG = Dashboard(
    name="debug",
    title="Steersman: why does it do that",
    about="Where learning stands, for one agent at a time.",
    panels=(
        Panel(
            title="Where learning stands",
            about="The verdict that holds over the last windows.",
            queries=(
                Query(
                    expression=f"max by (agent, verdict) (steersman_learning_state{{{_CHOSEN}}}) == 1",
                    legend="{{agent}}: {{verdict}}",
                ),
            ),
            shape="stat",
            width=24,
        ),
        Panel(
            title="Training loss",
            about="Mean signed TD error beyond noise, in reward ranges: what values are still off by. Settled below 0.01.",
            queries=(Query(expression=_gauge("steersman_learning_bias_ratio")),),
            limits=((None, "green"), (0.01, "yellow"), (0.1, "red")),
            lowest=0,
        ),
        Panel(
            title="Gap between the best actions",
            about="How much better the best action is held than the second best, in reward ranges.",
            queries=(Query(expression=_gauge("steersman_value_gap_ratio")),),
        ),
        Panel(
            title="Updates that changed the policy, and spread of rewards",
            about="Share of updates after which another action was the best; spread of the windows' rewards beyond noise.",
            queries=(
                Query(expression=_gauge("steersman_policy_changes_ratio"), legend="{{agent}} changes"),
                Query(expression=_gauge("steersman_reward_spread_ratio"), legend="{{agent}} spread"),
            ),
            lowest=0,
        ),
        Panel(
            title="Action entropy and exploration",
            about="Entropy of the actions taken, 1 for all alike; ε. An entropy of 0 while it still learns is a collapse.",
            queries=(
                Query(expression=_gauge("steersman_action_entropy_ratio"), legend="{{agent}} entropy"),
                Query(expression=_gauge("steersman_exploration_ratio"), legend="{{agent}} ε"),
            ),
            lowest=0,
            highest=1,
        ),
        Panel(
            title="Rewards",
            about="How rewards lie in the agent's declared range, from its low end (0) to its high end (1).",
            queries=(
                Query(
                    expression=f"sum by (le) (increase(steersman_reward_ratio_bucket{{{_STAGED}}}[$__rate_interval]))",
                    legend="{{le}}",
                    heatmap=True,
                ),
            ),
            shape="heatmap",
        ),
        Panel(
            title="Time to decide",
            about="How long decisions took.",
            queries=(
                Query(
                    expression=f"sum by (le) (increase({_TIMES}[$__rate_interval]))",
                    legend="{{le}}",
                    heatmap=True,
                ),
            ),
            shape="heatmap",
            unit="s",
        ),
        Panel(
            title="What learning is made of",
            about="Outcomes an hour by kind, and how many were learned. Corrections and withdrawals learn the log anew.",
            queries=(
                Query(expression=f"3600 * {_rate('steersman_outcomes_total', 'agent, kind')}", legend="{{agent}} {{kind}}"),
                Query(expression=f"3600 * {_rate('steersman_outcomes_learned_total', 'agent')}", legend="{{agent}} learned"),
            ),
            lowest=0,
        ),
        Panel(
            title="States",
            about="States in the table, of those that the schema allows.",
            queries=(
                Query(expression=_gauge("steersman_states_seen"), legend="{{agent}} seen"),
                Query(expression=_gauge("steersman_states_possible"), legend="{{agent}} possible"),
            ),
            lowest=0,
        ),
        Panel(
            title="Episodes",
            about="Mean length of those that ended, in decisions, and how many are open.",
            queries=(
                Query(
                    expression=_share("steersman_episode_steps_sum", "steersman_episode_steps_count", "1h"),
                    legend="{{agent}} length",
                ),
                Query(expression=_gauge("steersman_open_episodes"), legend="{{agent}} open"),
            ),
            lowest=0,
        ),
        Panel(
            title="Wrong blocks",
            about="Share of the automatic blocks, as far as they were judged, that turned out to be wrong; over a day.",
            queries=(Query(expression=_share("steersman_false_blocks_total", "steersman_judged_blocks_total", "1d")),),
            unit="percentunit",
            lowest=0,
        ),
    ),
)
DASHBOARDS = (_EXECUTIVE, _ON_CALL, _DEBUG, RELEASES)


def dashboards() -> dict[str, bytes]:
    """Return the files, by name: one document of Grafana each, to import or to provision."""
    return rendered(DASHBOARDS)
