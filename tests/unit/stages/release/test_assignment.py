"""Assignment of subjects to the arms of a trial."""

from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steersman.stages.release.assignment import place, to_challenger


def test_a_place_is_what_hmac_says() -> None:
    """The first 64 bits of HMAC-SHA256, as computed once with another implementation (openssl dgst -hmac)."""
    assert place("key", "The quick brown fox jumps over the lazy dog") == 0xF7BC83F430538424 / 2**64


def test_places_are_even_and_trials_independent() -> None:
    """Kolmogorov and Smirnov find 20,000 places even, and places in two trials are not correlated."""
    first = [place("trial-1", f"subject-{number}") for number in range(20_000)]
    second = [place("trial-2", f"subject-{number}") for number in range(20_000)]
    assert stats.kstest(first, "uniform").pvalue > 0.001
    assert abs(stats.pearsonr(first, second).statistic) < 0.03  # 4 standard errors


@given(st.text(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_as_the_share_grows_nobody_is_taken_back(release: str, subject: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert to_challenger(release, subject, high) >= to_challenger(release, subject, low)
    assert to_challenger(release, subject, 0.0) is False
