"""A draw belongs to its key and counter, whoever asks and in whatever order."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.errors import InvalidInput
from steersman.maths.randomness import Draws, key_for, uniforms

KEY = (2**64 - 1, 7)
KNOWN_KEY = (6936181748279572185, 8887171819536469979)
KNOWN_UNIFORMS = [0.6527702009682942, 0.11067824353160172, 0.732343633271771, 0.6335850030068766]


def test_the_numbers_never_change_between_releases() -> None:
    assert key_for(0, "qe/test-executor") == KNOWN_KEY
    assert uniforms((1, 2), 3).tolist() == KNOWN_UNIFORMS


@given(st.integers(0, 2**64), st.integers(1, 40))
def test_draws_give_what_uniforms_give_from_any_counter_on(counter: int, count: int) -> None:
    draws = Draws(KEY, counter)
    for expected in range(counter, counter + count):
        drawn, block = draws.next()
        assert drawn == expected
        assert block.tolist() == uniforms(KEY, expected).tolist()
    assert draws.counter == counter + count


def test_blocks_do_not_share_memory() -> None:
    draws = Draws(KEY)
    _, first = draws.next()
    kept = first.copy()
    draws.next()
    assert first.tolist() == kept.tolist()


def test_fewer_uniforms_are_the_first_of_the_block_and_more_run_on() -> None:
    block = uniforms(KEY, 5)
    assert block.shape == (4,)
    assert uniforms(KEY, 5, 2).tolist() == block[:2].tolist()
    assert uniforms(KEY, 5, 6)[4:].tolist() == uniforms(KEY, 6)[:2].tolist()


def test_keys_and_counters_give_different_numbers() -> None:
    blocks = {tuple(uniforms(key, counter).tolist()) for key in ((0, 0), (0, 1), (1, 0)) for counter in range(50)}
    assert len(blocks) == 150


def test_the_numbers_are_uniform() -> None:
    draws = Draws(KEY)
    numbers = np.concatenate([draws.next()[1] for _ in range(5000)])
    assert 0.0 <= numbers.min() <= numbers.max() < 1.0
    counts = np.bincount((numbers * 20).astype(np.intp), minlength=20)
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 43.8  # χ² with 19 degrees of freedom, 0.1 %


def test_a_key_is_the_same_in_every_process() -> None:
    code = "from steersman.maths.randomness import key_for; print(key_for(-3, 'naïve'))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(key_for(-3, "naïve"))


def test_seed_and_name_both_enter_the_key() -> None:
    assert len({key_for(1, "a"), key_for(2, "a"), key_for(1, "b"), key_for(11, ""), key_for(1, "1")}) == 5


@pytest.mark.parametrize(("key", "counter"), [((0, 0), -1), ((-1, 0), 0), ((0, 2**64), 0)])
def test_what_does_not_fit_is_refused(key: tuple[int, int], counter: int) -> None:
    with pytest.raises(InvalidInput, match="counter"):
        uniforms(key, counter)
    with pytest.raises(InvalidInput, match="counter"):
        Draws(key, counter)
