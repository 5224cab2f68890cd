"""A run as JUnit XML, which every CI shows: a case for each agent, each failing or flaky test, and the verdict."""

import re
from xml.etree import ElementTree

from steersman.packs.qe.fleet.report import AgentReport, FleetReport

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: FleetReport) -> str:
    """Return the document. What an agent could not do is skipped, with the reason; a no-go is a failure."""
    suite = ElementTree.Element("testsuite", name=f"steersman: {report.project}", time=f"{report.wall_s:.3f}")
    verdict = _case(suite, "verdict", report.verdict.word, 0.0)
    if report.verdict.word == "no-go":
        _say(verdict, "failure", "; ".join(report.verdict.reasons))
    for name in report.failing:
        _say(_case(suite, "suite", name, 0.0), "failure", "fails as it is, in every run")
    for name in report.flaky:
        _say(_case(suite, "suite", name, 0.0), "skipped", "flaky: it failed in some runs only")
    for each in report.agents:
        _agent(suite, each)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _agent(suite: ElementTree.Element, report: AgentReport) -> None:
    case = _case(suite, f"agents.{report.category}", report.agent, report.wall_s)
    if not report.rounds:
        _say(case, "skipped", report.left_out)
    else:
        ElementTree.SubElement(case, "system-out").text = _clean(report.line)


def _case(suite: ElementTree.Element, group: str, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=group, name=_clean(name), time=f"{seconds:.3f}")


def _say(case: ElementTree.Element, kind: str, message: str) -> None:
    ElementTree.SubElement(case, kind, message=_clean(message))


def _clean(text: str) -> str:
    """Return a text without what XML cannot hold: names of tests may have any character."""
    return _NOT_XML.sub("�", text)
