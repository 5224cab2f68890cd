"""sweep: the same training in an environment with many settings, and which of them earned most."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from steersman.cli.output import JsonOption, TerminalProgress, plain, say, show_json, show_table
from steersman.cli.train import GYM, SetOption
from steersman.core.errors import InvalidInput

if TYPE_CHECKING:
    from steersman.app.sweep import Sweep, Trial

_OVER = "What to try: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE,…; may be repeated."
_BUDGET = "Time for all trials; those under way then end with what they have learned."
_COMPUTE = "Where trials run: local, local:PROCESSES, ray (by Ray Tune), ray:HOST:PORT or ray:auto."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sweep)


def sweep(
    environment: Annotated[str, typer.Argument(help="gym:ENVIRONMENT, as in `steersman train`.")],
    over: Annotated[list[str] | None, typer.Option("--over", metavar="NAME=…", help=_OVER)] = None,
    trials: Annotated[int, typer.Option(min=1, help="How many settings are drawn.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each trial.")] = 100_000,
    method: Annotated[str, typer.Option(help="Learner: double_dqn, dqn or ppo.")] = "double_dqn",
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn, and of each trial.")] = 0,
    set_: SetOption = None,
    compute: Annotated[str, typer.Option(help=_COMPUTE)] = "local",
    budget_s: Annotated[float | None, typer.Option("--budget-s", metavar="SECONDS", help=_BUDGET)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: JsonOption = False,
) -> None:
    """Train in an environment with settings drawn at random, and tell which earned most.

    Exits with 1 where no trial has a result, or something ended it before all of them had ended.
    """
    if not environment.startswith(GYM):
        raise InvalidInput(f"{environment!r}: a sweep is in an environment, as in gym:CartPole-v1.")
    from steersman.app.search_space import assigned
    from steersman.app.sweep import sweep as run

    with TerminalProgress(quiet=quiet or json) as progress:
        done = run(
            environment.removeprefix(GYM),
            over=over or [],
            fixed=assigned(set_ or []),
            trials=trials,
            method=method,
            steps=steps,
            seed=seed,
            compute=compute,
            seconds=budget_s,
            progress=progress,
        )
    if json:
        show_json({**plain(done), "train": None if done.best is None else _command(done)})
    else:
        _show(done)
    if done.best is None or done.broken:
        raise typer.Exit(1)


def _show(done: "Sweep") -> None:
    columns = ("trial", "mean return", "95 % interval", "steps", "wall s", "CPU s", "settings")
    show_table("", columns, map(_row, done.trials))
    for each in done.trials:
        if each.result is None or each.result.stopped:
            say(f"Trial {each.number}: {each.failed if each.result is None else each.result.stopped}")
    if done.best is not None:
        say(f"Best: trial {done.best.number}.{_rivals(done)} Train with it:")
        say(f"  {_command(done)}")
    say(f"It took {done.wall_s:.3g} s, and the trainings {done.cpu_s:.3g} s of CPU time.")


def _row(trial: "Trial") -> tuple[object, ...]:
    said, found = ", ".join(f"{name} {each}" for name, each in trial.settings.items()), trial.result
    if found is None:
        return (trial.number, "–", "failed", "–", "–", "–", said)
    interval = f"{found.low:.4g} to {found.high:.4g}"
    cost = f"{found.wall_s:.1f}", f"{found.cpu_s:.1f}"
    return (trial.number, f"{found.mean_return:.4g}", interval, f"{found.steps_made:,}", *cost, said)


def _rivals(done: "Sweep") -> str:
    """Return which others may be as good, in a sentence; "" for none."""
    names = ", ".join(str(each.number) for each in done.rivals)
    return f" Those whose intervals reach its own may be as good: {names}; more seeds would tell." if names else ""


def _command(done: "Sweep") -> str:
    """Return the command line that trains with the best settings."""
    asked = ["steersman", "train", GYM + done.environment, "--method", done.method]
    asked += ["--steps", str(done.steps), "--seed", str(done.seed)]
    given = done.best.settings if done.best is not None else {}
    sets = [part for name, each in given.items() for part in ("--set", f"{name}={_typed(each)}")]
    return shlex.join([*asked, *sets])


def _typed(value: Any) -> str:
    """Return a setting as it is typed."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
