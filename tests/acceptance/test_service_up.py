"""`steersman up` as its users run it: in a process of its own, on a real store, ended by signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from steersman.app import Steersman
from steersman.testing.serving import bearer, make_key
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
BEGIN_S = 60.0
END_S = 30.0


@dataclass(kw_only=True)
class Up:
    """A service that was started by the command line."""

    process: "subprocess.Popen[str]"
    url: str
    pid: int
    keys_needed: bool

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(END_S)


@contextmanager
def up(folder: Path, *options: str) -> Iterator[Up]:
    """Start a service in a folder with an agent of its own, and end it."""
    (folder / "agents.py").write_text("from steersman.testing.specs import small_agent\n\nsmall = small_agent()\n")
    (folder / "steersman.toml").write_text('agent_files = ["agents.py"]\n\n[service]\nrate_per_s = 0\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CI": "1"},
    )
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
        assert line, process.stderr.read()  # type: ignore[union-attr]  # it is a pipe
        said = json.loads(line)
        yield Up(process=process, url=said["address"], pid=said["pid"], keys_needed=said["keys_needed"])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=END_S)


def decide(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_it_is_up_decides_learns_and_ends_well(tmp_path: Path) -> None:
    with up(tmp_path) as service:
        assert not service.keys_needed
        with httpx.Client(base_url=service.url) as client:
            made = decide(client)
            said = client.post("/v1/outcomes", json={"decision_id": made["id"], "measurements": {"reward": 0.5}})
            assert said.json()["reward"] == 0.5
            assert client.get("/v1/policies/lab/small").json()["states_seen"] == 1
            assert "text/html" in client.get("/", headers={"accept": "text/html"}).headers["content-type"]
        assert service.end() == 0
        assert service.process.stderr.read() == ""  # type: ignore[union-attr]  # it is a pipe
    with Steersman.open(tmp_path / ".steersman" / "log.db", agents=[small_agent()], settings={}) as steersman:
        assert steersman.outcomes(made["id"])[0].reward == 0.5


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_mid_work_loses_nothing_that_was_acknowledged(tmp_path: Path, how: signal.Signals) -> None:
    decided: list[str] = []
    reported: list[str] = []
    wrong: list[str] = []

    def work(url: str) -> None:
        try:
            with httpx.Client(base_url=url, timeout=10.0) as client:
                while True:
                    answer = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE})
                    if answer.status_code != 200:
                        wrong.append(answer.text)
                        return
                    made = answer.json()
                    decided.append(made["id"]) if made["durable"] else None
                    body = {"decision_id": made["id"], "measurements": {"reward": 0.5}}
                    answer = client.post("/v1/outcomes", json=body)
                    if answer.status_code != 200:
                        wrong.append(answer.text)
                        return
                    reported.append(made["id"])
        except httpx.TransportError:
            return  # it is gone: what was on the way was not acknowledged

    with up(tmp_path, "--store", "log.db") as service:
        threads = [threading.Thread(target=work, args=(service.url,)) for _ in range(6)]
        for each in threads:
            each.start()
        while len(reported) < 60:
            time.sleep(0.01)
        assert service.end(how) == 0
        for each in threads:
            each.join(END_S)
    assert wrong == []
    with Steersman.open(tmp_path / "log.db", agents=[small_agent()], settings={}) as steersman:
        assert [name for name in decided if steersman.log.decision(name) is None] == []
        assert [name for name in reported if not steersman.outcomes(name)] == []
        found = steersman.agent("lab/small").diagnose()
        assert found.outcomes >= len(reported)


def test_a_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with up(tmp_path) as service, httpx.stream("GET", f"{service.url}/v1/events", timeout=30.0) as answer:
        assert next(answer.iter_lines()) == "retry: 2000"
        began = time.monotonic()
        assert service.end() == 0
        assert time.monotonic() - began < 8.0


def test_a_second_one_on_the_same_file_says_who_holds_it(tmp_path: Path, cli: Callable[..., Any]) -> None:
    with up(tmp_path, "--store", "log.db") as service:
        done = cli("up", "--port", "0", "--store", "log.db")
        assert done.code == 7
        assert f"process {service.pid}" in done.err
        with httpx.Client(base_url=service.url) as client:
            assert decide(client)["durable"]


def test_a_port_that_is_taken_says_so(tmp_path: Path, cli: Callable[..., Any]) -> None:
    with up(tmp_path, "--store", "log.db") as service:
        done = cli("up", "--port", service.url.rpartition(":")[2], "--store", "other.db")
    assert done.code == 7
    assert "--port" in done.err


def test_beyond_this_machine_it_asks_for_keys(tmp_path: Path, cli: Callable[..., Any], command: Callable[..., Any]) -> None:
    done = cli("up", "--port", "0", "--host", "0.0.0.0", "--store", "log.db")
    assert done.code == 5
    assert "steersman keys create" in done.err
    text = command("keys", "create", "--name", "Ann", "--role", "admin", "--store", "log.db", "--json").json["secret"]
    with up(tmp_path, "--host", "0.0.0.0", "--store", "log.db") as service:
        assert service.keys_needed
        url = service.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/v1/agents").status_code == 401
        assert httpx.get(f"{url}/v1/agents", headers=bearer(text)).status_code == 200


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        (("--workers", "2"), 3, "postgresql://"),
        (("--role", "learn"), 3, "postgresql://"),
        (("--role", "lern", "--store", "postgresql://h/d"), 3, "Did you mean 'learn'?"),
        (("--log-format", "xml"), 3, "text"),
        (("--host", "no.such.host.invalid"), 3, "no address"),
        (("--port", "70000"), 3, ""),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, command: Callable[..., Any], options: tuple[str, ...], code: int, hint: str
) -> None:
    done = command("up", *(() if "--port" in options else ("--port", "0")), *options)
    assert done.code == code, done.err
    assert hint in done.err


def test_settings_that_are_not_there_are_told(cli: Callable[..., Any]) -> None:
    done = cli("up", "--port", "0", "--settings", "none.toml")
    assert (done.code, "none.toml" in done.err) == (6, True), done.err


def test_keys_work_while_a_service_owns_the_store(tmp_path: Path, command: Callable[..., Any]) -> None:
    with up(tmp_path, "--store", "log.db") as service:

        def status(text: str) -> int:
            return httpx.get(f"{service.url}/v1/agents", headers=bearer(text)).status_code

        made = command("keys", "create", "--name", "Ann", "--role", "admin", "--store", "log.db", "--json").json
        time.sleep(1.0)
        assert status(made["secret"]) == 200
        assert httpx.get(f"{service.url}/v1/agents").status_code == 401
        second = command("keys", "rotate", made["key"]["id"], "--store", "log.db", "--json").json
        time.sleep(1.0)
        assert (status(made["secret"]), status(second["secret"])) == (401, 200)
        assert command("keys", "revoke", second["key"]["id"], "--store", "log.db").code == 0
        time.sleep(1.0)
        assert status(second["secret"]) == 401
        listed = command("keys", "list", "--store", "log.db", "--json").json
        assert [each["revoked_at"] is not None for each in listed] == [True, True]
        assert command("keys", "revoke", "nothing", "--store", "log.db").code == 6
    events = [each["event"] for each in command("audit", "--store", "log.db", "--json").json]
    assert events[:4] == [
        "key revoked",
        "key ends after its rotation",
        f"key created in the place of {made['key']['id']}",
        "key created",
    ]


def test_workers_share_a_socket_and_one_that_dies_is_replaced(tmp_path: Path, new_store_url: str) -> None:
    with up(tmp_path, "--store", new_store_url, "--workers", "2") as service:
        workers = children(service.pid)
        assert len(workers) == 2
        with httpx.Client(base_url=service.url) as client:
            made = decide(client)
        said = {"decision_id": made["id"], "measurements": {"reward": 0.5}}
        for _ in range(6):  # by whichever worker
            assert httpx.post(f"{service.url}/v1/outcomes", json=said, timeout=20.0).json()["revision"] == 0
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + BEGIN_S
        while len(set(children(service.pid)) - set(workers)) < 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(children(service.pid)) == 2
        for _ in range(6):
            assert decide_once(service.url)["recorded"]
        assert service.end() == 0
        assert not any(Path(f"/proc/{each}").exists() for each in workers)


def test_workers_end_with_their_supervisor(tmp_path: Path, new_store_url: str) -> None:
    with up(tmp_path, "--store", new_store_url, "--workers", "2") as service:
        workers = children(service.pid)
        service.end(signal.SIGKILL)
        deadline = time.monotonic() + END_S
        while any(running(each) for each in workers) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(running(each) for each in workers)


def test_deciding_and_learning_can_be_done_by_different_processes(tmp_path: Path, new_store_url: str) -> None:
    folders = [tmp_path / "decide", tmp_path / "learn"]
    for each in folders:
        each.mkdir()
    with (
        up(folders[0], "--store", new_store_url, "--role", "decide") as decider,
        up(folders[1], "--store", new_store_url, "--role", "learn") as learner,
    ):
        made = decide_once(decider.url)
        said = {"decision_id": made["id"], "measurements": {"reward": 0.5}}
        assert httpx.post(f"{decider.url}/v1/outcomes", json=said, timeout=20.0).status_code == 200
        assert httpx.post(f"{learner.url}/v1/decisions", json={}).status_code == 404
        assert httpx.get(f"{learner.url}/readyz").status_code == 200
        deadline = time.monotonic() + BEGIN_S
        while not policy(decider.url)["states_seen"] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert policy(decider.url)["states_seen"] == 1


def test_who_watches_one_process_hears_of_what_another_does(tmp_path: Path, new_store_url: str) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for each in folders:
        each.mkdir()
    with up(folders[0], "--store", new_store_url) as one, up(folders[1], "--store", new_store_url) as two:
        decide_once(one.url)
        with httpx.stream("GET", f"{one.url}/v1/events", timeout=20.0) as answer:
            stream = answer.iter_lines()
            assert next(stream) == "retry: 2000"
            time.sleep(1.5)
            decide_once(two.url)
            deadline = time.monotonic() + 10.0
            heard = [
                line for line in iter(lambda: next(stream), 'data: {"agents":["lab/small"]}') if time.monotonic() < deadline
            ]
            assert "event: change" in heard


def test_a_key_that_was_revoked_stops_with_all_workers(tmp_path: Path, new_store_url: str) -> None:
    text = make_key(new_store_url, "admin")
    with up(tmp_path, "--store", new_store_url, "--workers", "2") as service:
        assert service.keys_needed
        name = text.split("_")[1]
        assert httpx.delete(f"{service.url}/v1/keys/{name}", headers=bearer(text), timeout=20.0).status_code == 200
        time.sleep(1.0)
        statuses = {httpx.get(f"{service.url}/v1/agents", headers=bearer(text)).status_code for _ in range(20)}
        assert statuses == {401}


def decide_once(url: str) -> dict[str, Any]:
    """Decide on a connection of its own, so by whichever worker takes it."""
    with httpx.Client(base_url=url, timeout=20.0) as client:
        return decide(client)


def policy(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/v1/policies/lab/small", timeout=20.0).json()
    return found


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def running(pid: int) -> bool:
    """Return whether a process is at work: one that nobody has waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
