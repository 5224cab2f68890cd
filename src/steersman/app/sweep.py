"""Sweep: the same training with many settings, as trials side by side, to see which earn most.

Trials run as processes of this machine, or on a Ray cluster by Ray Tune.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from steersman.app import gym_training, search_space
from steersman.app.compute import open_compute
from steersman.app.gym_learners import check_settings
from steersman.app.gym_training import GymResult
from steersman.core.compute import Budget, Compute
from steersman.core.errors import InvalidInput, WorkerLost
from steersman.core.ports import Progress
from steersman.core.progress import Silent

RAY = "ray"
_LATE = "not begun: the budget was used up"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial is to do. until: when the sweep's budget is used up, in unix seconds; None for no limit."""

    number: int
    environment: str
    method: str
    steps: int
    seed: int
    settings: dict[str, Any]
    until: float | None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial. settings: those given to the learner. failed: why there is no result; "" where there is."""

    number: int
    settings: dict[str, Any]
    result: GymResult | None
    failed: str = ""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as it ended. trials: the best first, those without a result last. cpu_s: of the trainings that ended.

    broken: what ended it before all trials had ended; "" where nothing did.
    """

    environment: str
    method: str
    steps: int
    seed: int
    compute: str
    trials: tuple[Trial, ...]
    wall_s: float
    cpu_s: float
    broken: str = ""

    @property
    def best(self) -> Trial | None:
        """The trial that earned most; None where none has a result."""
        return next((each for each in self.trials if each.result is not None), None)

    @property
    def rivals(self) -> list[Trial]:
        """The trials whose interval reaches that of the best: they may be as good."""
        return [each for each in self.trials if each is not self.best and _reaches(each, self.best)]


def sweep(
    env_id: str,
    *,
    over: Sequence[str],
    fixed: Mapping[str, Any] | None = None,
    trials: int = 8,
    method: str = "double_dqn",
    steps: int,
    seed: int = 0,
    compute: str = "local",
    seconds: float | None = None,
    progress: Progress,
) -> Sweep:
    """Train with settings drawn from a space, and return what each of them came to.

    over: axes of the space, as in `search_space.axes`; fixed: settings of every trial. seed: of the draws, and of each
    training, so that luck differs as little as can be. compute: as in `open_compute`. seconds: budget of all trials; those
    under way then end with what they have learned, and no other begins. Raises as `gym_training.train` does, before
    anything is trained; what happens later is kept: with the trial that it happens in, or, where it ends the whole sweep
    (Ctrl-C, a cluster that is gone), as `broken`, beside what the other trials came to.
    """
    jobs = _jobs(env_id, over, fixed or {}, trials, method, steps, seed, seconds)
    progress.phase(f"{trials} trials of {method} on {env_id}", trials)
    began, done, broken = time.monotonic(), list[Trial](), ""

    def hear(trial: Trial) -> None:
        done.append(trial)
        progress.step(told(trial))

    opened = open_compute(compute)
    try:
        with opened:
            if compute.partition(":")[0] == RAY:
                _by_tune(jobs, hear)
            else:
                _side_by_side(jobs, opened, hear)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever ends it, what trials came to so far is kept
        broken = f"broken off: {_why(error)}"
        heard = {each.number for each in done}
        done += [_failed(each, broken) for each in jobs if each.number not in heard]
    return Sweep(
        environment=env_id,
        method=method,
        steps=steps,
        seed=seed,
        compute=compute,
        trials=ranked(done),
        wall_s=time.monotonic() - began,
        cpu_s=sum(each.result.cpu_s for each in done if each.result is not None),
        broken=broken,
    )


def run(job: Job) -> Trial:
    """Do one trial, in the process that this is called in; whatever fails becomes its reason."""
    left = None if job.until is None else job.until - time.time()
    if left is not None and left <= 0:
        return _failed(job, _LATE)
    try:
        with TemporaryDirectory() as folder:
            result = gym_training.train(
                job.environment,
                method=job.method,
                steps=job.steps,
                seed=job.seed,
                progress=Silent(),
                out=Path(folder),
                settings=job.settings,
                budget=Budget() if left is None else Budget(seconds=left),
            )
    except Exception as error:  # noqa: BLE001 - one trial that fails ends no other
        return _failed(job, _why(error))
    return Trial(number=job.number, settings=job.settings, result=result)


def answer(job: bytes) -> bytes:
    """Do a trial that is sent, and return what comes of it; in MessagePack, since JSON has no NaN and no infinity."""
    return msgspec.msgpack.encode(run(msgspec.msgpack.decode(job, type=Job)))


def ranked(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return trials, that which earned most first, those without a result last."""

    def rank(trial: Trial) -> tuple[int, float, int]:
        earned = math.nan if trial.result is None else trial.result.mean_return
        missing = 2 if trial.result is None else int(math.isnan(earned))
        return missing, 0.0 if missing else -earned, trial.number

    return tuple(sorted(trials, key=rank))


def told(trial: Trial) -> str:
    """Return what came of a trial, in a line."""
    said = ", ".join(f"{name} {each}" for name, each in trial.settings.items())
    if trial.result is None:
        return f"trial {trial.number} ({said}): {trial.failed}"
    return f"trial {trial.number} ({said}): mean return {trial.result.mean_return:.1f}"


def _jobs(
    env_id: str,
    over: Sequence[str],
    fixed: Mapping[str, Any],
    trials: int,
    method: str,
    steps: int,
    seed: int,
    seconds: float | None,
) -> list[Job]:
    """Return what is to be done. Raises as `gym_training.train` does."""
    space = search_space.axes(over)
    if not space:
        raise InvalidInput("a sweep needs something to vary: --over learning_rate=1e-4:1e-2:log, say.")
    if twice := {each.name for each in space} & set(fixed):
        raise InvalidInput(f"{', '.join(sorted(twice))}: given by --set and by --over. Leave one of them out.")
    gym_training.check(env_id, method, steps)
    until = None if seconds is None else time.time() + Budget(seconds=seconds).seconds
    drawn = search_space.draw(space, trials, np.random.default_rng(seed))
    for each in drawn:
        check_settings(method, steps, {**fixed, **each})
    return [
        Job(
            number=number,
            environment=env_id,
            method=method,
            steps=steps,
            seed=seed,
            settings={**fixed, **each},
            until=until,
        )
        for number, each in enumerate(drawn, 1)
    ]


def _side_by_side(jobs: Sequence[Job], compute: Compute, hear: Callable[[Trial], None]) -> None:
    """Do each trial in a process of its own, as many at once as there are slots."""
    pool = ThreadPoolExecutor(compute.slots)
    try:
        under_way = {pool.submit(compute.map, run, [job]): job for job in jobs}
        for done in as_completed(under_way):
            try:
                (trial,) = done.result()
            except WorkerLost as error:
                trial = _failed(under_way[done], str(error))
            hear(trial)
    except BaseException:  # also Ctrl-C: nobody waits for trials that nobody wants any more
        compute.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _by_tune(jobs: Sequence[Job], hear: Callable[[Trial], None]) -> None:
    """Do the trials by Ray Tune, on the cluster that this process has joined."""
    from steersman.backends.compute.tune import tuned

    def answered(place: int, answer: bytes, failed: str) -> None:
        hear(_failed(jobs[place], failed) if failed else msgspec.msgpack.decode(answer, type=Trial))

    tuned(answer, [msgspec.msgpack.encode(each) for each in jobs], answered)


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _failed(job: Job, why: str) -> Trial:
    return Trial(number=job.number, settings=job.settings, result=None, failed=why)


def _reaches(trial: Trial, best: Trial | None) -> bool:
    return trial.result is not None and best is not None and best.result is not None and trial.result.high >= best.result.low
