"""What the tests of a project call is heard, whatever else they call."""

from pathlib import Path

from steersman.core.ports import Progress
from steersman.packs.qe.fleet.site import open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.callables import modules_of
from steersman.packs.qe.tools.heard import Heard
from tests.unit.packs.qe.conftest import write

DOUBLE = "def double(x):\n    return 2 * x\n"


def test_the_same_text_in_another_file_is_another_function(tmp_path: Path, progress: Progress) -> None:
    """Code objects are equal where only their files differ."""
    test = "import calc\nimport helper\n\n\ndef test():\n    assert helper.double(1) == 2\n    assert calc.double(3) == 6\n"
    root = write(tmp_path / "p", {"calc.py": DOUBLE, "tests/helper.py": DOUBLE, "tests/test_calc.py": test})
    heard = Heard()
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=progress) as site:
        targets = [each for module in modules_of(site.sandbox) for each in module.targets]
        with heard.listening(site, targets):
            assert not site.suite.run(Plan(), timeout_s=60.0).failures
    (double,) = targets
    assert [each.values for each in heard.of(double)] == [(3,)]
