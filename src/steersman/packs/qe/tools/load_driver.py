"""A program for the project's own interpreter: puts functions under load, in two versions by turns, and times them.

It stands alone (standard library only). Its argument names a JSON plan:

    functions  module, name, calls (pickled arguments in base64) of each     inside   the only folder that may be written
    overlay    the text of files, by absolute path, in the second version     pairs    how often each version has its turn
    batches, last, threads, pause_s   the form of the load, see `Form` in `timing.py`
    budget_s   after which no new turn begins     out  where results go, one JSON object a line

Each line of the result: function (its index), usual_s and second_s, the seconds for a call in both versions at one turn. A
function whose call fails has a line with `failed` instead. Calls that would reach a network, start a program or write
elsewhere are refused, and so fail.
"""

import base64
import contextlib
import importlib
import importlib.machinery
import itertools
import json
import os
import pickle
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

BATCH_S = 0.0005
MOST = 2000
_SLOWEST_S = 0.05
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.spawn", "os.kill")
_REACHES = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "shutil.rmtree", "os.link")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Version:
    """One version of the project, in this process, with its functions under load."""

    def __init__(self, plan: dict[str, Any], overlay: dict[str, str]) -> None:
        self.plan = plan
        _lay_over(overlay)
        self.functions = [getattr(importlib.import_module(each["module"]), each["name"]) for each in plan["functions"]]
        self.pickled = [[base64.b64decode(call) for call in each["calls"]] for each in plan["functions"]]
        sys.addaudithook(_fence(os.path.realpath(plan["inside"])))
        sys.setswitchinterval(1e-4)

    def size(self, index: int) -> int:
        """Return how many calls fill a batch; 0 for a function that takes too long for one. Raises what it raises."""
        best = min(self._timed(index, 1) for _ in range(5))
        if best > _SLOWEST_S:
            return 0
        rough = max(1, min(int(BATCH_S / max(best, 1e-8)), 50))
        per_call = min(self._timed(index, rough) for _ in range(3)) / rough
        return max(1, min(int(BATCH_S / max(per_call, 1e-8)), MOST))

    def turn(self, index: int, size: int) -> float:
        """Return the seconds for a call under the load: the worst of its steps in the number of threads."""
        self._timed(index, min(size, 3))  # the first call after a while is another matter; a pause brings it back
        return max(self._step(index, size, threads) for threads in self.plan["threads"])

    def _step(self, index: int, size: int, threads: int) -> float:
        each = max(1, size // threads)
        seconds = []
        for _ in range(self.plan["batches"]):
            if self.plan["pause_s"]:  # even a sleep of nothing may last long on a busy machine, and would be a pause
                time.sleep(self.plan["pause_s"])
            taken = self._timed(index, size) / size if threads == 1 else self._together(index, each, threads)
            seconds.append(taken)
        last = seconds[-self.plan["last"] :]
        return min(last) if threads == 1 or self.plan["pause_s"] else statistics.median(last)

    def _timed(self, index: int, count: int) -> float:
        """Return the seconds of some calls one after the other, each with arguments of its own."""
        function, pickled = self.functions[index], self.pickled[index]
        ready = [pickle.loads(pickled[number % len(pickled)]) for number in range(count)]  # noqa: S301 - written by us
        begun = time.perf_counter()
        for positional, named in ready:
            function(*positional, **named)
        return time.perf_counter() - begun

    def _together(self, index: int, each: int, threads: int) -> float:
        """Return the seconds for a call where threads make some at the same time, from the first to the last of them."""
        function, pickled = self.functions[index], self.pickled[index]
        ready = [pickle.loads(pickled[number % len(pickled)]) for number in range(each * threads)]  # noqa: S301
        gate, begun, ended = threading.Barrier(threads), [0.0] * threads, [0.0] * threads

        def caller(number: int) -> None:
            mine = ready[number * each : (number + 1) * each]
            gate.wait()
            begun[number] = time.perf_counter()
            for positional, named in mine:
                function(*positional, **named)
            ended[number] = time.perf_counter()

        running = [threading.Thread(target=caller, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return (max(ended) - min(begun)) / (each * threads)


def _lay_over(overlay: dict[str, str]) -> None:
    """Let imports read some files from here instead of from the disk."""
    read = importlib.machinery.SourceFileLoader.get_data

    def get_data(self: Any, path: str) -> bytes:
        text = overlay.get(os.path.realpath(path))
        return read(self, path) if text is None else text.encode()

    importlib.machinery.SourceFileLoader.get_data = get_data  # type: ignore[method-assign]


def _fence(inside: str) -> Any:
    """Return an audit hook that refuses what reaches out of the copy."""

    def written(event: str, arguments: tuple[Any, ...]) -> Any:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            return arguments[0]
        return arguments[0] if event in _CHANGES else None

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STARTS or event in _REACHES:
            raise PermissionError(f"{event} is not allowed under load")
        path = written(event, arguments)
        if isinstance(path, str | bytes) and not os.path.realpath(os.fsdecode(path)).startswith(inside + os.sep):
            raise PermissionError(f"{event} of {path!r} is not allowed under load")

    return hook


def serve(plan: dict[str, Any], overlay: dict[str, str], asked: Any, answers: Any) -> None:
    """Answer questions of the form [function, size] with seconds, or with the size where that is 0, one a line."""
    version = Version(plan, overlay)
    for line in asked:
        index, size = json.loads(line)
        try:
            answer: Any = version.turn(index, size) if size else version.size(index)
        except BaseException as error:  # noqa: BLE001 - whatever a function of the project raises
            answer = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Remote:
    """A version in a process of its own."""

    def __init__(self, plan: dict[str, Any], overlay: dict[str, str]) -> None:
        down, up = os.pipe(), os.pipe()
        if not os.fork():
            os.close(down[1])
            os.close(up[0])
            try:
                with os.fdopen(down[0]) as asked, os.fdopen(up[1], "w") as answers:
                    serve(plan, overlay, asked, answers)
            finally:
                os._exit(0)
        os.close(down[0])
        os.close(up[1])
        self._ask, self._answers = os.fdopen(down[1], "w"), os.fdopen(up[0])

    def __call__(self, index: int, size: int) -> Any:
        """Ask, and return the answer: a number, or a text where the function failed."""
        try:
            self._ask.write(json.dumps([index, size]) + "\n")
            self._ask.flush()
            line = self._answers.readline()
        except OSError:
            line = ""
        return json.loads(line) if line else "its process ended"


def sizes_of(version: Remote, count: int, out: TextIO) -> dict[int, int]:
    """Return how many calls fill a batch, by function, of those that can be called."""
    sizes: dict[int, int] = {}
    for index in range(count):
        answer = version(index, 0)
        if isinstance(answer, int) and answer:
            sizes[index] = answer
        else:
            out.write(json.dumps({"function": index, "failed": answer or "it takes too long"}) + "\n")
    return sizes


def take_turns(versions: tuple[Remote, Remote], index: int, size: int, pair: int) -> dict[str, Any]:
    """Return the line of one turn; which version is first changes from turn to turn."""
    first = pair % 2
    seconds = [versions[first](index, size), versions[1 - first](index, size)]
    wrong = [each for each in seconds if isinstance(each, str)]
    if wrong:
        return {"function": index, "failed": wrong[0]}
    return {"function": index, "usual_s": seconds[first], "second_s": seconds[1 - first], "size": size}


def stay_on_one_cpu() -> None:
    """Keep this process and its children on the CPU where it runs, if the system lets it: others may be slower.

    Threads that a function starts by itself share that CPU then.
    """
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            after_the_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2]
            os.sched_setaffinity(0, {int(after_the_name.split()[36])})  # field 39 of proc_pid_stat(5)


def main() -> None:
    """Let the two versions take turns, function by function, so that both see the same moments of a busy machine."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    begun = time.monotonic()
    if max(plan["threads"]) == 1:
        stay_on_one_cpu()
    versions = (Remote(plan, {}), Remote(plan, plan["overlay"]))
    with Path(plan["out"]).open("w", buffering=1, encoding="utf-8") as out:
        sizes = sizes_of(versions[0], len(plan["functions"]), out)
        for pair, index in itertools.product(range(plan["pairs"]), [*sizes]):
            if time.monotonic() - begun > plan["budget_s"]:
                return
            if index in sizes:
                line = take_turns(versions, index, sizes[index], pair)
                out.write(json.dumps(line) + "\n")
                if "failed" in line:
                    del sizes[index]


if __name__ == "__main__":
    main()
