"""Logs and reports tell which function failed, with what, and how often."""

from pathlib import Path

from steersman.packs.qe.tools.incidents import incident_files, read_incidents

TRACE = """Traceback (most recent call last):
  File "/srv/app/src/shop/money.py", line 7, in pay
    return amount * rate
           ~~~~~~~^~~~~~
{locals}  File "/srv/lib/other.py", line 1, in deep
    raise
{inner}decimal.InvalidOperation: no
"""


def _read(text: str, file: str = "a.log"):  # type: ignore[no-untyped-def]
    return read_incidents({file: text}, ["src/shop/money.py"], "src")


def test_a_traceback_names_the_function_of_the_project_and_the_line_before_it_the_arguments() -> None:
    head = "2026 INFO shop.money.pay(amount=1, rate=2) done\n2026 ERROR shop.money.pay(amount=1, rate=2) failed\n"
    (only,) = _read(head + TRACE.format(locals="", inner=""))
    assert (only.function, only.exception, only.severity) == ("shop.money.pay", "InvalidOperation", "high")
    assert (only.line, only.failures, only.calls) == (3, 1, 2)
    assert only.arguments == "{'amount': 1, 'rate': 2}"
    assert only.passed_before


def test_locals_are_read_from_the_frame_of_the_function_alone() -> None:
    shown = TRACE.format(locals="    amount = 3\n    rate = [1, 2]\n    o = <object>\n", inner="    amount = 9\n")
    (only,) = _read("CRITICAL it broke\n" + shown)
    assert only.arguments == "{'amount': 3, 'rate': [1, 2]}"
    assert only.severity == "critical"
    assert not only.passed_before


def test_one_kind_of_failure_is_one_incident_and_its_sigma_grows_with_it() -> None:
    one, many = ("ERROR shop.money.pay failed\n" + TRACE.format(locals="", inner="") for _ in range(2))
    (first,) = _read(one)
    (second,) = _read(many * 5)
    assert second.failures == 5
    assert second.sigma > first.sigma > 0


def test_a_report_tells_the_right_answer_and_what_is_neither_is_left_alone() -> None:
    report = '{"function": "shop.money.pay", "arguments": {"amount": 1}, "expected": "2", "severity": "low"}'
    (only,) = _read(report, "incidents/a.json")
    assert (only.arguments, only.expected, only.severity) == ("{'amount': 1}", "2", "low")
    assert not _read("{", "incidents/a.json")
    assert not _read("INFO all is well\n")
    (foreign,) = _read(TRACE.replace("money", "else").format(locals="", inner=""))
    assert foreign.function == ""


def test_logs_and_reports_are_found_by_their_places(tmp_path: Path) -> None:
    for name in ("a.log", "incidents/b.json", "other.json", ".venv/c.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert incident_files(tmp_path) == ["a.log", "incidents/b.json"]
