"""A client's end of the wire: numbers its requests, sends each until it is answered, and writes down what it was told."""

from collections.abc import Callable

from steersman.testing.simulation.messages import Reply, Request
from steersman.testing.simulation.parts import Scene

Then = Callable[[], None]
Answered = Callable[[Reply], None]
Handle = Callable[[Request, Answered], None]
_TRIES = 8


def _nothing() -> None:
    pass


def _no_matter(reply: Reply) -> None:
    pass


class Wire:
    """Carries a client's requests to the service's `handle`. The first answer counts; those that come later are dropped."""

    def __init__(self, client: str, scene: Scene, handle: Handle, number: Callable[[], int]) -> None:
        self._client = client
        self._scene = scene
        self._handle = handle
        self._open: dict[int, tuple[Answered, Then]] = {}
        self.number = number
        """Gives the next request its number."""

    @property
    def waits(self) -> bool:
        """Whether an answer is due."""
        return bool(self._open)

    def ask(self, request: Request, then: Answered = _no_matter, failed: Then = _nothing) -> None:
        """Send a request; do `then` with its answer, or `failed` once it is given up."""
        self._scene.ledger.note(request)
        self._open[request.number] = (then, failed)
        self._send(request, _TRIES)

    def _send(self, request: Request, tries: int) -> None:
        """Send, and again after a time without an answer, until it is given up."""
        if request.number not in self._open:
            return
        if not tries:
            self._open.pop(request.number)[1]()
            return
        self._carry(lambda: self._handle(request, lambda reply: self._carry(lambda: self._receive(request, reply))))
        self._scene.events.after(0.3 + self._scene.wait_s(0.7), lambda: self._send(request, tries - 1))

    def _carry(self, deliver: Then) -> None:
        self._scene.network.carry(self._client, deliver)

    def _receive(self, request: Request, reply: Reply) -> None:
        if request.number not in self._open or reply.status == "Overloaded":
            return  # answered before, or it is tried again when the time is over
        then, _ = self._open.pop(request.number)
        self._scene.ledger.note_answer(request, reply)
        then(reply)
