"""Screenshots of HTML files, and what in them cannot be seen or heard by everybody, by Chromium through Playwright.

`python -m steersman.packs.qe.tools.screenshots PLAN` opens the pages of a plan, in a process of its own, so that it can be
killed with the browser when its time is over. The browser reaches no network.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.project.discovery import project_files
from steersman.packs.qe.tools.run import run_tool

DESK, PHONE = (1280, 800), (390, 844)
_VARIABLES = ("{{", "{%", "<%", "<?php")
_MOST_PAGES, _MOST_BYTES = 5, 1_000_000
_CHECKS = """() => {
  const found = [], seen = (each) => each.getClientRects().length && getComputedStyle(each).visibility !== "hidden";
  const where = (each) => each.id ? "#" + each.id : each.tagName.toLowerCase() + "." + (each.className || "");
  const say = (rule, each) => found.push([rule, where(each)]);
  if (!document.documentElement.lang) found.push(["no-language", "html"]);
  for (const each of document.querySelectorAll("img:not([alt])"))
    if (!["presentation", "none"].includes(each.getAttribute("role"))) say("no-text-for-picture", each);
  const fields = "input:not([type=hidden], [type=submit], [type=button], [type=image]), select, textarea";
  for (const each of document.querySelectorAll(fields))
    if (!each.labels?.length && !["aria-label", "aria-labelledby", "title"].some((name) => each.getAttribute(name)))
      say("no-label", each);
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (each) => {
    for (; each; each = each.parentElement) {
      const style = getComputedStyle(each), colour = parse(style.backgroundColor);
      if (style.backgroundImage !== "none") return null;
      if (colour.length === 3 || colour[3] === 1) return colour;
      if (colour[3] > 0) return null;
    }
    return [255, 255, 255];
  };
  for (const each of document.body.querySelectorAll("*")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !seen(each) || ["SCRIPT", "STYLE"].includes(each.tagName)) continue;
    const style = getComputedStyle(each), colour = parse(style.color), ground = behind(each);
    if (!ground || (colour.length === 4 && colour[3] < 1)) continue;
    const [high, low] = [luminance(colour), luminance(ground)].sort((a, b) => b - a), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if ((high + 0.05) / (low + 0.05) < least) say("low-contrast", each);
  }
  return found;
}"""
"""The ratio and the limits of contrast: WCAG 2.2, success criterion 1.4.3, and its definition of relative luminance."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One page at one size: its file and the picture to take of it."""

    file: Path
    size: tuple[int, int]
    picture: Path


@dataclass(frozen=True, kw_only=True)
class Issue:
    """What someone cannot see or hear: the rule that it breaks and the element."""

    rule: str
    element: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a browser found, by file, and what it took in seconds."""

    issues: Mapping[Path, tuple[Issue, ...]]
    wall_s: float
    cpu_s: float


def browser() -> str:
    """Return the browser to use: what STEERSMAN_CHROMIUM names, else chromium or google-chrome; "" where there is none."""
    names = (os.environ.get("STEERSMAN_CHROMIUM"), "chromium", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), "")


def pages(root: Path) -> dict[str, str]:
    """Return the texts of up to five whole pages below a folder that have no variables of a template, by file."""
    found: dict[str, str] = {}
    for path in project_files(root):
        if path.suffix.lower() not in (".html", ".htm") or path.stat().st_size > _MOST_BYTES:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if "<body" in text.lower() and not any(each in text for each in _VARIABLES):
            found[path.relative_to(root).as_posix()] = text
    return dict(list(found.items())[:_MOST_PAGES])


def look_at(shots: Sequence[Shot], *, root: Path, scratch: Path, timeout_s: float, pictures: bool, checks: bool) -> Looked:
    """Open each page, take its picture if asked to, and check it if asked to.

    Raises DeadlineExceeded over its time, InvalidInput where the browser does not work.
    """
    plan, out = scratch / "screenshots.json", scratch / "looked.json"
    out.unlink(missing_ok=True)
    wanted = [{"file": str(each.file), "size": each.size, "picture": str(each.picture)} for each in shots]
    options = {"browser": browser(), "pictures": pictures, "checks": checks, "timeout_s": timeout_s, "out": str(out)}
    plan.write_text(json.dumps(options | {"shots": wanted}), encoding="utf-8")
    output = run_tool(__name__, [str(plan)], root=root, scratch=scratch, timeout_s=timeout_s)
    if not out.exists():
        raise InvalidInput(f"the browser {browser()!r} did not work: {output.text.strip()[-600:]}")
    said: dict[str, list[list[str]]] = json.loads(out.read_text(encoding="utf-8"))
    issues = {Path(file): tuple(Issue(rule=rule, element=element) for rule, element in each) for file, each in said.items()}
    return Looked(issues=issues, wall_s=output.wall_s, cpu_s=output.cpu_s)


def main(plan: Mapping[str, Any]) -> None:
    """Carry out a plan in this process, and write what the checks say to its `out`."""
    from playwright.sync_api import ViewportSize, sync_playwright

    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND", "--force-device-scale-factor=1", "--disable-dev-shm-usage"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    issues: dict[str, list[list[str]]] = {}
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=plan["browser"], args=arguments)
        page = opened.new_context(offline=True).new_page()
        page.set_default_timeout(1000.0 * plan["timeout_s"])
        for each in plan["shots"]:
            page.set_viewport_size(ViewportSize(width=each["size"][0], height=each["size"][1]))
            page.goto(Path(each["file"]).as_uri(), wait_until="load")
            if plan["pictures"]:
                page.screenshot(path=each["picture"])
            if plan["checks"]:
                issues[each["file"]] = page.evaluate(_CHECKS)
        opened.close()
    Path(plan["out"]).write_text(json.dumps(issues), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
