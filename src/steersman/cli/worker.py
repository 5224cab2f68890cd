"""One worker of several: `python -m steersman.cli.worker`, started by the supervisor, which tells it what to do."""

import os
import socket
import sys

import msgspec

from steersman.cli.output import show_error
from steersman.core.errors import SteersmanError
from steersman.service import serve
from steersman.service.app import Service
from steersman.service.workers import READY, Task


def main() -> int:
    """Answer on the supervisor's socket until told to stop, or until the supervisor is gone. Return the exit code."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as told:
        task = msgspec.json.decode(told.readline(), type=Task)
    listener = socket.socket(fileno=task.listener)
    listener.setblocking(False)

    def ready(service: Service) -> None:
        os.write(task.ready, READY)

    try:
        serve.serve(task.options, listener, ready, until=sys.stdin.fileno())
    except SteersmanError as error:
        show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
