"""Medians, ratios of pairs and how sure they are.

A machine that others use drifts by tens of per cent within minutes. So two sides are measured in
turn, each round gives one ratio, and the median of these ratios is what is said, with an interval
that makes no assumption on how the noise is distributed: order statistics of the ratios.
"""

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Where the true median lies, with the probability that it does."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Ratio:
    """The median of `count` paired ratios, its interval, and the least and the most of them."""

    median: float
    interval: Interval
    least: float
    most: float
    count: int

    def as_json(self):
        return {
            "median": self.median,
            "low": self.interval.low,
            "high": self.interval.high,
            "confidence": self.interval.confidence,
            "min": self.least,
            "max": self.most,
            "pairs": self.count,
        }


def coverage(count, trimmed):
    """Probability that the median lies between the (trimmed+1)th least and most of `count` values.

    Each value is below the median with probability 1/2, independently: the binomial distribution.
    """
    outside = sum(math.comb(count, k) for k in range(trimmed + 1)) / 2**count
    return max(0.0, 1.0 - 2.0 * outside)


def median_interval(values, confidence=0.95):
    """The narrowest symmetric order-statistics interval of at least `confidence`.

    Few values cannot reach it: then the least and the most, with the confidence that these have
    (5 values: 93.75 %).
    """
    if not values:
        raise ValueError("no values to take an interval of")
    ordered = sorted(values)
    trimmed = 0
    while 2 * (trimmed + 1) < len(ordered) and coverage(len(ordered), trimmed + 1) >= confidence:
        trimmed += 1
    return Interval(ordered[trimmed], ordered[-1 - trimmed], coverage(len(ordered), trimmed))


def paired_ratio(numerators, denominators, confidence=0.95):
    """Ratio of two equally long lists, pair by pair; ValueError when there is nothing to divide."""
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} values against {len(denominators)}")
    if any(value <= 0 for value in denominators):
        raise ValueError("a ratio to nothing")
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    interval = median_interval(ratios, confidence)
    return Ratio(statistics.median(ratios), interval, min(ratios), max(ratios), len(ratios))


def turned(items, number):
    """The items in round `number`'s order: each round begins one further."""
    items = list(items)
    start = number % len(items) if items else 0
    return items[start:] + items[:start]
