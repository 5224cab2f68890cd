"""The log is the truth: what is remembered is the same by the checkpoint and from the runs, and damage costs only time."""

from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.plugins.memory import Memory, load, remembered
from steersman.plugins.order import SHARES, arranged
from steersman.plugins.runs import FAILED, PASSED, RunFolder
from tests.unit.plugins.conftest import Keep

NAMES = [f"t.py::test_{place}" for place in range(8)]


def verdicts(*failing: int) -> dict[str, str]:
    return {name: FAILED if place in failing else PASSED for place, name in enumerate(NAMES)}


def checkpoint(folder: RunFolder) -> Path:
    return folder.cache / "checkpoint-1.npz"


def recalled(folder: RunFolder, *, told: int = 0) -> Memory:
    lines: list[str] = []
    memory = remembered(folder, 1.0, lines.append)
    assert len(lines) == told, lines
    return memory


def alike(one: Memory, other: Memory) -> bool:
    same = arranged(one.learner, NAMES).tolist() == arranged(other.learner, NAMES).tolist()
    fields = ("held", "curves", "by_sources", "flaky", "failing", "changes", "broke", "commit", "damaged")
    return same and all(getattr(one, field) == getattr(other, field) for field in fields)


def some_runs(keep: Keep) -> None:
    for cycle in range(6):
        changed = [f"{cycle % 2}.py"]
        keep(verdicts(cycle % 3), commit=f"c{cycle}", sources=f"s{cycle // 2}", changed=changed, reruns=cycle % 2)


def test_what_is_remembered_is_the_same_by_checkpoint_and_from_the_runs(folder: RunFolder, keep: Keep) -> None:
    for cycle in range(5):
        keep(verdicts(cycle % 3), commit=f"c{cycle}", sources=f"s{cycle // 2}", changed=["a.py"])
        recalled(folder)
    before = checkpoint(folder).stat().st_mtime_ns
    by_checkpoint = recalled(folder)
    assert checkpoint(folder).stat().st_mtime_ns == before, "nothing new, so nothing is written"
    checkpoint(folder).unlink()
    assert alike(by_checkpoint, recalled(folder))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", b"\x00" * 5000, b"\x80\x04K\x01."])
def test_a_damaged_checkpoint_is_told_and_made_again(folder: RunFolder, keep: Keep, damage: bytes) -> None:
    some_runs(keep)
    before = recalled(folder)
    checkpoint(folder).write_bytes(damage)
    with pytest.raises(InvalidInput, match="damaged"):
        load(checkpoint(folder), 1.0)
    assert alike(before, recalled(folder, told=1))
    assert alike(before, recalled(folder))


def test_a_bit_that_flipped_in_a_checkpoint_is_noticed(folder: RunFolder, keep: Keep) -> None:
    some_runs(keep)
    before = recalled(folder)
    whole = bytearray(checkpoint(folder).read_bytes())
    whole[len(whole) // 2] ^= 1
    checkpoint(folder).write_bytes(whole)
    assert alike(before, recalled(folder, told=1))


def test_an_array_of_objects_in_a_checkpoint_is_never_unpickled(folder: RunFolder, keep: Keep) -> None:
    some_runs(keep)
    recalled(folder)
    with checkpoint(folder).open("wb") as stream:
        np.savez(stream, memory=np.array([object()], dtype=object))
    with pytest.raises(InvalidInput, match="allow_pickle=False"):
        load(checkpoint(folder), 1.0)


def test_runs_that_came_late_from_another_machine_are_put_where_they_belong(folder: RunFolder, keep: Keep) -> None:
    for number in (10, 30):
        keep(verdicts(number // 10), number=number)
    recalled(folder)
    keep(verdicts(2), number=20)
    late = recalled(folder)
    checkpoint(folder).unlink()
    assert alike(late, recalled(folder))
    assert late.learner.past.cycle == 3


def test_a_run_that_changed_or_went_is_no_longer_remembered(folder: RunFolder, keep: Keep) -> None:
    runs = [keep(verdicts(0), number=number) for number in (1, 2, 3)]
    recalled(folder)
    (folder.folder / f"{runs[1]}.jsonl").unlink()
    assert recalled(folder).learner.past.cycle == 2


def test_runs_that_were_pruned_stay_remembered(folder: RunFolder, keep: Keep) -> None:
    for number in (1, 2, 3):
        keep(verdicts(0), number=number)
    recalled(folder)
    folder.prune(1)
    keep(verdicts(0), number=4)
    assert recalled(folder).learner.past.cycle == 4


def test_a_run_that_cannot_be_read_is_told_and_left_out(folder: RunFolder, keep: Keep) -> None:
    some_runs(keep)
    run = [*folder.sizes()][2]
    (folder.folder / f"{run}.jsonl").write_bytes(b"\x00\x01")
    assert recalled(folder, told=1).learner.past.cycle == 5
    assert recalled(folder, told=1).damaged == [run]


def test_each_budget_has_a_learner_of_its_own(folder: RunFolder, keep: Keep) -> None:
    some_runs(keep)
    recalled(folder)
    assert remembered(folder, 0.4, print).learner.budget == 0.4
    assert {each.name for each in folder.cache.glob("*.npz")} == {"checkpoint-1.npz", "checkpoint-0.4.npz"}


def test_the_curve_is_from_the_past_only(folder: RunFolder, keep: Keep) -> None:
    """Counted by hand; each test takes a second.

    The first run had no past, so it is left out. In the second, test 0 was known to fail and comes first: shown after 1 s
    of 8 s. In the third, test 0 comes first again, and passes; test 7 never failed and stands in its file, where the
    others keep their order: shown after 8 s of 8 s.
    """
    keep(verdicts(0))
    assert recalled(folder).curve() == []
    keep(verdicts(0))
    first = dict(zip(SHARES, recalled(folder).curve(), strict=True))
    assert (first[0.1], first[0.15], first[1.0]) == (0.0, 1.0, 1.0)
    keep(verdicts(7))
    found = dict(zip(SHARES, recalled(folder).curve(), strict=True))
    assert (found[0.1], found[0.15], found[0.95], found[1.0]) == (0.0, 0.5, 0.5, 1.0)


def test_a_run_that_broke_off_or_was_narrowed_says_nothing_of_confidence(folder: RunFolder, keep: Keep) -> None:
    for _ in range(3):
        keep(verdicts(0), whole=False)
    assert recalled(folder).curve() == []


def test_a_test_with_two_verdicts_of_the_same_sources_is_flaky(folder: RunFolder, keep: Keep) -> None:
    keep(verdicts(), sources="s")
    keep(verdicts(2), sources="other")
    keep(verdicts(3), sources="s")
    keep(verdicts(4))
    keep(verdicts(5))
    found = recalled(folder).flaky_lately()
    assert list(found) == [NAMES[3]]
    assert (found[NAMES[3]].both, found[NAMES[3]].reran) == (1, 0)


def test_a_test_that_passed_when_run_again_is_flaky_for_a_while(folder: RunFolder, keep: Keep) -> None:
    keep({NAMES[0]: PASSED, NAMES[1]: FAILED}, reruns=1)
    assert list(recalled(folder).flaky_lately()) == [NAMES[0]]
    for _ in range(30):
        keep(verdicts())
    assert list(recalled(folder).flaky_lately()) == [NAMES[0]]
    keep(verdicts())
    assert list(recalled(folder).flaky_lately()) == []


def test_a_file_is_known_by_the_tests_that_began_to_fail_with_it(folder: RunFolder, keep: Keep) -> None:
    keep(verdicts(1), changed=[])
    keep(verdicts(1, 2), changed=["a.py"])
    memory = recalled(folder)
    assert memory.broken_by("a.py") == {NAMES[2]}, "test 1 failed before"
    assert memory.broken_by("b.py") == frozenset()
    for _ in range(10):
        keep(verdicts(), changed=["a.py"])
    assert recalled(folder).broken_by("a.py") == frozenset(), "once in eleven changes is not often"


def test_a_folder_that_cannot_be_written_is_told_and_remembered_all_the_same(folder: RunFolder, keep: Keep) -> None:
    some_runs(keep)
    lines: list[str] = []
    store = RunFolder(folder.folder)
    store.cache = folder.folder / f"{next(iter(folder.sizes()))}.jsonl" / "below a file"
    assert remembered(store, 1.0, lines.append).learner.past.cycle == 6
    assert ["no checkpoint could be kept" in line for line in lines] == [True]
