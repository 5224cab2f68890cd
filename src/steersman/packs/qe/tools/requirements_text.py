"""Rules for requirements as text: what is one, which words leave it open, what it lacks, and which test speaks of it.

The rules are about words, not about sense: INVEST as far as a text shows it (independent, small, testable), words that two
people read in two ways (after ISO/IEC/IEEE 29148, 5.2.7), numbers that contradict each other, limits without a beyond.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steersman.packs.qe.tools.public_api import public_api

SUFFIXES = (".md", ".rst", ".txt", ".feature")
_IS_ONE = re.compile(r"\b(must|shall|should|will|has to|have to|needs? to|at most|at least|I want)\b", re.IGNORECASE)
_CRITERIA = re.compile(
    r"acceptance criteria|\bgiven\b.*\bthen\b|^\W*(?:given|when|then)\b|definition of done", re.IGNORECASE
)
_VAGUE = re.compile(
    r"\b(fast|quick(?:ly)?|easy|easily|user[- ]friendly|simple|intuitive|flexible|robust|efficient(?:ly)?|seamless(?:ly)?"
    r"|appropriate(?:ly)?|adequate|sufficient|reasonable|normal(?:ly)?|usual(?:ly)?|timely|as soon as possible|etc|and/or"
    r"|if possible|where (?:needed|necessary)|some|several|many|few|better|best|modern|state of the art|minimal|tbd|tbc)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|“[^”]*”")
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.-]*\d)")
_LIMIT = re.compile(r"\b(at most|at least|up to|no more than|maximum|minimum|within|limit of)\b", re.IGNORECASE)
_BEYOND = re.compile(
    r"\b(otherwise|else|beyond|refuse|reject|error|more than|fewer than|too (?:many|few|long))", re.IGNORECASE
)
_DEPENDS = re.compile(r"\b(depends on|see (?:also )?(?:R|REQ|US)-?\w+|only after)\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{4,}")
_EMPTY_WORDS = frozenset({"must", "shall", "should", "will", "that", "this", "with", "from", "have", "when", "then"})
_LONG = 45
_FENCE = re.compile(r"^\s*(```|~~~)")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One requirement. line: from 1. section: all that stands under its heading, where its criteria may be."""

    file: str
    line: int
    text: str
    section: str

    @property
    def words(self) -> frozenset[str]:
        """The words that carry its sense, by their first five letters."""
        return stems(self.text)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What a requirement leaves open. rule: its kind, such as "ambiguous" or "no criteria"."""

    file: str
    line: int
    rule: str
    message: str


def read_requirements(texts: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return the sentences in texts that ask for something, with the section that each stands in; code is left out."""
    return tuple(each for file, text in texts.items() if not file.endswith(".feature") for each in _of_text(file, text))


def read_docstrings(sources: Mapping[str, str], source_root: str) -> tuple[Requirement, ...]:
    """Return the first lines of the docstrings of public functions and classes, as what a project is meant to do."""
    found: list[Requirement] = []
    for file, text in sources.items():
        public = {name.rsplit(".", 1)[-1] for name in public_api({file: text}, source_root)}
        for node in ast.walk(ast.parse(text)) if public else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name in public:
                said = ast.get_docstring(node)
                if said:
                    first = said.splitlines()[0]
                    found.append(Requirement(file=file, line=node.body[0].lineno, text=first, section=said))
    return tuple(found)


def invest(requirements: Iterable[Requirement]) -> Iterator[Gap]:
    """Yield requirements without acceptance criteria, that lean on others, or that hold more than one thing."""
    for each in requirements:
        if not _CRITERIA.search(each.section):
            yield _gap(each, "no criteria", "nothing says how it would be accepted")
        if _DEPENDS.search(each.text):
            yield _gap(each, "depends", "it cannot be done without another one")
        if len(each.text.split()) > _LONG:
            yield _gap(each, "too large", f"{len(each.text.split())} words in one requirement")


def ambiguities(requirements: Iterable[Requirement]) -> Iterator[Gap]:
    """Yield requirements with words that two people read in two ways; what stands in quotes is a name and no such word."""
    for each in requirements:
        words = dict.fromkeys(match[0].lower() for match in _VAGUE.finditer(_QUOTED.sub("", each.text)))
        if words:
            yield _gap(each, "ambiguous", f"what does {', '.join(words)} mean, in numbers?")


def contradictions(requirements: Sequence[Requirement]) -> Iterator[Gap]:
    """Yield requirements that say the same as another one, but for a number."""
    seen: dict[str, Requirement] = {}
    for each in requirements:
        numbers = _NUMBER.findall(each.text)
        if not numbers:
            continue
        frame = _NUMBER.sub("#", each.text.lower())
        first = seen.setdefault(frame, each)
        if _NUMBER.findall(first.text) != numbers:
            yield _gap(each, "contradiction", f"{first.file}:{first.line} says {', '.join(_NUMBER.findall(first.text))}")


def open_limits(requirements: Iterable[Requirement]) -> Iterator[Gap]:
    """Yield requirements that set a limit and leave open what is beyond it."""
    for each in requirements:
        if _LIMIT.search(each.text) and _NUMBER.search(each.text) and not _BEYOND.search(each.section):
            yield _gap(each, "open limit", "what happens just beyond the limit?")


def untested(requirements: Iterable[Requirement], tests: Iterable[str]) -> Iterator[Gap]:
    """Yield requirements of which no test speaks: none has half of their words. tests: the text of each."""
    spoken = [stems(each) for each in tests]
    for each in requirements:
        words = each.words
        if words and max((len(words & said) / len(words) for said in spoken), default=0.0) < 0.5:
            yield _gap(each, "untested", "no test speaks of it")


def glance(text: str) -> dict[str, int]:
    """Return how often a text asks for something, is vague, gives criteria, and sets limits: counts of words, no more."""
    lines = [line for line in text.splitlines() if line.strip()]
    return {
        "asks": sum(bool(_IS_ONE.search(line)) for line in lines),
        "vague": sum(bool(_VAGUE.search(line)) for line in lines),
        "criteria": sum("acceptance criteria" in line.lower() for line in lines),
        "limits": sum(bool(_LIMIT.search(line) and _NUMBER.search(line)) for line in lines),
        "beyond": sum(bool(_BEYOND.search(line)) for line in lines),
    }


def stems(text: str) -> frozenset[str]:
    """Return the words of a text by their first five letters, without those that say nothing; names come apart at "_"."""
    return frozenset(word[:5] for word in _WORD.findall(text.lower().replace("_", " ")) if word not in _EMPTY_WORDS)


def _gap(requirement: Requirement, rule: str, words: str) -> Gap:
    return Gap(file=requirement.file, line=requirement.line, rule=rule, message=f"{requirement.text[:80]}: {words}")


def _of_text(file: str, text: str) -> Iterator[Requirement]:
    found: list[Requirement] = []
    section: list[str] = []
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= bool(_FENCE.match(line))
        if line.startswith("#") and not fenced:
            yield from _closed(found, section)
            found, section = [], []
        section.append(line)
        asks = _IS_ONE.search(line) and not fenced and not line.startswith(("#", "|", "    "))
        if asks and not _CRITERIA.search(line):
            found.append(Requirement(file=file, line=number, text=line.strip(" -*\t"), section=""))
    yield from _closed(found, section)


def _closed(found: list[Requirement], section: list[str]) -> Iterator[Requirement]:
    whole = "\n".join(section)
    for each in found:
        yield replace(each, section=whole)
