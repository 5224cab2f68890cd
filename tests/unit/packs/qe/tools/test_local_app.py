"""A project's own web application is served from the copy, asked, and gone again."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.tools.local_app import broken_promises, described, find_app, served

WEB = """
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: int


@app.get("/item")
def item() -> Item:
    return Item(name="tea", price=3)
"""
BROKEN = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/item")
def item() -> dict[str, str]:
    return {"name": "tea"}
"""

Make = Callable[[Path, Mapping[str, str]], Path]


def test_schemathesis_finds_what_the_new_application_no_longer_keeps(tmp_path: Path, make: Make) -> None:
    project = discover(make(tmp_path / "web", {"web.py": WEB}), tests_needed=False)
    assert find_app({"web.py": WEB}, "") == "web:app"
    with open_sandbox(project) as sandbox:
        promised = sandbox.scratch / "promised.json"
        with served(sandbox, "web:app") as address:
            promised.write_text(described(address))
            assert broken_promises(address, promised, sandbox.scratch, 60.0) == frozenset()
        sandbox.write("web.py", BROKEN)
        with served(sandbox, "web:app") as address:
            assert broken_promises(address, promised, sandbox.scratch, 60.0) == {"GET /item"}
    host, port = address.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=1.0):
        pass


def test_an_application_that_does_not_start_says_why(tmp_path: Path, make: Make) -> None:
    project = discover(make(tmp_path / "web", {"web.py": "app = 1\n"}), tests_needed=False)
    assert find_app({"web.py": "app = 1\n"}, "") == ""
    with open_sandbox(project) as sandbox, pytest.raises(InvalidInput, match="did not start"), served(sandbox, "web:no"):
        pass
