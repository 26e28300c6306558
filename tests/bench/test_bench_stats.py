"""bench/stats.py: what is said of pairs of measurements."""

import random

import pytest
from bench.stats import coverage, median_interval, paired_ratio, turned


def test_the_interval_of_few_values_is_all_of_them_and_says_how_sure_that_is():
    interval = median_interval([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (interval.low, interval.high) == (1.0, 5.0)
    assert interval.confidence == pytest.approx(0.9375)


def test_more_values_leave_the_outliers_out():
    interval = median_interval([*range(1, 20), 1000])
    assert (interval.low, interval.high) == (6, 15)
    assert interval.confidence >= 0.95


def test_one_value_gives_no_confidence():
    interval = median_interval([7.0])
    assert (interval.low, interval.high, interval.confidence) == (7.0, 7.0, 0.0)


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    rng = random.Random(5)
    hits = 0
    for _ in range(2000):
        interval = median_interval([rng.lognormvariate(0, 1) for _ in range(9)])
        hits += interval.low <= 1.0 <= interval.high
    said = median_interval(list(range(9))).confidence
    assert abs(hits / 2000 - said) < 0.02


def test_coverage_follows_the_binomial_distribution():
    assert coverage(8, 0) == pytest.approx(1 - 2 / 256)
    assert coverage(8, 1) == pytest.approx(1 - 2 * 9 / 256)
    assert coverage(2, 1) == 0.0


def test_a_drift_that_both_sides_share_leaves_the_ratio_alone():
    drift = [1.0, 0.5, 0.25, 2.0]
    ratio = paired_ratio([30 * d for d in drift], [10 * d for d in drift])
    assert ratio.median == pytest.approx(3.0)
    assert ratio.least == pytest.approx(ratio.most)
    assert ratio.count == 4


@pytest.mark.parametrize("sides", [([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([], [])])
def test_a_ratio_without_pairs_or_to_nothing_is_refused(sides):
    with pytest.raises(ValueError):
        paired_ratio(*sides)


def test_each_round_begins_with_another_side():
    assert [turned("abc", number) for number in range(4)] == [
        ["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
    assert turned([], 3) == []
