"""Artefacts: the same content is the same bytes, and bytes from an enemy are refused before they can do anything."""

import dataclasses
import io
import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, SteersmanError, StoreError
from steersman.core.settings import Settings
from steersman.core.state import Category, Flag, Number, StateSchema
from steersman.core.versions import address
from steersman.policies import artefact, tensors
from steersman.policies.artefact import Frozen, check_fits, freeze, pack, unpack
from steersman.policies.tabular import QTable
from steersman.testing.specs import small_agent

SPEC = small_agent()
SETTINGS = Settings().with_values({"learning": {"gamma": 0.0}}, "test")
MUTATIONS = 10_000


def _table(order: list[int], spec: AgentSpec = SPEC, estimators: int = 1) -> QTable:
    """Return a table of states that were met in an order; what is known of each depends on the state alone."""
    table = QTable(spec.actions, estimators=estimators, bounds=(-1.0, 1.0))
    for state in order:
        row = table.intern(f"{state:064x}", {"load": state % 4, "backlog": state % 3, "weekend": state % 2})
        table.value[row] = state / 100.0
        table.visits[row] = state
        table.td_variance[row] = state / 1_000.0
    return table


def _frozen(**changes: Any) -> Frozen:
    return dataclasses.replace(freeze(SPEC, SETTINGS, _table([3, 1, 2]), 0.125), **changes)


@given(st.permutations(range(12)), st.sampled_from([1, 2]))
def test_the_same_content_gives_the_same_bytes_in_whichever_order_it_was_learned(order: list[int], estimators: int) -> None:
    first = freeze(SPEC, SETTINGS, _table(order, estimators=estimators), 0.125)
    assert pack(first) == pack(freeze(SPEC, SETTINGS, _table(sorted(order), estimators=estimators), 0.125))


def test_the_bytes_are_the_same_on_any_machine_and_in_any_release() -> None:
    frozen = _frozen(settings={"learning": {"gamma": 0}})
    assert address(pack(frozen)) == "6749e6bb9871fb30b888b8bac40751a538ba8a513dee2bc38686898734d75486"


def test_what_was_packed_comes_back_to_the_bit() -> None:
    frozen, data = _frozen(), pack(_frozen())
    back = unpack(data, address(data))
    assert back.keys == (f"{1:064x}", f"{2:064x}", f"{3:064x}")
    assert back.bins.tolist() == [[1, 1, 1], [2, 2, 0], [3, 0, 1]]
    assert back.fields == {"load": (20.0, 50.0, 80.0), "backlog": (10.0, 100.0), "weekend": ()}
    assert back.settings == SETTINGS.plain()
    for field in dataclasses.fields(Frozen):
        assert np.array_equal(getattr(back, field.name), getattr(frozen, field.name)), field.name


@pytest.mark.parametrize("estimators", [1, 2])
def test_a_table_made_of_it_answers_as_the_one_that_was_frozen(estimators: int) -> None:
    learned = _table([3, 1, 2], estimators=estimators)
    data = pack(freeze(SPEC, SETTINGS, learned, 0.125))
    made = artefact.table(unpack(data, address(data)), SPEC.actions)
    for key, row in learned.rows.items():
        assert made.bins[key] == learned.bins[key]
        assert made.slot_values(made.rows[key]).tolist() == learned.slot_values(row).tolist()
        assert made.action_visits(made.rows[key]).tolist() == learned.action_visits(row).tolist()
        assert made.action_variances(made.rows[key], 1.0).tolist() == learned.action_variances(row, 1.0).tolist()
    made.value[0] = 0.5  # and is no view of bytes that must not change


def test_a_table_that_learned_nothing_can_be_frozen() -> None:
    data = pack(freeze(SPEC, SETTINGS, _table([]), 0.125))
    assert len(artefact.table(unpack(data, address(data)), SPEC.actions)) == 0


def test_what_is_learned_later_does_not_reach_what_was_frozen() -> None:
    table = _table([1])
    frozen = freeze(SPEC, SETTINGS, table, 0.125)
    table.value[:] = 0.875
    assert frozen.value.tolist() == [[0.01] * 4]


def test_values_without_bounds_come_back_without_bounds() -> None:
    data = pack(_frozen(bounds=(-np.inf, np.inf)))
    assert unpack(data, address(data)).bounds == (-np.inf, np.inf)


OTHER_SPACES = {
    "another choice": ActionSpace.flat("rest", "light", "steady", "hard"),
    "another order": ActionSpace.flat("light", "rest", "steady", "heavy"),
    "another dimension": ActionSpace({"work": ("rest", "light", "steady", "heavy")}),
}


@pytest.mark.parametrize("space", OTHER_SPACES.values(), ids=OTHER_SPACES)
def test_a_policy_for_other_actions_is_refused(space: ActionSpace) -> None:
    with pytest.raises(InvalidInput, match="the actions"):
        artefact.table(_frozen(), space)
    with pytest.raises(InvalidInput, match="the actions"):
        check_fits(_frozen(), dataclasses.replace(SPEC, actions=space, safe_action=space.actions[0], guards=()))
    assert artefact.actions_digest(space) != artefact.actions_digest(SPEC.actions)


LOAD, BACKLOG, WEEKEND = SPEC.state.fields
OTHER_STATES = {
    "small@2": StateSchema(name="small", version=2, fields=SPEC.state.fields),
    "keyed fields": StateSchema(name="small", fields=(LOAD, BACKLOG)),
    "20.0, 60.0": StateSchema(
        name="small", fields=(Number(name="load", low=0, high=100, edges=(20, 60, 80)), BACKLOG, WEEKEND)
    ),
    "'low'": StateSchema(name="small", fields=(Category(name="load", options=("low", "high")), BACKLOG, WEEKEND)),
}


@pytest.mark.parametrize(("difference", "state"), OTHER_STATES.items())
def test_a_policy_for_another_state_is_refused_and_the_difference_named(difference: str, state: StateSchema) -> None:
    with pytest.raises(InvalidInput, match=difference):
        check_fits(_frozen(), dataclasses.replace(SPEC, state=state))


def test_a_policy_of_another_agent_is_refused_and_its_own_is_not() -> None:
    check_fits(_frozen(), SPEC)
    with pytest.raises(InvalidInput, match=r"lab/small.*lab/other"):
        check_fits(_frozen(), dataclasses.replace(SPEC, name="lab/other"))


def test_bins_that_the_agent_does_not_have_are_refused() -> None:
    with pytest.raises(InvalidInput, match="weekend"):
        check_fits(_frozen(bins=np.array([[0, 0, 2]] * 3)), SPEC)


WRONG: dict[str, dict[str, Any]] = {
    "a value that is no number": {"value": np.full((3, 4), np.nan)},
    "an infinite variance": {"td_variance": np.full((3, 4), np.inf)},
    "a negative variance": {"td_variance": np.full((3, 4), -0.5)},
    "negative visits": {"visits": np.full((3, 4), -1)},
    "visits whose sum would overflow": {"visits": np.full((3, 4), 2**62)},
    "a value beyond the bounds": {"value": np.full((3, 4), 1.5)},
    "bounds without the initial value": {"initial_value": 2.0},
    "bounds the wrong way round": {"bounds": (1.0, -1.0)},
    "too few rows": {"value": np.zeros((2, 4))},
    "too many columns": {"visits": np.zeros((3, 5), dtype=np.int64)},
    "bins of too few fields": {"bins": np.zeros((3, 2), dtype=np.int64)},
    "negative bins": {"bins": np.full((3, 3), -1)},
    "a state twice": {"keys": ("a", "a", "b")},
    "states out of order": {"keys": ("b", "a", "c")},
    "no actions": {"actions": {}, "value": np.zeros((3, 0))},
    "a dimension without choices": {"actions": {"action": ()}},
    "an epsilon above 1": {"epsilon": 1.5},
    "an epsilon that is no number": {"epsilon": float("nan")},
    "an unknown setting": {"settings": {"learning": {"alhpa": 0.1}}},
    "a setting out of range": {"settings": {"learning": {"alpha": 7.0}}},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_no_table_can_hold_is_neither_packed_nor_unpacked(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput):
        pack(_frozen(**changes))
    with monkeypatch.context() as unchecked:
        unchecked.setattr(artefact, "_check", lambda frozen: None)
        try:
            data = pack(_frozen(**changes))
        except SteersmanError:  # not even an enemy could write this one with our own hand
            return
    with pytest.raises(InvalidInput):
        unpack(data, address(data))


class _Payload:
    """Unpickling this creates a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self._marker,)


def _archive(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr(name, content)
    return out.getvalue()


def _tar(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("../../evil")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _with_header(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def _rewritten(change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a good artefact whose header was changed."""
    data = pack(_frozen())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    return _with_header(json.dumps(header).encode(), data[8 + length :])


def _content(**changes: Any) -> bytes:
    """Return a good artefact of which the JSON says something else."""

    def change(header: dict[str, Any]) -> None:
        content = json.loads(header["__metadata__"]["steersman"]) | changes
        header["__metadata__"]["steersman"] = json.dumps(content)

    return _rewritten(change)


def _tensors(**changes: Any) -> bytes:
    good = _frozen()
    arrays = {name: getattr(good, name) for name in ("bins", "value", "visits", "td_variance")}
    arrays["keys"] = np.frombuffer(json.dumps(good.keys).encode(), dtype=np.uint8)
    text = json.loads(pack(good)[8 : 8 + int.from_bytes(pack(good)[:8], "little")])["__metadata__"]["steersman"]
    kept = {name: each for name, each in (arrays | changes).items() if each is not None}
    return save(kept, {"steersman": text})


def _set(name: str, key: str, value: Any) -> bytes:
    return _rewritten(lambda header: header[name].__setitem__(key, value))


def _corpus(marker: Path) -> dict[str, bytes]:
    """Return bytes that an enemy might put in the place of an artefact, by what they are."""
    good = pack(_frozen())
    evil = [pickle.dumps(_Payload(marker), protocol=each) for each in range(pickle.HIGHEST_PROTOCOL + 1)]
    npy = io.BytesIO()
    np.save(npy, np.array([_Payload(marker)], dtype=object), allow_pickle=True)
    npz = io.BytesIO()
    np.savez(npz, evil=np.array([_Payload(marker)], dtype=object))
    deep = "[" * 100_000 + "]" * 100_000
    return {
        **{f"pickle, protocol {number}": each for number, each in enumerate(evil)},
        "pickle behind a header": _with_header(b"{}", evil[-1]),
        "pickle as keys": _tensors(keys=np.frombuffer(evil[-1], dtype=np.uint8)),
        "npy of objects": npy.getvalue(),
        "npz of objects": npz.getvalue(),
        "torch archive": _archive("archive/data.pkl", evil[2]),
        "zip that leaves its folder": _archive("../../evil", evil[2]),
        "tar that leaves its folder": _tar(evil[2]),
        "torch of old": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + evil[2],
        "nothing": b"",
        "seven bytes": b"\0" * 7,
        "an empty header": _with_header(b""),
        "a header of nothing": _with_header(b"{}"),
        "a header beyond the file": _with_header(b"{}", length=2**20),
        "a header beyond all memory": _with_header(b"{}", length=2**64 - 1),
        "a header too large": _with_header(b"{" + b" " * 2**21 + b"}"),
        "a header nested deeply": _with_header(b'{"__metadata__":' + deep.encode() + b"}"),
        "a tensor nested deeply": _with_header(b'{"value":' + deep.encode() + b"}"),
        "a header that is no text": _with_header(b"{\xff\xfe}"),
        "offsets out of range": _set("visits", "data_offsets", [0, 2**40]),
        "offsets the wrong way round": _set("visits", "data_offsets", [96, 0]),
        "offsets that overlap": _set("visits", "data_offsets", [0, 96]),
        "negative offsets": _set("visits", "data_offsets", [-96, 0]),
        "a shape beyond all memory": _set("value", "shape", [2**31, 2**31]),
        "a shape that overflows": _set("value", "shape", [2**63, 2]),
        "a negative shape": _set("value", "shape", [-3, -4]),
        "an unknown type": _set("value", "dtype", "OBJECT"),
        "a type of another size": _set("value", "dtype", "F32"),
        "another type": _tensors(value=np.zeros((3, 4), dtype=np.int64)),
        "half floats": _tensors(value=np.zeros((3, 4), dtype=np.float16)),
        "no visits": _tensors(visits=None),
        "one array more": _tensors(more=np.zeros(3)),
        "no metadata": save({"value": np.zeros((3, 4))}),
        "not a number": _tensors(value=np.full((3, 4), np.nan)),
        "negative visits": _tensors(visits=np.full((3, 4), -1)),
        "keys nested deeply": _tensors(keys=np.frombuffer(deep.encode(), dtype=np.uint8)),
        "keys that are no text": _tensors(keys=np.frombuffer(b'["\xff"]', dtype=np.uint8)),
        "keys that are numbers": _tensors(keys=np.frombuffer(b"[1,2,3]", dtype=np.uint8)),
        "content nested deeply": _rewritten(lambda h: h["__metadata__"].__setitem__("steersman", '{"a":' + deep[:60_000])),
        "settings nested deeply": _content(settings={"learning": {"alpha": [[[[]]]]}}),
        "an unknown field": _content(code="import os"),
        "another format": _content(format=2),
        "a dimension twice": _content(actions=[["a", [1, 2]], ["a", [1, 2]]]),
        "more actions than atoms": _content(actions=[[f"d{each}", list(range(50))] for each in range(50)]),
        "more estimators than memory": _content(estimators=2**62),
        "a value of 1e999": _rewritten(
            lambda h: h["__metadata__"].__setitem__(
                "steersman", h["__metadata__"]["steersman"].replace('"initial_value":0.0', '"initial_value":1e999')
            )
        ),
        "an unknown setting": _content(settings={"learning": {"__class__": "os.system"}}),
        **{f"cut after {end}": good[:end] for end in range(0, len(good), 97)},
        "a byte too many": good + b"\0",
    }


WATCHED = """
import resource, sys
from pathlib import Path
from steersman.core.errors import SteersmanError
from steersman.core.versions import address
from steersman.policies.artefact import pack, table, unpack
from steersman.testing.specs import small_agent
import pickle, random, safetensors.numpy

folder, mutations, seen, watching = Path(sys.argv[1]), int(sys.argv[2]), [], False
QUIET = ("object.__getattr__", "object.__setattr__", "sys._getframe", "code.__new__")

def watch(event, args):
    if watching and event not in QUIET:
        seen.append((event, str(args)[:200]))

def attempt(data, name):
    global watching
    watching = True
    try:
        frozen = unpack(data, name)
    except SteersmanError:
        return None
    finally:
        watching = False
    return frozen

files = {each.name: each.read_bytes() for each in sorted(folder.glob("*.bytes"))}
good = (folder / "good").read_bytes()
attempt(b"", address(b"")), attempt(good, address(good))  # what is imported lazily is imported now
modules, before = set(sys.modules), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.addaudithook(watch)
taken = [name for name, data in files.items() for called in (address(data), address(good)) if attempt(data, called)]
rng, whole, space = random.Random(0), 0, small_agent().actions
for _ in range(mutations):
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        place = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        elif kind == 2:
            del data[place : place + rng.randrange(1, 9)]
        else:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
    data = bytes(data)
    if data == good:
        continue
    if attempt(data, address(good)):
        taken.append("a mutation under the name of the original")
    frozen = attempt(data, address(data))
    if frozen is not None:  # another policy, but one: it can be packed, and a table be made of it
        whole += 1
        pack(frozen)
events, seen, watching = seen, [], True
pickle.loads(pickle.dumps(Path))
watching = False
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(repr({
    "taken": taken, "events": events, "control": seen, "imported": sorted(set(sys.modules) - modules),
    "torch": "torch" in sys.modules,
    "grown": grown, "whole": whole, "files": len(files),
}))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of the corpus and of mutations, in a process of its own that an audit hook watches."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, data in _corpus(folder / "executed").items():
        (folder / f"{name}.bytes").write_bytes(data)
    (folder / "good").write_bytes(pack(_frozen()))
    command = [sys.executable, "-c", WATCHED, str(folder), str(MUTATIONS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2_000:]
    result: dict[str, Any] = eval(done.stdout)  # the repr that our own script printed
    return result | {"executed": (folder / "executed").exists()}


def test_the_payload_of_the_corpus_is_alive(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path / "executed")
    pickle.loads(corpus["pickle, protocol 2"])
    assert (tmp_path / "executed").exists()


def test_nothing_that_an_enemy_sends_is_executed(hostile: dict[str, Any]) -> None:
    assert not hostile["executed"]
    assert hostile["events"] == []  # no file opened, nothing imported, compiled, unpickled or started
    assert any(event == "pickle.find_class" for event, _ in hostile["control"])  # what is looked for would be seen
    assert hostile["imported"] == []
    assert not hostile["torch"]


def test_everything_hostile_is_refused_with_one_of_our_errors_also_under_its_own_hash(hostile: dict[str, Any]) -> None:
    assert hostile["taken"] == []
    assert hostile["files"] > 75
    assert hostile["whole"] > 100  # mutations of values reach to the end


def test_memory_stays_within_a_few_times_the_bytes_given(hostile: dict[str, Any]) -> None:
    assert hostile["grown"] < 64_000, "kilobytes"


def test_the_hash_is_checked_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(tensors, "_parsed", lambda data, name: parsed.append(data))
    data = pack(_frozen())
    with pytest.raises(StoreError, match="was changed"):
        unpack(data, address(data + b"\0"))
    assert parsed == []


def test_a_flag_and_an_option_have_marks_of_their_own() -> None:
    schema = StateSchema(name="s", fields=(Flag(name="f"), Category(name="c", options=("x", "y"))))
    assert artefact.marks(schema) == {"f": (), "c": ("x", "y")}
