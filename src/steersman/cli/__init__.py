"""The command line: `steersman COMMAND --help` tells more."""

import sys

from steersman.cli.output import EXIT_INTERRUPTED, show_error
from steersman.core.errors import SteersmanError


def main() -> None:
    """Run the command line and exit with its code (0 ok, 1 error, 2 warning, 3 to 7 by the kind of error)."""
    from steersman.cli.app import app

    try:
        code = app(standalone_mode=False)
    except SteersmanError as error:
        show_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:
        import click

        if not isinstance(error, click.ClickException):
            raise
        error.show()
        code = 3
    sys.exit(code or 0)
