"""The security scanner runs real scanners on a copy, and is paid for what they find of what was planted."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.agents import security_scanner
from steersman.packs.qe.agents.security_scanner import SecurityScanner, agent
from steersman.packs.qe.plants.old_versions import HARMLESS, KNOWN, plant_versions
from steersman.packs.qe.plants.vulnerabilities import plant_vulnerabilities
from steersman.packs.qe.tools.dependencies import SERVER, pins
from steersman.packs.qe.tools.run import has
from tests.unit.packs.qe.agents.conftest import Work


def test_scanners_find_what_is_planted_and_the_tree_is_untouched(work: Work, shop_project: Path) -> None:
    before = {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()}
    found = {}
    for action in ("sast", "secrets", "full"):
        (done,) = work(agent, SecurityScanner(), shop_project, action=action).rounds
        found[action] = done.measurements["found_worth"] / done.measurements["planted_worth"]
        assert done.reward is not None
    assert found["full"] == 1.0
    assert 0.2 < found["secrets"] < found["full"], "a scan for secrets sees no weak code"
    assert {file: file.read_bytes() for file in shop_project.rglob("*") if file.is_file()} == before


def test_the_reward_falls_with_look_alikes_that_were_taken_for_real(work: Work, shop_project: Path) -> None:
    rounds = work(agent, SecurityScanner(), shop_project, 6, action="secrets").rounds
    alarmed = [each for each in rounds if each.measurements["false_alarms"]]
    assert alarmed, "a commit's hash looks like a secret"
    for each in alarmed:
        assert each.components["false_alarms"] == max(-15.0 * each.measurements["false_alarms"], -50.0)


def test_what_is_in_the_project_itself_is_reported_and_not_paid_for(work: Work, shop_project: Path) -> None:
    (shop_project / "cart.py").write_text("import subprocess\n\n\ndef run(text):\n    subprocess.call(text, shell=True)\n")
    report = work(agent, SecurityScanner(), shop_project, 2, action="full")
    (found,) = [each for each in report.findings if each.rule == "B602"]
    assert (found.file, found.line, found.severity, found.confirmed) == ("cart.py", 5, "high", False)
    assert not [each for each in report.findings if "planted" in each.message]


def test_what_a_missing_tool_is_for_cannot_be_chosen(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_scanner, "has", lambda name: name == "ruff")
    (done,) = work(agent, SecurityScanner(), shop_project).rounds
    assert done.action == {"action": "quick"}
    with pytest.raises(NotPermitted, match="full needs bandit, detect-secrets: pip install"):
        work(agent, SecurityScanner(), shop_project, action="full")


def test_where_pip_audit_cannot_look_nothing_is_said_of_dependencies(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv(SERVER, f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/query")
        with pytest.raises(NotPermitted, match="pinned"):
            work(agent, SecurityScanner(), shop_project, action="sca")
        (shop_project / "requirements.txt").write_text("jinja2==2.4.1\n")
        reason = "cannot look up advisories" if has("pip_audit") else "pip install pip-audit"
        with pytest.raises(NotPermitted, match=reason):
            work(agent, SecurityScanner(), shop_project, action="sca")
        report = work(agent, SecurityScanner(), shop_project, action="full")
    assert "no word on dependencies: sca" in report.rounds[0].line
    assert not [each for each in report.findings if each.tool == "pip-audit"]


@pytest.mark.skipif(not has("pip_audit"), reason="pip-audit is not installed")
def test_old_versions_are_found_where_pip_audit_can_look(
    work: Work, shop_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop_project / "requirements.txt").write_text("# ours\nDjango==1.11  # old\n")
    with advisories({**KNOWN, "django": "1.11"}) as address:
        monkeypatch.setenv(SERVER, address)
        report = work(agent, SecurityScanner(), shop_project, 2, action="sca")
        whole = work(agent, SecurityScanner(), shop_project, action="full").rounds[0]
    (found,) = [each for each in report.findings if each.tool == "pip-audit"]
    assert (found.file, found.line, found.rule, found.severity) == ("requirements.txt", 2, "PYSEC-0-django", "high")
    for each in report.rounds:
        assert each.measurements["found_worth"] == 8.0, "the two old versions"
        assert each.measurements["false_alarms"] == 0.0
    assert whole.measurements["found_worth"] == whole.measurements["planted_worth"]


@contextmanager
def advisories(known: Mapping[str, str]) -> Iterator[str]:
    """Serve what is known of versions, in the form of https://google.github.io/osv.dev/post-v1-query, on this machine."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": []}]}]
            entry = {"id": f"PYSEC-0-{name}", "summary": "bad", "affected": affected, "published": "2020-01-01T00:00:00Z"}
            body = json.dumps({"vulns": [entry]} if known.get(name) == asked["version"] else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def test_what_is_pinned_is_read_from_requirements_and_pyproject(tmp_path: Path) -> None:
    (tmp_path / "requirements-dev.txt").write_text(
        "-r x.txt\nA_b[c]==1.0 ; python_version > '3'\nd>=2\ne==3.* \nf==1 --hash=sha256:0\n"
    )
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = [\n  "g==1.2",\n  "h",\n]\n')
    found = [(each.name, each.version, each.file, each.line) for each in pins(tmp_path)]
    assert found == [
        ("a-b", "1.0", "requirements-dev.txt", 2),
        ("f", "1", "requirements-dev.txt", 5),
        ("g", "1.2", "pyproject.toml", 4),
    ]


def test_planted_versions_stand_where_they_say_and_are_none_of_the_projects_own() -> None:
    planted = plant_versions("r.txt", "x==1", ["flask", "six"], np.random.default_rng(1), known=5, harmless=4)
    lines = planted.texts["r.txt"].splitlines()
    assert lines[0] == "x==1"
    assert not {"flask==0.12.2", "six==1.16.0"} & set(lines)
    for each in planted.plants:
        name, _, version = lines[each.first - 1].partition("==")
        assert {**KNOWN, **HARMLESS}[name] == version
        assert bool(each.severity) == (name in KNOWN)


def test_a_project_without_tests_is_scanned_as_well(work: Work, shop_project: Path) -> None:
    (shop_project / "tests" / "test_shop.py").unlink()
    assert work(agent, SecurityScanner(), shop_project, action="quick").rounds[0].reward is not None


def test_plants_stand_where_they_say_and_one_seed_plants_the_same() -> None:
    sources = {"a.py": "x = 1\n", "b.py": "y = 2"}
    first, second = (
        plant_vulnerabilities(sources, np.random.default_rng(3), code=4, secrets=3, look_alikes=3) for _ in range(2)
    )
    assert first == second
    for each in first.plants:
        lines = first.texts[each.file].splitlines()
        assert "planted_" in lines[each.first - 1]
        assert each.last <= len(lines)
    for file, text in first.texts.items():
        assert text.startswith(sources[file])
        compile(text, file, "exec")
