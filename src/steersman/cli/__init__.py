"""The command line: `steersman COMMAND --help` tells more."""

import signal
import sys

from steersman.cli.output import EXIT_INTERRUPTED, show_error
from steersman.core.errors import InvalidInput, SteersmanError


def main() -> None:
    """Run the command line and exit with its code (0 ok, 1 error, 2 warning, 3 to 7 by the kind of error)."""
    from steersman.cli.app import app

    for each in (signal.SIGTERM, signal.SIGINT):  # a polite kill cleans up as Ctrl-C does
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)
    try:
        code = app(standalone_mode=False)
    except SteersmanError as error:
        show_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except _usage_errors() as error:
        error.show()  # type: ignore[attr-defined]  # all of them show themselves
        code = InvalidInput.exit_code
    sys.exit(code or 0)


def _interrupt(*_: object) -> None:
    """Begin to clean up, once: a second signal, as impatient people and CI runners send it, must not cut that off."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _usage_errors() -> tuple[type[Exception], ...]:
    """Return what typer raises for a command line that it cannot read: the family of BadParameter."""
    import typer

    return tuple(each for each in typer.BadParameter.__bases__ if issubclass(each, Exception))
