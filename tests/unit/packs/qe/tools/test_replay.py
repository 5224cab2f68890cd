"""Functions of a project are called again in a copy of it, with what its tests gave them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.core.ports import Progress
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.incident_tests import load_test, regression_test, replay_test
from steersman.packs.qe.tools.replay import Call, find_targets, replay


@pytest.fixture
def site(shop: Path, progress: Progress) -> Iterator[Site]:
    """A copy of the shop."""
    with open_site(discover(shop), seed=1, timeout_s=30.0, progress=progress) as opened:
        yield opened


def test_calls_are_made_in_the_copy_and_its_log_has_the_real_traceback(site: Site) -> None:
    calls = [
        Call(name="shop.price", arguments="{'amount': 200, 'rate': 1}"),
        Call(name="shop.stock", arguments="{'items': 3}"),
    ]
    (good, bad), log = replay(site, calls, "locals")
    assert (good.value, good.literal, good.raised) == ("190", True, "")
    assert (bad.raised, bad.failures) == ("TypeError", 1)
    assert str(site.sandbox.root) in log
    assert "    items = 3" in log
    assert "replayed.py" not in log


def test_inputs_come_from_the_tests_and_a_file_that_touches_others_is_not_guessed_at(site: Site) -> None:
    sources = {"shop.py": site.sandbox.read("shop.py"), "cart.py": site.sandbox.read("cart.py")}
    found = {each.name: each for each in find_targets(site, sources)}
    assert found["shop.price"].tested
    assert "{'amount': 101, 'rate': 1}" in found["shop.price"].inputs
    assert found["cart.cart"].parameters == ("prices", "member")
    before = site.sandbox.read("shop.py")
    with site.changed({"shop.py": before + "\n\nimport os\n\n\ndef drop(path):\n    os.remove(path)\n"}):
        changed = {"shop.py": site.sandbox.read("shop.py")}
        assert "shop.drop" not in {each.name for each in find_targets(site, changed)}


def test_written_tests_are_valid_python() -> None:
    call = Call(name="shop.price", arguments="{'amount': 1}")
    for text in (replay_test(call, "a.log:1", "1"), load_test(call, "a.log:1"), regression_test("a.b", "c", [("{}", "1")])):
        compile(text, "test.py", "exec")
        assert "def test_" in text
