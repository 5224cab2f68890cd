"""The text of generated tests: examples that were recorded, those of one function together in a table."""

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from steersman.packs.qe.tools.expressions import Bare, Need
from steersman.packs.qe.tools.functions import IT, Target
from steersman.packs.qe.tools.recording import Recorded

_ABOUT = '"""Tests that Steersman generated for {module} from what it really does; read them before you keep them."""'
_LONGEST_NAME = 70
_NEGATED = {" == ": " != ", " in ": " not in "}
_ALONE = ("None", "True", "False")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of a table of examples. values: the expressions in it, the last one what is expected, if anything is."""

    target: Target
    error: str
    form: str
    alone: bool
    values: tuple[str, ...]

    @property
    def table(self) -> tuple[object, ...]:
        """What the lines of one table have in common."""
        return self.target, self.error, self.form, self.alone, len(self.values)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One generated test. imports: (module, name) that it needs. edge: it tries an extreme value. reused: from a test.

    case: what it would be in a table of such tests; None where it does not fit in one. reach: the lines and branches
    that ran in what it checks; None where that is not known.
    """

    name: str
    text: str
    imports: frozenset[Need]
    edge: bool = False
    reused: bool = False
    case: Case | None = None
    reach: frozenset[tuple[str, int] | tuple[str, int, int]] | None = None


def example(recorded: Recorded) -> Draft:
    """Return a test that states what a recorded call returned or raised, or how its object looks afterwards."""
    call, target = recorded.call, recorded.call.target
    it = variable(target.owner or "Made")
    needs = call.needs | recorded.needs
    raises = recorded.status == "raises"
    inline = not (call.steps or recorded.view or raises or not _is_expression(call.text))
    lines = [f"{it} = {call.setup}", *call.steps] if call.setup and not inline else []
    text = call.text.replace(IT, call.setup if inline else it)
    if raises:
        needs |= {("", "pytest")} | ({(recorded.origin, recorded.text)} if recorded.origin != "builtins" else set())
        lines += [f"with pytest.raises({recorded.text}):", f"    {text}"]
    elif recorded.view and not call.setup:
        lines = [f"{it} = {text}", f"assert {_stated(recorded.view, recorded.text)}"]
    elif recorded.view:
        lines += [text, f"assert {_stated(recorded.view, recorded.text)}"]
    else:
        lines.append(f"assert {_stated(recorded.form.format(text) if recorded.form != '{}' else text, recorded.text)}")
    body = "".join(f"    {each.replace(IT, it)}\n" for each in lines)
    name = _name(recorded)
    return Draft(
        name=name,
        text=f"def {name}():\n{body}",
        imports=needs,
        edge=call.edge,
        reused=call.reused,
        reach=recorded.lines | recorded.arcs,
        case=_case(recorded) if _is_plain(recorded) else None,
    )


def named_apart(drafts: Iterable[Draft], taken: Iterable[Draft]) -> list[Draft]:
    """Return drafts, each with a name of its own, without what is there already or cannot be imported beside it."""
    names = {each.name: each.text for each in taken}
    sources = {name: source for each in taken for source, name in each.imports}
    found = []
    for draft in drafts:
        if any(sources.get(name, source) != source for source, name in draft.imports):
            continue
        free = next(each for each in _numbered(draft.name) if names.get(each, "") in ("", _renamed(draft, each).text))
        if free not in names:
            made = _renamed(draft, free)
            names[free] = made.text
            sources |= {name: source for source, name in draft.imports}
            found.append(made)
    return found


def write_file(module: str, drafts: Sequence[Draft], *, tables: bool = False) -> str:
    """Return a pytest file of some tests; with tables, examples that differ only in their values stand in one test."""
    needs = {each for draft in drafts for each in draft.imports}
    texts = [*_in_tables(drafts)] if tables else [each.text for each in drafts]
    needs |= {("", "pytest")} if any(each.startswith("@pytest") for each in texts) else set()
    named: dict[str, list[str]] = {}
    for source, name in sorted(needs):
        if source:
            named.setdefault(source, []).append(name)
    lines = [f"import {name}" for source, name in sorted(needs) if not source]
    lines += ["from hypothesis import strategies as st"] if "hypothesis" in named else []
    lines += [f"from {source} import {', '.join(names)}" for source, names in named.items()]
    return "\n".join([_ABOUT.format(module=module), "", *lines, "", *(f"\n{each}" for each in texts)])


def variable(owner: str) -> str:
    """Return what to call an object of a class."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", owner).lower()
    return f"made_{name}" if name == owner or keyword.iskeyword(name) or hasattr(builtins, name) else name


def _case(recorded: Recorded) -> Case:
    call, error = recorded.call, recorded.text if recorded.status == "raises" else ""
    values = [call.setup] if call.setup else []
    values += [repr(each) for each in call.values]
    alone = recorded.text in _ALONE
    return Case(
        target=call.target,
        error=error,
        form=recorded.form,
        alone=alone,
        values=tuple(values) if error else (*values, recorded.text),
    )


def _in_tables(drafts: Sequence[Draft]) -> Iterator[str]:
    """Yield the tests, and where one has others like it, a table of them in place of the first."""
    groups: dict[tuple[object, ...], list[Draft]] = {}
    for each in drafts:
        groups.setdefault(each.case.table if each.case else (each.name,), []).append(each)
    used: set[str] = set()
    for group in groups.values():
        case = group[0].case
        if case is None or len(group) < 2 or not _fits(group):
            yield from (each.text for each in group)
            continue
        subject = f"test_{_subject(case.target)}{f'_raises_{_snake(case.error)}' if case.error else ''}"
        name = next(each for each in _numbered(subject) if each not in used)
        used.add(name)
        yield _table(name, [each.case for each in group if each.case is not None], group)


def _fits(group: Sequence[Draft]) -> bool:
    """Return whether the calls of a group are nothing but their values: none has arguments by name."""
    case = group[0].case
    return case is not None and len(_parameters(case, group)) == len(case.values)


def _parameters(case: Case, group: Sequence[Draft]) -> list[str]:
    """Return what the columns of a table are called: nothing that a test of it uses otherwise."""
    names = ([variable(case.target.owner)] if case.target.on_object else []) + list(case.target.parameters)
    names = names[: len(case.values) - (not case.error)]
    taken = {name for draft in group for _, name in draft.imports} | set(dir(builtins)) | {case.target.name, "expected"}
    return [f"{each}_" if each in taken else each for each in names] + ([] if case.error else ["expected"])


def _table(name: str, cases: Sequence[Case], group: Sequence[Draft]) -> str:
    case = cases[0]
    names = _parameters(case, group)
    arguments = names[bool(case.target.on_object) : len(names) - (not case.error)]
    call = case.target.called([Bare(each) for each in arguments])
    call = call.replace(IT, names[0]) if case.target.on_object else call
    lines = [", ".join(each.values) for each in cases]
    listed = "".join(f"        {each if len(names) == 1 else f'({each})'},\n" for each in lines)
    columns = repr(names[0]) if len(names) == 1 else repr(tuple(names))
    if case.error:
        body = f"    with pytest.raises({case.error}):\n        {call}\n"
    else:
        given = f"({call})" if _is_comparison(call) else call
        looked = given if case.form == "{}" else case.form.format(given)
        body = f"    assert {looked} {'is' if case.alone else '=='} expected\n"
    return f"@pytest.mark.parametrize(\n    {columns},\n    [\n{listed}    ],\n)\ndef {name}({', '.join(names)}):\n{body}"


def _stated(given: str, text: str) -> str:
    """Return what is asserted of an expression whose result has this text."""
    if _is_comparison(given) and text in ("True", "False"):
        if text == "True":
            return given
        negated = next(((old, new) for old, new in _NEGATED.items() if given.count(old) == 1), None)
        return given.replace(*negated) if negated else f"not {given}"
    if _is_comparison(given):
        return f"({given}) == {text}"
    return f"{given} is {text}" if text in _ALONE else f"{given} == {text}"


def _is_comparison(text: str) -> bool:
    return isinstance(ast.parse(text, mode="eval").body, ast.Compare)


def _is_plain(recorded: Recorded) -> bool:
    """Return whether a call is an expression of nothing but its target and its arguments, as all lines of a table are."""
    call = recorded.call
    return not (call.steps or recorded.view) and call.text == call.target.called(call.values) and _is_expression(call.text)


def _is_expression(text: str) -> bool:
    return isinstance(ast.parse(text).body[0], ast.Expr)


def _name(recorded: Recorded) -> str:
    """Return the name of a test: what is called, with what, and what comes of it."""
    call = recorded.call
    stem = f"test_{_subject(call.target)}"
    given = _slug(", ".join(map(repr, call.values)))
    of = f"_of_{given}" if call.values else ""
    if recorded.status == "raises":
        options = [
            f"{stem}_raises_{_snake(recorded.text)}_for_{given}" if of else "",
            f"{stem}_raises_{_snake(recorded.text)}",
        ]
    elif recorded.view and not call.setup:
        options = [f"{stem}{of}"]
    elif recorded.view:
        options = [f"{stem}{of}_changes_{_slug(recorded.view)}", f"{stem}_changes_it"]
    else:
        options = [f"{stem}{of}_is_{_slug(recorded.text)}", f"{stem}{of}" if of else ""]
    return next((each for each in options if each and len(each) <= _LONGEST_NAME), stem)


def _subject(target: Target) -> str:
    name = target.name.strip("_")
    if target.how == "constructor":
        return _snake(target.owner)
    return f"{_snake(target.owner)}_{name}" if target.owner else name


def _snake(name: str) -> str:
    return variable(name).removeprefix("made_")


def _slug(text: str) -> str:
    """Return a text as a part of a name."""
    text = text.replace(IT, "").replace("-", " minus ") or "empty"
    found = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_").lower()
    return found or "empty"


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _renamed(draft: Draft, name: str) -> Draft:
    return replace(draft, name=name, text=draft.text.replace(f"def {draft.name}(", f"def {name}(", 1))
