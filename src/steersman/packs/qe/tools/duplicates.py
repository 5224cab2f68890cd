"""Code that stands twice: runs of the same tokens, whatever their layout and comments are."""

import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_FEWEST_TOKENS = 40
_SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)

Token = tuple[str, int]
"""(text, line from 1)"""


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Lines of a file, from 1 and both included, that stand at another place as well, which came first."""

    file: str
    first: int
    last: int
    other: str
    other_first: int


def duplicates(texts: Mapping[str, str], fewest_tokens: int = _FEWEST_TOKENS) -> tuple[Duplicate, ...]:
    """Return what stands twice in the files, each as long as it goes; files that are no Python are passed over."""
    tokens = {file: _tokens(text) for file, text in sorted(texts.items())}
    places: dict[int, tuple[str, int]] = {}
    found: list[Duplicate] = []
    for file, own in tokens.items():
        at = 0
        while at + fewest_tokens <= len(own):
            key = hash(tuple(text for text, _ in own[at : at + fewest_tokens]))
            other, there = places.setdefault(key, (file, at))
            same = _same(own, at, tokens[other], there) if (other, there) != (file, at) else 0
            if same < fewest_tokens:
                at += 1
                continue
            last = own[at + same - 1][1]
            found.append(Duplicate(file=file, first=own[at][1], last=last, other=other, other_first=tokens[other][there][1]))
            at += same
    return tuple(found)


def _same(own: Sequence[Token], at: int, other: Sequence[Token], there: int) -> int:
    """Return how many tokens are the same from two places on; within one file, a run does not reach into itself."""
    most = min(len(own) - at, len(other) - there, at - there if own is other else len(own))
    count = 0
    while count < most and own[at + count][0] == other[there + count][0]:
        count += 1
    return count


def _tokens(text: str) -> list[Token]:
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return []
    return [(each.string, each.start[0]) for each in found if each.type not in _SILENT]
