"""Which files of a project are risky, by four analyses: linters, mutants, debt, and how files became what they are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.tools.churn import churn, past_commit, text_at
from steersman.packs.qe.tools.complexity import functions, maintainability
from steersman.packs.qe.tools.duplicates import Duplicate, duplicates
from steersman.packs.qe.tools.smells import dead_code, smells
from steersman.packs.qe.tools.survey import draw, possible, survey

_BEST = 100.0
_BACK = 50
_TRIED_FILES, _TRIED_EACH = 8, 1
_MOST_FINDINGS = 10
_MOST_COMPARED = 200


@dataclass(frozen=True, kw_only=True)
class Risk:
    """How risky files are, in a unit of the analysis' own, and why in words; what it took in CPU seconds.

    maintainability: radon's index, mean of the files, 0–100. smells: how many ruff found. change: of the index, since.
    tried: the mutants that it has seen, by which it must not be judged.
    """

    scores: Mapping[str, float]
    reasons: Mapping[str, str]
    cpu_s: float = 0.0
    findings: tuple[Finding, ...] = ()
    maintainability: float = _BEST
    smells: int = 0
    change: float = 0.0
    tried: frozenset[Fault] = frozenset()

    @property
    def flagged(self) -> set[str]:
        """The files that are at least as risky as the mean, and not without any risk."""
        mean = sum(self.scores.values()) / max(len(self.scores), 1)
        return {file for file, score in self.scores.items() if score > 0.0 and score >= mean}


def static_only(site: Site) -> Risk:
    """Flag by ruff's smells and radon's maintainability."""
    index = maintainability(site.sandbox.root, site.project.sources, site.sandbox.scratch, site.timeout_s)
    scan = smells(site.sandbox.root, site.project.sources, site.sandbox.scratch, site.timeout_s)
    count = Counter(each.file for each in scan.findings)
    lost = {file: _BEST - index.of.get(file, 0.0) for file in site.project.sources}
    return Risk(
        scores=_mean([lost, {file: float(count[file]) for file in lost}]),
        reasons={file: f"maintainability {_BEST - lost[file]:.0f}, {count[file]} smells" for file in lost},
        cpu_s=index.cpu_s + scan.cpu_s,
        findings=tuple(each for each in scan.findings if each.severity == "medium")[:_MOST_FINDINGS],
        maintainability=sum(index.of.values()) / max(len(index.of), 1),
        smells=len(scan.findings),
    )


def add_mutation(site: Site) -> Risk:
    """Flag files in which a mutant survives, of a sample that is this analysis' own; it tries the largest files first."""
    every = possible(site)
    files = sorted(every, key=lambda file: -len(every[file]))[:_TRIED_FILES]
    made = survey(site, [each for file in files for each in draw(site, every[file], _TRIED_EACH)])
    count = Counter(each.file for each in made.survivors)
    return Risk(
        scores={file: float(count[file]) for file in files},
        reasons={file: f"{count[file]} seeded faults survive the tests" for file in files},
        cpu_s=made.cpu_s,
        tried=frozenset(made.fates),
        findings=tuple(
            Finding(
                tool="mutants",
                rule="survivor",
                severity="low",
                file=each.file,
                line=each.line,
                message=f"no test fails for {each.before!r} → {each.after!r}",
                confirmed=True,
            )
            for each in made.survivors[:_MOST_FINDINGS]
        ),
    )


def deep_debt(site: Site) -> Risk:
    """Flag by what linters say, and by dead code, lines that stand twice, and functions that are hard to follow."""
    static = static_only(site)
    texts = {file: site.sandbox.read(file) for file in site.project.sources}
    everything = (*site.project.sources, *site.project.tests)
    unused = dead_code(site.sandbox.root, everything, site.sandbox.scratch, site.timeout_s)
    dead = tuple(each for each in unused.findings if each.file in texts)
    twice = duplicates(texts)
    unused_of = Counter(each.file for each in dead)
    lines_of = {file: sum(each.last - each.first + 1 for each in twice if each.file == file) for file in texts}
    hard_of = {file: sum(each.cognitive for each in functions(file, text)) for file, text in texts.items()}
    debts = ({file: float(unused_of[file]) for file in texts}, _floats(lines_of), _floats(hard_of))
    return Risk(
        scores=_mean([static.scores, *debts]),
        reasons={
            file: f"{static.reasons[file]}, "
            f"{unused_of[file]} unused, {lines_of[file]} lines twice, complexity {hard_of[file]}"
            for file in texts
        },
        cpu_s=static.cpu_s + unused.cpu_s,
        findings=(*static.findings, *dead[:_MOST_FINDINGS], *_repeated(twice)),
        maintainability=static.maintainability,
        smells=static.smells,
    )


def trend_report(site: Site) -> Risk:
    """Flag files that changed most and became less maintainable over the last 50 commits."""
    sources, root = site.project.sources, site.sandbox.root
    commit = past_commit(site.project.root, _BACK, site.timeout_s)
    changes = churn(site.project.root, site.timeout_s)
    moved = sorted((file for file in sources if changes.get(file)), key=lambda file: -changes[file])[:_MOST_COMPARED]
    old = {file: text for file in moved if (text := text_at(site.project.root, commit, file, site.timeout_s))}
    past = site.sandbox.scratch / "past"
    for file, text in old.items():
        (past / file).parent.mkdir(parents=True, exist_ok=True)
        (past / file).write_text(text, encoding="utf-8")
    now = maintainability(root, sources, site.sandbox.scratch, site.timeout_s)
    then = maintainability(past, [*old], site.sandbox.scratch, site.timeout_s) if old else now
    lost = {file: max(then.of.get(file, 0.0) - now.of.get(file, 0.0), 0.0) for file in sources}
    both = [file for file in now.of if file in then.of]
    return Risk(
        scores=_mean([lost, {file: float(changes.get(file, 0)) for file in sources}]),
        reasons={file: f"{changes.get(file, 0)} commits, maintainability fell by {lost[file]:.0f}" for file in sources},
        cpu_s=now.cpu_s + (then.cpu_s if old else 0.0),
        maintainability=sum(now.of.values()) / max(len(now.of), 1),
        change=sum(now.of[file] - then.of[file] for file in both) / max(len(both), 1),
    )


def _repeated(twice: tuple[Duplicate, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            tool="duplicates",
            rule="duplicate",
            severity="low",
            file=each.file,
            line=each.first,
            message=f"lines {each.first}–{each.last} stand at {each.other}:{each.other_first} as well",
            confirmed=True,
        )
        for each in twice[:_MOST_FINDINGS]
    )


def _floats(counts: Mapping[str, int]) -> dict[str, float]:
    return {file: float(count) for file, count in counts.items()}


def _mean(parts: list[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of what several measures say of each file, each scaled to its highest."""
    tops = [max(each.values(), default=0.0) or 1.0 for each in parts]
    return {file: sum(each[file] / top for each, top in zip(parts, tops, strict=True)) / len(parts) for file in parts[0]}
