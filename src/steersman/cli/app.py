"""All commands in one application."""

import typer

from steersman import __version__
from steersman.cli import (
    bench,
    bus,
    check,
    controls,
    decisions,
    drift,
    drill,
    duels,
    evaluate,
    experiments,
    health,
    keys,
    personalizer,
    pipeline,
    qe,
    release,
    store,
    sweep,
    telemetry,
    trade,
    train,
    up,
    versions,
)

app = typer.Typer(
    name="steersman",
    help="Policies that learn from what happened next, and never let a worse one take over.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Policies that learn from what happened next, and never let a worse one take over."""


for group in (
    qe,
    duels,
    decisions,
    health,
    store,
    controls,
    versions,
    evaluate,
    release,
    experiments,
    drift,
    drill,
    check,
    up,
    keys,
    telemetry,
    personalizer,
    bench,
    trade,
    train,
    sweep,
    pipeline,
    bus,
):
    group.register(app)
