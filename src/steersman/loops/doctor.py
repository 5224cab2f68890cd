"""Doctor: is it still learning, and why are my values not moving? Facts about an agent, and what they mean."""

from dataclasses import dataclass

from steersman.core.values import Window
from steersman.core.versions import BASELINE, LEARNING, short
from steersman.loops.runtime import Runtime
from steersman.stages.monitor.convergence import Convergence, judge
from steersman.stages.monitor.suitability import Task
from steersman.stages.monitor.suitability import findings as unsuitable

_FEW = 30


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The facts of one agent, where its learning stands and, in plain words, what stands out, if anything does."""

    agent: str
    decisions: int
    outcomes: int
    updates: int
    episodes_closed: int
    episodes_open: int
    states_seen: int
    states_possible: int
    epsilon: float
    nonzero_rewards: int
    states_refused: int
    states_pruned: int
    values_clamped: int
    last_error: str
    killed: str
    log: str
    learner: str
    convergence: Convergence
    findings: list[str]


def diagnose(agent: Runtime) -> Diagnosis:
    """Return the diagnosis of one agent."""
    fold, carry = agent.fold, agent.fold.carry
    decisions = agent.log.decision_count(agent.spec.name)
    windows = _windows(agent)
    facts = Diagnosis(
        agent=agent.spec.name,
        decisions=decisions,
        outcomes=carry.transitions,
        updates=carry.updates,
        episodes_closed=carry.schedule.episodes,
        episodes_open=len(fold.episodes),
        states_seen=len(fold.table),
        states_possible=agent.spec.state.cells,
        epsilon=fold.epsilon,
        nonzero_rewards=carry.nonzero_rewards,
        states_refused=carry.states_refused,
        states_pruned=carry.states_pruned,
        values_clamped=agent.clamped,
        last_error=agent.last_error,
        killed=agent.hands.look().killed,
        log=agent.log.health(),
        learner=agent.shared.learner(agent.spec.name) if agent.shared else "",
        convergence=standing(agent, windows),
        findings=[],
    )
    facts.findings.extend(_findings(facts))
    facts.findings.extend(_about_influence(agent))
    facts.findings.extend(_about_learner(agent, facts))
    facts.findings.extend(_about_release(agent))
    if agent.skipped:
        facts.findings.append(
            f"{agent.skipped} outcomes do not fit the agent's definition and were not learned: they are of an earlier "
            "schema or space, or a potential failed for them."
        )
    facts.findings.extend(unsuitable(_task(agent, windows), windows, agent.settings.convergence))
    return facts


def standing(agent: Runtime, windows: list[Window] | None = None) -> Convergence:
    """Return where learning stands by windows (newest first), the last ones where none are given."""
    return judge(
        _windows(agent) if windows is None else windows,
        reward_range=agent.spec.reward.high - agent.spec.reward.low,
        states=agent.spec.state.cells,
        success_from=agent.spec.success_from,
        limits=agent.settings.convergence,
    )


def _windows(agent: Runtime) -> list[Window]:
    """Return the last windows, newest first: those in the log, and those that wait for the next outcome's transaction."""
    limit = agent.settings.convergence.windows
    waiting = agent.fold.windows.closed[::-1]
    stored = [] if agent.replace_stored else agent.log.windows(agent.spec.name, limit)
    return [*waiting, *stored][:limit]


def _task(agent: Runtime, windows: list[Window]) -> Task:
    table, spec, learning = agent.fold.table, agent.spec, agent.settings.learning
    visits = table.visits.sum(axis=1) // len(spec.actions.dimensions)  # rows that hold no state hold no visits
    alpha = learning.alpha
    if learning.alpha_schedule == "visits":
        mean = int(visits.sum()) * len(spec.actions.dimensions) / max(len(table) * spec.actions.width, 1)
        alpha = max(learning.alpha_floor, alpha / (1.0 + mean / learning.alpha_scale))
    return Task(
        states_seen=len(table),
        states_once=int((visits == 1).sum()),
        states_possible=spec.state.cells,
        outcomes=agent.fold.carry.transitions,
        choices=spec.actions.width,
        dimensions=len(spec.actions.dimensions),
        alpha=alpha,
        reward_range=spec.reward.high - spec.reward.low,
        exploring=_exploring(agent, windows),
        irreversible=spec.irreversible,
        simulated=spec.simulated,
    )


def _exploring(agent: Runtime, windows: list[Window]) -> float:
    """Return the share of the learned policy's decisions that explore: ε, or what the windows saw of a rule without ε."""
    policy = agent.settings.exploration.policy
    if policy in ("epsilon_greedy", "greedy"):
        return agent.fold.epsilon if policy == "epsilon_greedy" else 0.0
    outcomes = sum(each.outcomes for each in windows)
    return sum(each.explored for each in windows) / outcomes if outcomes else 1.0


def _about_influence(agent: Runtime) -> list[str]:
    """Return whether what was learned decides nothing, and who says so."""
    said = agent.hands.look().mode
    mode, by = said or agent.mode, "by steersman mode" if said else "by the settings (influence.mode)"
    return [] if mode == "live" else [f"The rule decides: what was learned has the mode {mode!r}, {by}."]


def _about_learner(agent: Runtime, facts: Diagnosis) -> list[str]:
    """Return what stands out about the process that learns, where many share a store."""
    rules = (
        (
            agent.shared is not None and not facts.learner,
            "No process learns for it now: what is reported is kept, and learned once a process opens the store to decide "
            "or to report (learn=True).",
        ),
        (
            agent.misfit,
            "What is stored was learned under another definition of the agent, or other settings, so it is not used here: "
            "give this process and the one that learns the same.",
        ),
    )
    return [text for holds, text in rules if holds]


def _about_release(agent: Runtime) -> list[str]:
    """Return what stands out about what is in production, and about what is left out of learning."""
    now = agent.serving.deployment()
    silent, rules = agent.fold.carry.quarantined, list[tuple[bool, str]]()
    if now is not None:
        tried, by_version = short(now.challenger), now.champion not in (LEARNING, BASELINE)
        rules = [
            (
                by_version,
                f"Version {short(now.champion)} decides; what is learned shows once a version of it is released.",
            ),
            (now.champion == BASELINE, "The baseline rule decides for everybody, without exploring, so little is learned."),
            (bool(now.held), f"The trial of {tried} is held: {now.held}."),
            (now.waits_for_person, f"The next step of the trial of {tried} waits for a person: steersman release resume."),
            (
                bool(now.quarantined),
                f"{len(now.quarantined)} versions are in quarantine: what they did is not learned from.",
            ),
        ]
    rules.append(
        (silent > 0, f"{silent} outcomes taught nothing, because their source had said enough (learning.source_share).")
    )
    return [text for holds, text in rules if holds]


def _findings(facts: Diagnosis) -> list[str]:
    rules = (
        (bool(facts.log), f"The log is not writing ({facts.log}); outcomes are not acknowledged until it does."),
        (bool(facts.killed), f"Learned actions are stopped: {facts.killed}."),
        (facts.decisions == 0, "It has decided nothing yet: call decide()."),
        (
            facts.decisions > 0 and facts.outcomes == 0,
            "No outcome was reported, so there is nothing to learn from: call report() for each decision.",
        ),
        (
            facts.outcomes > 0 and facts.outcomes < facts.decisions / 2,
            f"Only {facts.outcomes} of {facts.decisions} decisions have an outcome: check that all are reported.",
        ),
        (
            facts.outcomes > 0 and facts.updates == 0,
            "Outcomes came in but nothing was updated: episodes may never end (terminated=True), or carry no reward.",
        ),
        (
            facts.updates > 0 and facts.nonzero_rewards == 0,
            "All rewards are zero, so all values stay equal: check the measurements and the reward's components.",
        ),
        (
            facts.states_refused > 0,
            f"The table is full: {facts.states_refused} outcomes of new states were not learned. Use fewer or coarser "
            "bins, or raise table.max_states.",
        ),
        (
            facts.values_clamped > 0,
            f"{facts.values_clamped} state values lay outside their bounds and were clamped: check the schema.",
        ),
        (0 < facts.updates < _FEW, f"Only {facts.updates} updates so far: too few to judge anything."),
        (bool(facts.last_error), f"The last failure was: {facts.last_error}."),
    )
    return [text for holds, text in rules if holds]
