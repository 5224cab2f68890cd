"""Workers as plain actors of a Ray cluster."""

import math
import os
import socket
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

from steersman.core.compute import Compute, Host, Worker
from steersman.core.errors import Conflict, DeadlineExceeded, NotFound

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nobody is told that Ray is used, and Ray does not warn of what it will do about GPUs one day."""
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
"""With the first Ray takes 127.0.0.1 as the address of its machine, and listens on no other; with the second its workers
have the priority that other processes have, and not the lowest."""
_ANSWER_S = 10.0
"""How long a cluster may take until it answers at all."""
_START_S = 60.0
"""How long a cluster may take to find room for a worker and to start it."""

_SETTINGS = b"\4"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)
"""How a client begins; the server answers with its own settings, in a frame of this type. RFC 9113, section 3.4."""


class RayCompute(Compute):
    """Actors of the cluster at `address`, or of one on this machine that lives as long as this; slots: its CPUs.

    A program that has called `ray.init` itself keeps its cluster. Our own listens on the loopback address alone, has no
    dashboard and so no job API, and tells nobody that it is used. Raises NotFound where no cluster answers, Conflict for
    another cluster than the one that this process is in already, and ImportError without Ray.
    """

    def __init__(self, address: str | None = None) -> None:
        super().__init__()
        for name, value in (_QUIET if address else _QUIET | _ALONE).items():
            os.environ.setdefault(name, value)  # Ray reads them when it is imported
        self._ray: Any = import_module("ray")
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _join(self._ray, address)
        elif address not in (None, "auto", found := self._ray.get_runtime_context().gcs_address):
            raise Conflict(
                f"this process is in the Ray cluster at {found} already, so it cannot join {address}. Leave that first."
            )
        self.slots = max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def begin(self, made: bytes, name: str, share: float, *, accelerator: bool) -> Worker:
        """Start an actor; one without a GPU sees none, where the cluster has any."""
        gpus = 1 if accelerator and self._ray.cluster_resources().get("GPU", 0) >= 1 else 0
        cpus = math.floor(share * 10_000) / 10_000  # Ray rounds to these, and seven sevenths would be more than one
        options = {"num_cpus": cpus, "num_gpus": gpus, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(max_restarts=0, max_task_retries=0, **options)(_Actor)
        return _RayWorker(name, self._ray, actor.remote(made))

    def close(self) -> None:
        """Stop all workers, and the cluster, where it is our own; twice is fine."""
        if not self._closed:
            try:
                super().close()
            finally:
                if self._ours:
                    self._ray.shutdown()


class _Actor:
    """A host in a process of the cluster."""

    def __init__(self, made: bytes) -> None:
        self._host = Host(made)

    def pid(self) -> int:
        return os.getpid()

    def answer(self, request: bytes) -> bytes:
        return self._host.answer(request)


class _RayWorker(Worker):
    def __init__(self, name: str, ray: Any, actor: Any) -> None:
        super().__init__(name)
        self._ray, self._actor = ray, actor
        self._pid = actor.pid.remote()
        self._stopped = False
        self._waiting: set[Future[Any]] = set()

    @property
    def pid(self) -> int:
        try:
            return int(self._ray.get(self._pid, timeout=_START_S))
        except self._ray.exceptions.GetTimeoutError as error:
            raise DeadlineExceeded(
                f"worker {self.name}: the cluster found no room for it in {_START_S:g} s; it has "
                f"{self._ray.cluster_resources()}. Ask for fewer workers, or add machines."
            ) from error
        except self._ray.exceptions.RayError as error:
            raise self.lost(_why(error)) from error

    def send(self, request: bytes) -> Future[Any]:
        if self._stopped:
            return self.failed("it was stopped")
        future: Future[Any] = Future()
        self._waiting.add(future)
        self._actor.answer.remote(request).future().add_done_callback(partial(self._answered, future))
        return future

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            for each in list(self._waiting):  # first, since Ray would tell each that it was killed
                with suppress(InvalidStateError):  # it was answered just now
                    each.set_exception(self.lost("it was stopped"))
            self._ray.kill(self._actor)

    def _answered(self, future: Future[Any], answer: Future[bytes]) -> None:
        self._waiting.discard(future)
        with suppress(InvalidStateError):  # it was stopped just now
            try:
                future.set_result(self.opened(answer.result()))
            except self._ray.exceptions.RayError as error:
                future.set_exception(self.lost(_why(error)))
            except Exception as error:  # noqa: BLE001 - what the worker raised
                future.set_exception(error)


def _why(error: Exception) -> str:
    """Return what Ray says of a death, without what it says of all deaths."""
    said = " ".join(str(error).split()).rpartition("The actor is dead because ")[2]
    return said.partition(" Some common causes")[0].rstrip(". ")


def _join(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one. Raises NotFound where none answers."""
    options = {"logging_level": "ERROR", "log_to_driver": False}
    if address is None:
        ray.init(address="local", include_dashboard=False, **options)
        return
    try:
        _knock(address)
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise NotFound(
            f"no Ray cluster answers at {address}: {error}. Start one there (`ray start --head`), or name another."
        ) from error


def _knock(address: str) -> None:
    """Raise OSError unless something listens that speaks HTTP/2, as gRPC does: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or os.environ.get("RAY_USE_TLS") == "1":
        return
    with socket.create_connection((host, int(port)), timeout=_ANSWER_S) as connection:
        connection.sendall(_PREFACE)
        answer = connection.recv(9)
    if answer[3:4] != _SETTINGS:
        raise OSError("what listens there is something else")
