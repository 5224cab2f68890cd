"""The handles: an agent at work and its episodes, as a caller holds them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar

import numpy as np

from steersman.core.actions import Action, Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.ports import Receipt
from steersman.core.settings import Settings
from steersman.core.state import StateValues
from steersman.core.transition import Transition
from steersman.core.values import Arm, Decision, Entry, Taken
from steersman.loops import decide as decide_loop
from steersman.loops import explain as explain_loop
from steersman.loops import follow as follow_loop
from steersman.loops import learn, report, retain
from steersman.loops import share as share_loop
from steersman.loops.doctor import Diagnosis, diagnose, standing
from steersman.loops.explain import Explanation, Replay
from steersman.loops.handle import Release
from steersman.loops.pipeline import Pipeline
from steersman.loops.policy import Policy, policy_table
from steersman.loops.runtime import Runtime
from steersman.loops.steer import Call, steered
from steersman.loops.watching import Watching
from steersman.stages.monitor.convergence import Convergence
from steersman.stages.monitor.drift import Drift
from steersman.stages.monitor.probes import prove
from steersman.stages.monitor.signals import Signal

P = ParamSpec("P")
R = TypeVar("R")


class Agent:
    """An agent at work. Safe to use from several threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.release = Release(runtime)
        self.pipeline = Pipeline(runtime)
        self._watching = Watching(runtime)

    @property
    def spec(self) -> AgentSpec:
        """The agent's definition."""
        return self._runtime.spec

    @property
    def settings(self) -> Settings:
        """The settings in force for it."""
        return self._runtime.settings

    def decide(
        self,
        state: StateValues,
        *,
        episode: str | None = None,
        subject: str | None = None,
        arm: Arm | None = None,
        taken: Taken | None = None,
        trace_id: str = "",
        observed_at: float | None = None,
    ) -> Decision:
        """Decide for a state and return at once; `decision.action` is what to do.

        `subject` is whom sticky assignment follows; `arm` asks for one arm by design of an experiment. Raises
        InvalidInput for a state that does not fit, Conflict for an episode that is over and StoreError for a store that
        is closed or only read; any other failure answers with the safe action and says why in `reason`.
        `taken` is the event of a bus that asks for it, to be taken once. `trace_id` is kept with the decision: the W3C
        traceparent of the span that it belongs to. `observed_at` (unix seconds) is when the state was observed: what is
        older than `influence.stale_s` is left to the rule.
        """
        return decide_loop.decide(
            self._runtime,
            state,
            episode=episode,
            subject=subject,
            arm=arm,
            taken=taken,
            trace_id=trace_id,
            observed_at=observed_at,
        )

    def report(
        self,
        decision: Decision | str,
        measurements: Mapping[str, float],
        *,
        next_state: StateValues | None = None,
        terminated: bool | None = None,
        truncated: bool = False,
        executed: Action | Choice | None = None,
        source: str = "",
        correct: bool = False,
        taken: Taken | None = None,
    ) -> Receipt:
        """Report what came of a decision and learn from it; `receipt.wait()` returns once that is durable.

        A decision of its own ends with its outcome; inside an episode give `next_state`, or `terminated=True`.
        `executed` names the action that was carried out, where it was another. Reporting the same again is harmless,
        something else is a Conflict unless `correct=True`. `taken` is the event of a bus that tells it.
        """
        return report.report(
            self._runtime,
            decision,
            measurements,
            next_state=next_state,
            terminated=terminated,
            truncated=truncated,
            executed=executed,
            source=source,
            correct=correct,
            taken=taken,
        )

    def withdraw(self, decision: Decision | str, *, source: str = "") -> Receipt:
        """Take back what was reported of a decision; learning is done again without it."""
        return report.withdraw(self._runtime, decision, source=source)

    def expire(self) -> int:
        """Close decisions that waited too long for an outcome, with the default reward or none; return how many."""
        return report.expire(self._runtime)

    @contextmanager
    def episode(self, name: str | None = None, *, subject: str | None = None) -> Iterator["Episode"]:
        """Open an episode, whose decisions follow each other; end it with a terminated or truncated report."""
        episode = Episode(self, name or self._runtime.world.ids(), subject)
        yield episode

    def steer(
        self, state: Callable[..., StateValues], measure: Callable[[Call], Mapping[str, float] | None]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a callable so that the agent chooses its keyword arguments, one for each dimension of the actions.

        `state` gets the call's arguments; `measure` gets what came of it, and may answer None to report nothing. When
        deciding fails, the callable runs as it was called; under a kill switch it gets the safe action.
        """
        return steered(self, state, measure)

    def values(self, state: StateValues) -> dict[str, dict[Choice, Entry]]:
        """Return what has been learned for a state, by dimension and choice; empty for a state never learned about."""
        agent = self._runtime
        with agent.lock:
            checked, _ = agent.spec.state.check(state)
            row = agent.fold.table.rows.get(agent.encoder.key(agent.encoder.bins(checked)))
            found: dict[str, dict[Choice, Entry]] = {}
            if row is not None:
                for slot, (dimension, choice) in enumerate(agent.spec.actions.slot_names):
                    found.setdefault(dimension, {})[choice] = agent.fold.table.entry(row, slot)
            return found

    def sample(self, count: int, rng: np.random.Generator) -> list[Transition]:
        """Return transitions drawn evenly over the agent's log, with replacement, to fill a `ReplayBuffer` with.

        Rows of an earlier definition are left out, so there may be fewer. The cost does not grow with the log.
        """
        agent, found = self._runtime, []
        for decision, outcome in agent.log.sample(self.spec.name, rng.random(count).tolist()):
            with suppress(InvalidInput):
                found.append(agent.recorder.transition(decision, outcome))
        return found

    def explain(self, decision_id: str) -> Explanation:
        """Return what was known when a decision was made. Raises NotFound."""
        return explain_loop.explain(self._runtime, self._decision(decision_id))

    def replay(self, decision_id: str) -> Replay:
        """Make a decision again from the log and say whether it is identical. Raises NotFound."""
        return explain_loop.replay(self._runtime, self._decision(decision_id))

    def policy(self, limit: int = 50) -> Policy:
        """Return the policy as a readable table of the `limit` situations seen most often: what it does there, and why."""
        return policy_table(self._runtime, limit)

    def standing(self) -> Convergence:
        """Return where learning stands by its last windows; quicker than `diagnose`, which tells it as well."""
        return standing(self._runtime)

    def diagnose(self) -> Diagnosis:
        """Return facts about the agent and what stands out among them."""
        with self._runtime.lock:
            return diagnose(self._runtime)

    def signals(self) -> tuple[Signal, ...]:
        """Return what monitoring has to tell now: drift, rewards that shift or are odd, an error budget that burns."""
        return self._watching.signals()

    def drift(self) -> tuple[Drift, ...]:
        """Return how each feature of the states, and each dimension of the actions, differs from its reference window."""
        return self._watching.drifts()

    def rebase(self) -> None:
        """Take the states, actions and rewards of now as the normal from now on; drift is told against them."""
        self._watching.rebase()

    def watch(self) -> None:
        """Take in what is new for `signals`, and pause exploring while the error budget burns; an open store does so."""
        self._watching.tick()

    def probe_guards(self) -> dict[str, bool]:
        """Return whether each guard that declares a probe refuses it in time, by name."""
        return prove(self._runtime.guard_list, self._runtime.world.timer)

    def relearn(self) -> Receipt:
        """Fold the agent's whole log anew, as after an import."""
        agent = self._runtime
        if agent.shared is not None:
            return agent.log.append(())  # what was imported stands at the end of the log, and is learned from there
        with agent.lock:
            receipt = agent.log.append((), learn.relearn(agent))
            agent.position = agent.log.position
            return receipt

    def share(self, *, if_due: bool = False) -> int:
        """Exchange evidence with the agents of its kin now (or `if_due`), and return how many rows were given.

        An open store does this by itself every `hierarchy.propagate_every_s`.
        """
        return share_loop.share_if_due(self._runtime) if if_due else share_loop.share(self._runtime)

    def cut(self) -> int:
        """Cut rows that are past `store.retention_s` from the log, some at a time; return up to which position.

        What was learned of them is kept, as the base on which the rest of the log is folded. An open store does this by
        itself every minute.
        """
        return retain.cut(self._runtime)

    def follow(self) -> bool:
        """Learn what is new in a shared log, or take up what another process learned; return whether there may be more.

        An open store does this by itself, as soon as there is news.
        """
        return follow_loop.follow(self._runtime)

    def look_again(self) -> None:
        """Read the controls at the next decision, whenever they were last read."""
        self._runtime.look_again()

    def note_failure(self, error: Exception) -> None:
        """Keep a failure for `diagnose` to tell."""
        self._runtime.failed(error)

    def _decision(self, decision_id: str) -> Decision:
        found = self._runtime.log.decision(decision_id)
        if found is None or found.agent != self.spec.name:
            raise NotFound(f"{self.spec.name} has made no decision {decision_id!r}.")
        return found


class Episode:
    """Decisions of one agent that follow each other."""

    def __init__(self, agent: Agent, name: str, subject: str | None) -> None:
        self._agent = agent
        self.name = name
        self._subject = subject or name

    def decide(self, state: StateValues) -> Decision:
        """Decide as the episode's next step."""
        return self._agent.decide(state, episode=self.name, subject=self._subject)

    def report(
        self,
        decision: Decision,
        measurements: Mapping[str, float],
        *,
        next_state: StateValues | None = None,
        terminated: bool = False,
        truncated: bool = False,
    ) -> Receipt:
        """Report a step: where it led (`next_state`), or that the episode is over (`terminated`) or cut (`truncated`)."""
        return self._agent.report(decision, measurements, next_state=next_state, terminated=terminated, truncated=truncated)
