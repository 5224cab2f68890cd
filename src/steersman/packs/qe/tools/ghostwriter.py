"""What Hypothesis's own ghostwriter makes of functions: tests that they take what their annotations say without an error.

It is `hypothesis write` (hypothesis.extra.ghostwriter). It needs `hypothesis[cli]` and
black in the project's interpreter; without them there are just no such drafts.
"""

import ast
from collections.abc import Iterator, Sequence

from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.tools.functions import Target
from steersman.packs.qe.tools.test_writing import Draft

_KNOWN = frozenset({"given", "st"})
_LIMIT_S = 30.0
_COMMAND = "import sys; from hypothesis.extra.cli import main; sys.exit(main())"
_SETTINGS = "@settings(deadline=None, max_examples=50, database=None)"


def ghostwritten(site: Site, targets: Sequence[Target]) -> tuple[list[Draft], float]:
    """Return drafts for functions of one module, and the processor's seconds; none where the ghostwriter does not work."""
    if not targets:
        return [], 0.0
    names = [f"{each.module}.{each.name}" for each in targets]
    finished = run_group(
        [site.project.tools.interpreter, "-c", _COMMAND, "write", "--style", "pytest", *names],
        cwd=site.sandbox.root,
        env=site.sandbox.environment() | {"HYPOTHESIS_STORAGE_DIRECTORY": str(site.sandbox.scratch / "hypothesis")},
        timeout_s=min(site.timeout_s, _LIMIT_S),
        log=site.sandbox.scratch / "ghostwriter.log",
    )
    text = (site.sandbox.scratch / "ghostwriter.log").read_text(encoding="utf-8", errors="replace")
    return (list(drafts_of(text, targets[0].module)) if finished.exit_code == 0 else []), finished.cpu_s


def drafts_of(text: str, module: str) -> Iterator[Draft]:
    """Yield the tests in a ghostwritten file that use nothing but Hypothesis and the module; others are left out."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            needed = {each.id for above in node.decorator_list for each in ast.walk(above) if isinstance(each, ast.Name)}
            if needed <= _KNOWN:
                for each in node.args.args:
                    each.annotation = None
                node.body.insert(0, ast.Import(names=[ast.alias(name=module)]))
                written = ast.unparse(ast.fix_missing_locations(node))
                imports = frozenset({("hypothesis", "given"), ("hypothesis", "settings")})
                yield Draft(name=node.name, text=f"{_SETTINGS}\n{written}\n", imports=imports)
