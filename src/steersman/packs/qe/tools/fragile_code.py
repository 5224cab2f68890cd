"""What in a source text may not take a fault, as far as reading tells: calls without a limit, writes without a copy.

Nothing is executed, so these are suspicions: a limit may be set elsewhere, and one that is written down may be too long.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_CLIENTS = frozenset(
    {"urlopen", "HTTPConnection", "HTTPSConnection", "create_connection", "FTP", "SMTP", "IMAP4", "requests.get"}
    | {f"requests.{verb}" for verb in ("post", "put", "patch", "delete", "head", "request")}
)
_POSITION = {"urlopen": 3, "create_connection": 2, "HTTPConnection": 3, "FTP": 5, "SMTP": 4}
"""The number of positional arguments at which a client's limit is among them."""

CALL_WITHOUT_LIMIT = "call without a time limit"
CALL_WITHOUT_HANDLER = "call whose failure nobody handles"
WORKER_WITHOUT_CHECK = "worker that nobody looks after"
WRITE_OR_READ_AT_ONCE = "file written over, or read as a whole"


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """One place, by its line from 1, and what is suspected there."""

    kind: str
    line: int


def suspicions(source: str) -> list[Suspicion]:
    """Return what reading a source text makes suspicious, by line; nothing where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {each for function in functions for each in _of_function(function)}
    return sorted(found, key=lambda each: (each.line, each.kind))


def _of_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Suspicion]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    handled = {id(node) for tried in ast.walk(function) if isinstance(tried, ast.Try) for node in ast.walk(tried)}
    names = {_name(each) for each in calls}
    for call in calls:
        if _is_client(call):
            if not _limited(call):
                yield Suspicion(kind=CALL_WITHOUT_LIMIT, line=call.lineno)
            if id(call) not in handled:
                yield Suspicion(kind=CALL_WITHOUT_HANDLER, line=call.lineno)
        elif _last(call) == "Popen" and not any(name.endswith((".poll", ".wait", ".communicate")) for name in names):
            yield Suspicion(kind=WORKER_WITHOUT_CHECK, line=call.lineno)
        elif _overwrites(call, names) or (_reads_all(call) and not _catches(function, "MemoryError")):
            yield Suspicion(kind=WRITE_OR_READ_AT_ONCE, line=call.lineno)


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _last(call: ast.Call) -> str:
    return _name(call).rsplit(".", 1)[-1]


def _is_client(call: ast.Call) -> bool:
    return _last(call) in _CLIENTS or _name(call) in _CLIENTS


def _limited(call: ast.Call) -> bool:
    named = any(each.arg in {"timeout", None} for each in call.keywords)
    return named or len(call.args) >= _POSITION.get(_last(call), 99)


def _overwrites(call: ast.Call, names: set[str]) -> bool:
    """Return whether a file is opened for writing, in a function that puts no finished file in the place of another."""
    mode = call.args[1] if len(call.args) > 1 else next((each.value for each in call.keywords if each.arg == "mode"), None)
    written = _last(call) == "open" and isinstance(mode, ast.Constant) and str(mode.value).startswith("w")
    return written and not any(name.endswith((".replace", ".rename")) for name in names)


def _reads_all(call: ast.Call) -> bool:
    return _last(call) == "mmap" or (_last(call) == "read" and not call.args)


def _catches(function: ast.AST, error: str) -> bool:
    handlers = (node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.type is not None)
    return any(error in ast.unparse(each.type) for each in handlers if each.type is not None)
