"""A client: decides, reports, tries again until it is answered, changes its mind, and makes mischief by the way."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from steersman.core.values import Decision
from steersman.testing.simulation.agents import NAMES, some_state
from steersman.testing.simulation.messages import Reply, Request
from steersman.testing.simulation.parts import Scene
from steersman.testing.simulation.wire import Then, Wire

_POISON = (float("nan"), float("inf"), float("-inf"), 1.0000001, -2.0, 5e300)


class Client:
    """Works on one task at a time, a decision or an episode, over the network."""

    def __init__(self, name: str, scene: Scene, wire: Wire, *, tasks: int) -> None:
        self.name = name
        self._scene = scene
        self._wire = wire
        self._left = tasks
        self._quiet = scene.chance(0.2)  # nothing ever comes of it: all rewards are 0

    @property
    def busy(self) -> bool:
        """Whether there is work left."""
        return self._left > 0 or self._wire.waits

    def go_on(self) -> None:
        """Begin the next task, after a while."""
        self._left -= 1
        if self._left >= 0:
            self._scene.events.after(self._scene.wait_s(1.0), self._begin)

    # what is to be done

    def _begin(self) -> None:
        agent = NAMES[int(self._scene.rng.random() * 2)]
        if self._scene.chance(0.6):
            self._decide(agent, None, lambda decision: self._report_later(decision, False, self.go_on), self.go_on)
        else:
            steps = 1 + int(self._scene.rng.random() * 4)
            run = self._step_by_step if self._scene.chance(0.6) else self._all_at_once
            run(agent, f"{self.name}-{self._left}", steps, [])

    def _step_by_step(self, agent: str, episode: str, left: int, done: list[Decision]) -> None:
        """Decide, report, and so on; most episodes are ended, some are left open."""

        def decided(decision: Decision) -> None:
            over = left == 1 and not self._scene.chance(0.1)
            on = self.go_on if left == 1 else lambda: self._step_by_step(agent, episode, left - 1, done)
            self._report_later(decision, over, on)

        self._decide(agent, episode, decided, self.go_on)

    def _all_at_once(self, agent: str, episode: str, left: int, done: list[Decision]) -> None:
        """Decide all steps, then report them in any order."""

        def decided(decision: Decision) -> None:
            done.append(decision)
            self._all_at_once(agent, episode, left - 1, done)

        if left:
            self._decide(agent, episode, decided, lambda: self._report_all(done))
        else:
            self._report_all(done)

    def _report_all(self, done: list[Decision]) -> None:
        order = [done[index] for index in self._scene.rng.permutation(len(done)).tolist()]
        then = self.go_on
        for decision in order:
            then = self._reporting(decision, decision is done[-1], then)
        then()

    def _reporting(self, decision: Decision, last: bool, then: Then) -> Then:
        return lambda: self._report_later(decision, last, then)

    # requests

    def _decide(self, agent: str, episode: str | None, then: Callable[[Decision], None], failed: Then) -> None:
        scene = self._scene
        request = Request(
            number=self._wire.number(),
            client=self.name,
            verb="decide",
            agent=agent,
            state=some_state(scene.rng),
            episode=episode,
            arm=("champion", "baseline", "safe")[int(scene.rng.random() * 3)] if scene.chance(0.1) else None,
            waits=scene.chance(0.6),
        )

        def answered(reply: Reply) -> None:
            if reply.decision is None:
                failed()
            else:
                then(reply.decision)

        self._wire.ask(request, answered, failed)

    def _report_later(self, decision: Decision, last: bool, then: Then) -> None:
        scene, draw = self._scene, self._scene.rng.random()
        if draw < 0.05:
            then()  # never
        else:
            mean = 60.0 if draw < 0.12 else 0.3
            scene.events.after(scene.wait_s(mean), lambda: self._report(decision, last, then))

    def _report(self, decision: Decision, last: bool, then: Then) -> None:
        scene = self._scene
        alone = decision.episode == decision.id
        ends = scene.chance(0.8) if alone else last
        request = Request(
            number=self._wire.number(),
            client=self.name,
            verb="report",
            agent=decision.agent,
            decision=decision.id,
            reward=self._reward(),
            next_state=None if ends else some_state(scene.rng),
            terminated=True if last else None,
            executed="light" if scene.chance(0.1) else None,
        )
        if scene.chance(0.3):
            self._mischief(request)
        self._wire.ask(request, lambda reply: self._after(request, reply, then), then)

    def _after(self, request: Request, reply: Reply, then: Then) -> None:
        """Say it again, contradict it, correct it or take it back, one after the other."""
        later = list(self._second_thoughts(request)) if reply.status == "ok" else []
        for each in reversed(later):
            then = self._asking(each, then)
        then()

    def _second_thoughts(self, request: Request) -> Iterable[Request]:
        chance = self._scene.chance
        if chance(0.2):
            yield replace(request, number=self._wire.number(), intent="again")
        if chance(0.2):
            yield replace(request, number=self._wire.number(), intent="contrary", reward=self._other_reward())
        if chance(0.2):
            yield replace(request, number=self._wire.number(), correct=True, reward=self._other_reward())
        if chance(0.15):
            yield replace(request, number=self._wire.number(), verb="withdraw")

    def _asking(self, request: Request, then: Then) -> Then:
        return lambda: self._wire.ask(request, lambda reply: then(), then)

    def _mischief(self, request: Request) -> None:
        """Report under a forged id, to the wrong agent, or with a number that is none; nobody waits for the answer."""
        kind, number = int(self._scene.rng.random() * 3), self._wire.number()
        name = request.decision
        if kind == 0:
            forged = name[:-1] + ("0" if name[-1] != "0" else "1")
            self._wire.ask(replace(request, number=number, intent="forged", decision=forged))
        elif kind == 1:
            other = next(each for each in NAMES if each != request.agent)
            self._wire.ask(replace(request, number=number, intent="foreign", agent=other))
        else:
            poison = _POISON[int(self._scene.rng.random() * len(_POISON))]
            self._wire.ask(replace(request, number=number, intent="poison", reward=poison))

    def _reward(self) -> float:
        draw = self._scene.rng.random()
        if self._quiet:
            return 0.0
        return (-1.0, 0.0, 0.0, 1.0)[int(draw * 16)] if draw < 0.25 else self._other_reward()

    def _other_reward(self) -> float:
        return float(self._scene.rng.uniform(-1, 1))
