"""The handle of an agent's releases: versions, verdicts, trials, and the way back."""

from steersman.core.errors import InvalidInput
from steersman.core.versions import BASELINE, LEARNING, Deployment, Judgement, PolicyVersion
from steersman.loops import cut as cut_loop
from steersman.loops import judge, promote
from steersman.loops.drill import Drill, drill
from steersman.loops.evidence import holdout
from steersman.loops.export import Exported, to_onnx
from steersman.loops.floor import FloorWatch
from steersman.loops.propose import Proposals
from steersman.loops.runtime import Runtime
from steersman.loops.serving import Production
from steersman.loops.trial import Trials
from steersman.stages.evaluate.calibration import Ledger
from steersman.stages.release.comparison import Report
from steersman.stages.release.floor import FloorReport
from steersman.stages.release.plan import Step, in_words, steps

_DAY_S = 86_400.0


class Release:
    """What is in production for one agent, and how that changes. Safe to use from several threads, and processes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._trials = Trials(runtime)
        self._floor = FloorWatch(runtime, self._trials)
        self._proposals = Proposals(runtime)

    @property
    def now(self) -> Deployment:
        """What is in production, as the store has it; move number 0 where nothing was ever released."""
        return promote.standing(self._runtime)

    def at(self, at: float) -> Deployment | None:
        """Return what was in production at a time (unix seconds); None before the first move."""
        return self._place.releases.at(self._name, at)

    def moves(self, limit: int = 100) -> list[Deployment]:
        """Return the last moves, newest first."""
        return self._place.releases.moves(self._name, limit)

    def versions(self, limit: int = 100) -> list[PolicyVersion]:
        """Return the last versions, newest first."""
        return self._place.registry.versions(self._name, limit)

    def judgements(self, limit: int = 100) -> list[Judgement]:
        """Return the last verdicts, newest first."""
        return self._place.releases.judgements(self._name, limit)

    def cut(self, *, actor: str, reason: str = "") -> PolicyVersion:
        """Make a version of what was learned so far; what did not change since is the same version."""
        return cut_loop.cut(self._runtime, actor=actor, reason=reason)

    def onnx(self, version: str = "champion") -> Exported:
        """Return a network as an ONNX model (extra `onnx`). Raises NotFound, and InvalidInput for a version that is none."""
        return to_onnx(self._runtime, version)

    def evaluate(self, candidate: str | None = None, *, against: str = "champion", actor: str) -> Judgement:
        """Judge a version on outcomes that it did not learn from, and keep the verdict.

        By default it is what was learned from all but the newest outcomes (`evaluation.holdout`), cut now. Names are those
        of versions, or how they begin, or "champion", "previous", "baseline".
        """
        return judge.evaluate(self._runtime, self._judgeable(candidate, actor), against, actor=actor)

    def start(
        self,
        challenger: str | None = None,
        *,
        actor: str,
        reason: str = "",
        plan: str = "",
        despite: str = "",
    ) -> Deployment:
        """Begin to release a version, by default the one that `evaluate` cuts, in the steps of the plan.

        It is judged on the log first. Raises NotPermitted where the gate does not let it pass, unless `despite` says why
        it is tried all the same; and as `promote.start`.
        """
        chosen = steps(plan) if plan else None
        tried = self._judgeable(challenger, actor)
        promote.check_start(self._runtime, tried, chosen)
        judged = judge.evaluate(self._runtime, tried, "champion", actor=actor)
        judge.check_gate(judged, despite)
        said = {"evaluation": judged.id, "verdict": judged.verdict, **({"despite": despite} if despite else {})}
        return promote.start(self._runtime, tried, actor=actor, reason=reason or despite, plan=chosen, evidence=said)

    def experiment(
        self,
        first: str = "champion",
        second: str = BASELINE,
        *,
        actor: str,
        share: float = 0.5,
        lasts_s: float = _DAY_S,
        reason: str = "",
    ) -> Deployment:
        """Compare two policies, `share` of the subjects for the second, for a time; then who was first decides again."""
        if not (0.0 < share < 1.0 and lasts_s > 0.0):
            raise InvalidInput(f"an experiment needs a share in (0, 1) and a time above 0 s, got {share} and {lasts_s} s.")
        plan = steps(in_words([Step(stage="canary", share=share, lasts_s=lasts_s)]))  # read back, and so checked
        return promote.start(
            self._runtime,
            self._version(second, actor),
            actor=actor,
            reason=reason,
            purpose="experiment",
            champion=self._version(first, actor),
            plan=plan,
        )

    def hold(self, *, actor: str, reason: str = "") -> Deployment:
        """Stop a trial where it is; harm still rolls it back."""
        return promote.hold(self._runtime, actor=actor, reason=reason)

    def resume(self, *, actor: str, reason: str = "", number: int | None = None) -> Deployment:
        """Go on with a trial that was held, or confirm the step that waits for a person, if it is still due.

        number: of the move that the person saw. Raises Conflict where something else is there by now.
        """
        return self._trials.resume(actor=actor, reason=reason, number=number)

    def abort(self, *, actor: str, reason: str = "") -> Deployment:
        """End a trial: what was in production before decides again."""
        return self._trials.abort(actor=actor, reason=reason)

    def rollback(self, to: str | None = None, *, actor: str, reason: str = "") -> Deployment:
        """Let the version of before, or a named one, decide for everybody."""
        target = None if to is None else promote.resolve(self._runtime, to)
        return promote.roll_back(self._runtime, actor=actor, reason=reason, to=target)

    def quarantine(self, version: str, *, actor: str, reason: str = "", release: bool = False) -> Deployment:
        """Leave what a version did out of learning, or (`release`) learn from it again."""
        return promote.quarantine(self._runtime, self._version(version, actor), actor=actor, reason=reason, release=release)

    def report(self) -> Report | None:
        """Return how the trial under way compares so far, from the log; None where none is."""
        return self._trials.report()

    def floor(self) -> FloorReport | None:
        """Return how what is in production compares with the rule's own share; None where nothing is compared."""
        return self._floor.report()

    def tick(self) -> Deployment | None:
        """Look at what is new, and make the move that is due, if one is; return it. An open store does this by itself."""
        return self.follow() or self.propose()

    def follow(self) -> Deployment | None:
        """The quick half of `tick`: go on with the trial under way, or roll it, or what is in production, back."""
        return self._trials.follow() or self._floor.follow()

    def propose(self) -> Deployment | None:
        """The slow half of `tick`: cut and judge versions, where that is due and no trial is under way."""
        return self._proposals.propose()

    def clock_jumped(self, seconds: float) -> None:
        """Hold the trial under way, if one is: by a clock that jumped, nobody can say who waited how long."""
        self._trials.clock_jumped(seconds)

    def ledger(self) -> Ledger:
        """Return how forecasts compare with what happened then."""
        return judge.ledger(self._runtime)

    def drill(self, *, actor: str, share: float = 0.1, decisions: int = 20_000) -> Drill:
        """Prove in a sandbox, on the agent's own log, that a bad version is caught and rolled back; keep the result."""
        return drill(self._runtime, actor=actor, share=share, decisions=decisions)

    @property
    def _name(self) -> str:
        return self._runtime.spec.name

    @property
    def _place(self) -> Production:
        return cut_loop.production(self._runtime)

    def _judgeable(self, name: str | None, actor: str) -> str:
        """Return a version that there are outcomes to judge by: where none is named, one that left the newest out."""
        agent = self._runtime
        found = LEARNING if name is None else promote.resolve(agent, name)
        if found != LEARNING:
            return found
        until = holdout(agent, agent.settings.evaluation.holdout)
        return cut_loop.cut_earlier(agent, until, actor=actor, reason="to be judged by what came later").id

    def _version(self, name: str, actor: str) -> str:
        """Return the version that a name means, cut now where it is what is being learned."""
        found = promote.resolve(self._runtime, name)
        return self.cut(actor=actor, reason="to be judged").id if found == LEARNING else found
