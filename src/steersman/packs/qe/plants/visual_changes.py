"""Changes of an HTML page that a person would call broken, and others that nobody would notice.

A block with a card, a button, a picture and a field is put into a page of the project, under the project's own styles; then
one thing about it changes. What is meant to be seen only on a narrow screen, or only by those who listen, is among it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Change = Callable[[str, np.random.Generator], str]
"""(the block, generator) → the block with a change."""

_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_DATE = "Updated 2024-05-01 at 10:00"
BLOCK = f"""
<div class="planted">
<style>
.planted {{ padding: 8px; background: #ffffff; color: #222222; font: 16px sans-serif; }}
.planted-card {{ width: 300px; padding: 12px; background: #e3ecf7; color: #222222; }}
.planted-button {{ display: inline-block; width: 160px; padding: 10px; background: #1b4f8f; color: #ffffff; }}
.planted-turning {{ display: inline-block; width: 14px; height: 14px; border: 3px solid #888888; border-top-color: #111111;
  border-radius: 50%; animation: planted-turn 1s linear infinite; animation-delay: -0.10s; animation-play-state: paused; }}
@keyframes planted-turn {{ to {{ transform: rotate(360deg); }} }}
</style>
<div class="planted-card"><b>Your order</b>
<p class="planted-text">Three things of four that you wanted are on their way.</p></div>
<p><span class="planted-button">Pay for it now</span></p>
<p class="planted-small">{_DATE} <i class="planted-turning"></i></p>
<p><img alt="a picture of the order" width="48" height="24" src="{_PICTURE}"> <input aria-label="Search" size="12"></p>
</div>
"""
"""What is put into a page; each change is one of this text."""


def _style(rule: str) -> Change:
    return lambda block, _: block.replace("</style>", f"{rule}\n</style>")


def _without(text: str) -> Change:
    return lambda block, _: block.replace(text, "")


def _moved(block: str, generator: np.random.Generator) -> str:
    left, top = (int(each) for each in generator.integers(30, 90, 2))
    return _style(f".planted-card {{ position: relative; left: {left}px; top: {top}px; }}")(block, generator)


def _recoloured(block: str, generator: np.random.Generator) -> str:
    colour = ("#f7c6c6", "#c6f7cb", "#f3e08c", "#d3c0f0")[int(generator.integers(4))]
    return _style(f".planted-card {{ background: {colour}; }}")(block, generator)


def _dated(block: str, generator: np.random.Generator) -> str:
    month, day, hour = (int(generator.integers(low, high)) for low, high in ((1, 13), (1, 29), (0, 24)))
    return block.replace(_DATE, f"Updated 2025-{month:02d}-{day:02d} at {hour:02d}:30")


def _turned(block: str, generator: np.random.Generator) -> str:
    return block.replace("-0.10s", f"-{generator.uniform(0.3, 0.9):.2f}s")


REGRESSIONS: Mapping[str, Change] = {
    "moved": _moved,
    "hidden": _style(".planted-button { visibility: hidden; }"),
    "recoloured": _recoloured,
    "overflowing": _style("@media (max-width: 600px) { .planted-text { white-space: nowrap; font-size: 20px; } }"),
    "no text for a picture": _without(' alt="a picture of the order"'),
    "no label": _without(' aria-label="Search"'),
    "too faint": _style(".planted-small { color: #bcbcbc; }"),
}
NOISE: Mapping[str, Change] = {
    "another date": _dated,
    "animation": _turned,
    "anti-aliasing": _style(".planted-text { transform: translateX(0.3px); }"),
    "one pixel": _style("body { position: relative; top: 1px; }"),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A page with one change. page: the file that was changed. regression: whether a person would call it broken."""

    kind: str
    page: str
    file: str
    text: str
    regression: bool


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The pages as they were (with the block, by page: file and text), and their variants."""

    before: Mapping[str, tuple[str, str]]
    variants: tuple[Variant, ...]

    @property
    def texts(self) -> dict[str, str]:
        """All files to write."""
        return dict(self.before.values()) | {each.file: each.text for each in self.variants}


def plant_changes(
    pages: Mapping[str, str], generator: np.random.Generator, *, regressions: int, noise: int, kinds: Sequence[str] = ()
) -> Changes:
    """Return pages with so many regressions and so much noise, one change each. kinds: the only regressions, if any."""
    names = sorted(pages)
    before = {page: (_beside(page, "planted_before"), with_block(pages[page], BLOCK)) for page in names}
    made = []
    for number in range(regressions + noise):
        broken = number < regressions
        among = (kinds or [*REGRESSIONS]) if broken else [*NOISE]
        kind = among[int(generator.integers(len(among)))]
        page = names[int(generator.integers(len(names)))]
        block = (REGRESSIONS if broken else NOISE)[kind](BLOCK, generator)
        file = _beside(page, f"planted_{number}")
        made.append(Variant(kind=kind, page=page, file=file, text=with_block(pages[page], block), regression=broken))
    used = {each.page for each in made}
    return Changes(before={page: each for page, each in before.items() if page in used}, variants=tuple(made))


def with_block(text: str, block: str) -> str:
    """Return a page with a block at the beginning of its body, or at its end where no body opens."""
    opening = re.search(r"<body[^>]*>", text, re.IGNORECASE)
    return text[: opening.end()] + block + text[opening.end() :] if opening else text + block


def _beside(page: str, stem: str) -> str:
    folder, _, name = page.rpartition("/")
    return f"{folder}/{stem}_{name}".lstrip("/")
