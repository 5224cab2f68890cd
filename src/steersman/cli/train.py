"""train: a network learns from the log, or in an environment, while one watches."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman, curves, gym_training
from steersman.app.gym_learners import Spread
from steersman.app.gym_training import GymResult
from steersman.app.search_space import assigned
from steersman.app.tracking import open_tracker, runs_of
from steersman.cli.opening import actor, beside
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, TerminalProgress, plain, say, show_facts, show_json
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput
from steersman.core.versions import Judgement, short

GYM = "gym:"
_STEPS = 100_000
_OF_ENVIRONMENTS: tuple[str, ...] = ("steps", "method", "seed", "set_", "out", "actors", "compute")
_OF_LOGS: tuple[str, ...] = ("resume", "anew", "updates", "kin")
_FOR_ENVIRONMENTS = "gym: environments; an agent's network has the settings training.*"
_COMPUTE = "Where --actors run: local, ray (a cluster on this machine), ray:HOST:PORT or ray:auto."
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Setting of the learner in a gym: environment; may be repeated."),
]
KinOption = Annotated[
    list[str] | None,
    typer.Option("--kin", metavar="AGENT", help="Another agent, whose outcomes a first training hears; may be repeated."),
]
BudgetOption = Annotated[
    float | None, typer.Option("--budget-s", metavar="SECONDS", help="Stop when it took so long, and keep what was learned.")
]
CpuBudgetOption = Annotated[
    float | None, typer.Option("--budget-cpu-s", metavar="SECONDS", help="The same, of CPU time; whatever is used up first.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    context: typer.Context,
    agent: Annotated[
        str | None,
        typer.Argument(help="An agent, or gym:ENVIRONMENT (default: all agents here whose training.enabled is true)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was broken off, from its checkpoint.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Begin with nothing learned, on all outcomes.")] = False,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Updates at most, in steps of 50 (default: training.updates).")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in a gym: environment.")] = _STEPS,
    method: Annotated[str, typer.Option(help="Learner in a gym: environment: double_dqn, dqn or ppo.")] = "double_dqn",
    seed: Annotated[int, typer.Option(min=0, help="Seed in a gym: environment.")] = 0,
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where a gym: policy is kept (default: ENVIRONMENT-SEED).")
    ] = None,
    kin: KinOption = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Processes that collect in a gym: environment, beside one that learns.")
    ] = None,
    compute: Annotated[str, typer.Option(help=_COMPUTE)] = "local",
    budget_s: BudgetOption = None,
    budget_cpu_s: CpuBudgetOption = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the curves of the run to a file.")] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a network from an agent's log, cut it as a version, judge it, and release it where the gate lets it pass."""
    _check_asked(context, agent)
    if resume and anew:
        raise InvalidInput("--resume goes on with a training, --anew begins another one. Leave one of them out.")
    watched: dict[str, Any] = {"budget": budget_of(budget_s, budget_cpu_s), "quiet": quiet, "json": json}
    if png is not None:
        _check_drawing(agent)
    if agent is not None and agent.startswith(GYM):
        _in_environment(
            agent,
            out,
            seed,
            steps=steps,
            method=method,
            settings=assigned(set_ or []),
            spread=_spread(actors, compute),
            tracker=open_tracker(store, settings),
            **watched,
        )
    else:
        with beside(store, settings) as steersman:
            _from_log(steersman, agent, kin or [], resume=resume, anew=anew, updates=updates, **watched)
    if png is not None:  # last: what was trained is shown also where it cannot be drawn
        curves.draw_last(runs_of(store), str(agent), png)


def _check_asked(context: typer.Context, agent: str | None) -> None:
    """Raise InvalidInput for options that are for what is not asked for, instead of leaving them out silently."""
    in_environment = agent is not None and agent.startswith(GYM)
    others = _OF_LOGS if in_environment else _OF_ENVIRONMENTS
    given = [each.opts[0] for each in context.command.params if each.name in others and _is_given(context, each.name)]
    if given:
        what = "training from an agent's log" if in_environment else _FOR_ENVIRONMENTS
        raise InvalidInput(f"{', '.join(given)}: only for {what}. Leave it out.")
    if agent is None and context.params["kin"]:
        raise InvalidInput("--kin is heard by one agent. Name it.")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _check_drawing(agent: str | None) -> None:
    if agent is None:
        raise InvalidInput("--png draws one run. Name the agent.")
    curves.check_extra()


def _in_environment(name: str, out: Path | None, seed: int, *, quiet: bool, json: bool, **asked: Any) -> None:
    env_id = name.removeprefix(GYM)
    folder = out or Path(f"{env_id.replace('/', '-').replace(':', '-')}-{seed}")
    with TerminalProgress(quiet=quiet or json) as progress:
        made = gym_training.train(env_id, out=folder, seed=seed, progress=progress, **asked)
    show_json(made) if json else show_facts(_environment_facts(made))


def _from_log(steersman: Steersman, name: str | None, kin: Sequence[str], *, quiet: bool, json: bool, **asked: Any) -> None:
    found = [steersman.agent(each) for each in ([name] if name else steersman.log.agents())]
    chosen = [each for each in found if name or each.settings.training.enabled]
    if not chosen:
        raise InvalidInput("no agent in this store has training.enabled; name the one to train.")
    heard = [steersman.agent(each).pipeline for each in kin]
    with TerminalProgress(quiet=quiet or json) as progress:
        done = [each.pipeline.run(actor=actor(), progress=progress, kin=heard, **asked) for each in chosen]
    if json:
        show_json(done[0] if name else done)
    else:
        for each in done:
            _show(each)


def _show(made: Judgement) -> None:
    said = made.body
    gate = {True: "lets it pass", False: "does not let it pass", None: "cannot tell yet"}[said["gate"]]
    early = f"; {said['stopped']}" if said["stopped"] else ", stopped early" if said["stopped_early"] else ""
    say(f"{made.agent}: version {short(made.version)} {made.reason}{early}.")
    say(f"The gate {gate}: {said['judged']}")
    say(f"It took {said['took_s']:.3g} s, and {said['cpu_s']:.3g} s of CPU time.")
    if said["left_out"]:
        say(f"Left out: {', '.join(f'{count:,} {why}' for why, count in said['left_out'].items())}.")
    if said["released"]:
        say(f"It is being tried: `steersman status {made.agent}`.")


def budget_of(seconds: float | None, cpu_seconds: float | None) -> Budget:
    """Return what a run may cost. Raises InvalidInput for what is not above 0."""
    return Budget(
        seconds=math.inf if seconds is None else seconds, cpu_seconds=math.inf if cpu_seconds is None else cpu_seconds
    )


def _spread(actors: int | None, compute: str) -> Spread | None:
    if actors is None and compute != "local":
        raise InvalidInput(f"--compute {compute} says where actors run. Say how many: --actors 4, for one.")
    return None if actors is None else Spread(actors=actors, compute=compute)


def _environment_facts(made: GymResult) -> dict[str, object]:
    facts: dict[str, object] = plain(made)
    del facts["returns"]
    return {name: each for name, each in facts.items() if each not in ("", {})}
