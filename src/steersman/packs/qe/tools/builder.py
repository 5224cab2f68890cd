"""Builds records of a project's models in the project's own interpreter and writes down whether each was taken or refused.

It stands alone (standard library only, and what the project has) and lies in the sandbox's scratch folder, beside the
recorder, whose fence it uses. It takes the path of a JSON job:

    models   [{module, name, kind}]; kind: dataclass, pydantic, or json with the path of a schema as name
    rows     [index of a model, text of a dict of literals]; a dict {"$model": name, "row": {…}} is built first
    factory  how many records polyfactory makes of each model by itself, where it is installed      seed, out

A result: i (index of the row; -1 for polyfactory), model, status (taken, refused, crash), text (the error's name).
"""

import ast
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Build = Callable[[dict[str, Any]], Any]


def _fence() -> Any:
    recorder = importlib.import_module("steersman_recorder")
    sys.addaudithook(recorder._hook)
    return recorder._fence


def _model(entry: dict[str, str]) -> Build | None:
    """Return what builds a record; None where nothing in this interpreter can."""
    if entry["kind"] == "json":
        return _schema(json.loads(Path(entry["name"]).read_text(encoding="utf-8")))
    found: Any = getattr(importlib.import_module(entry["module"]), entry["name"], None)
    return None if found is None else lambda row: found(**row)


def _schema(schema: dict[str, Any]) -> Build | None:
    for name in ("jsonschema", "jsonschema_rs"):
        if importlib.util.find_spec(name):
            validate = importlib.import_module(name).validate
            return lambda row: validate(row, schema) if name == "jsonschema" else validate(schema, row)
    return None


def _whole(value: Any, named: dict[str, Build]) -> Any:
    if isinstance(value, dict) and "$model" in value:
        return named[value["$model"]](_whole(value["row"], named))
    if isinstance(value, dict):
        return {key: _whole(each, named) for key, each in value.items()}
    return [_whole(each, named) for each in value] if isinstance(value, list) else value


def _attempt(act: Callable[[], Any], fence: dict[str, bool]) -> dict[str, str]:
    fence.update(up=True, touched=False)
    try:
        act()
    except (ValueError, TypeError, AssertionError) as error:
        return {"status": "refused", "text": type(error).__name__}
    except BaseException as error:  # noqa: BLE001 - whatever a model raises is the result
        return {"status": "crash", "text": type(error).__name__}
    finally:
        fence["up"] = False
    return {"status": "taken", "text": ""}


def _factory(entry: dict[str, str], seed: int) -> Callable[[], Any] | None:
    """Return what makes a record by polyfactory; None where it is missing or cannot."""
    if entry["kind"] == "json" or importlib.util.find_spec("polyfactory") is None:
        return None
    base = importlib.import_module("polyfactory.factories" + (".pydantic_factory" if entry["kind"] == "pydantic" else ""))
    maker = base.ModelFactory if entry["kind"] == "pydantic" else base.DataclassFactory
    try:
        made: Any = maker.create_factory(getattr(importlib.import_module(entry["module"]), entry["name"]))
        made.seed_random(seed)
    except Exception:  # noqa: BLE001 - a model that polyfactory does not know is left to the others
        return None
    build: Callable[[], Any] = made.build
    return build


def main() -> None:
    """Do the job of a file."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    fence = _fence()
    builds = [_model(each) for each in job["models"]]
    named = {entry["name"]: build for entry, build in zip(job["models"], builds, strict=True) if build is not None}
    factories = [_factory(each, job["seed"]) if job["factory"] else None for each in job["models"]]
    with open(job["out"], "w", buffering=1, encoding="utf-8") as out:
        for index, (model, text) in enumerate(job["rows"]):
            build = builds[model]
            if build is not None:
                row = ast.literal_eval(text)
                found = _attempt(lambda build=build, row=row: build(_whole(row, named)), fence)  # type: ignore[misc]
                out.write(json.dumps({"i": index, "model": model} | found) + "\n")
        for model, make in enumerate(factories):
            for _ in range(job["factory"] if make else 0):
                out.write(json.dumps({"i": -1, "model": model} | _attempt(make, fence)) + "\n")  # type: ignore[arg-type]
    os._exit(0)  # threads that the project's code left behind may not hold the process


if __name__ == "__main__":
    main()
