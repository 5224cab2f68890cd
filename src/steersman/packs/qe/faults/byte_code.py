"""Whether two texts are one program: the compiler makes the same byte code of both, positions apart.

Trivial Compiler Equivalence (Papadakis, Jia, Harman and Le Traon, ICSE 2015). It is a proof for the interpreter that
compiles, so this file stands alone (standard library only): as a script it runs in the project's own interpreter. It
reads a JSON list of [file, text, [[start, end, after], …]] and writes for each change "invalid", "equivalent" or "other".
All are invalid in a text that this interpreter cannot compile.
Code that reads its own text or its positions in it is beyond such a proof.
"""

import dis
import itertools
import json
import marshal
import sys
from types import CodeType
from typing import Any

_VARARGS, _VARKEYWORDS = 0x04, 0x08
UNFIT = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What is raised for a text that cannot be compiled: it is no Python, or nested too deeply."""
_EXACT = 2
"""This version of marshal writes the type and all bits of a constant, and nothing of where else it is used."""


def compiled(text: str, file: str) -> CodeType:
    """Return the code of a text. Raises one of `UNFIT` where that is impossible."""
    return compile(text, file, "exec", dont_inherit=True)


def same_program(one: CodeType, other: CodeType) -> bool:
    """Return whether two codes do the same, instruction by instruction; False where that is not certain."""
    if _outside(one) != _outside(other):
        return False
    if (one.co_code, one.co_names, one.co_varnames) == (other.co_code, other.co_names, other.co_varnames):
        constants = itertools.zip_longest(one.co_consts, other.co_consts)
        return all(_same_constant(a, b) for a, b in constants)  # what an instruction takes, it takes by the same number
    pairs = itertools.zip_longest(dis.get_instructions(one), dis.get_instructions(other))
    return all(a and b and _same_step(a, b) for a, b in pairs)


def _outside(code: CodeType) -> tuple[object, ...]:
    """Return what a code is, apart from its instructions; names of locals that no instruction uses are left out."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    text = code.co_consts[0] if code.co_consts and isinstance(code.co_consts[0], str) else None
    names = (code.co_name, getattr(code, "co_qualname", ""), code.co_varnames[:count], code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (*names, *counts, text, getattr(code, "co_exceptiontable", b""))


def _same_step(one: dis.Instruction, other: dis.Instruction) -> bool:
    if one.opname != other.opname:
        return False
    if one.opcode in dis.hasconst:
        return _same_constant(one.argval, other.argval)
    return bool(one.argval == other.argval and one.argrepr == other.argrepr)


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return one is other or same_program(one, other)
    try:
        return marshal.dumps(one, _EXACT) == marshal.dumps(other, _EXACT)
    except ValueError:  # what marshal cannot write
        return False


def told(file: str, text: str, changes: "list[tuple[int, int, str]]") -> "list[str]":
    """Return for each change of a text what the compiler says of it."""
    try:
        original = compiled(text, file)
    except UNFIT:
        return ["invalid"] * len(changes)
    found = []
    for start, end, after in changes:
        try:
            changed = compiled(text[:start] + after + text[end:], file)
        except UNFIT:
            found.append("invalid")
            continue
        found.append("equivalent" if same_program(original, changed) else "other")
    return found


def main() -> None:
    """Answer on stdout what stdin asks."""
    asked: list[Any] = json.load(sys.stdin)
    json.dump([told(*each) for each in asked], sys.stdout)


if __name__ == "__main__":
    main()
