"""Draws results.json: how many times better Inferno is than each peer, row by row.

    python plot.py results.json ratios.png

Runs in an environment that has matplotlib. Bars are medians over rounds, whiskers the least and
the most, short lines what is wanted.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLORS = ("#c1440e", "#3a6ea5", "#6b8e23", "#8a5a9e")
BAR = 0.26


def wanted_marks(row):
    """{engine: wanted ratio}, with that of the best peer at whichever is the best."""
    wanted = dict(row["wanted"])
    best = wanted.pop("best peer", None)
    if best is not None and row.get("best_peer"):
        wanted.setdefault(row["best_peer"], best)
    return wanted


def draw(results, path):
    rows = [row for row in results["rows"] if row["ratios"]]
    engines = list(dict.fromkeys(engine for row in rows for engine in row["ratios"]))
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.75 * max(1, len(rows))))
    most = 1.0
    for at, row in enumerate(rows):
        present = [engine for engine in engines if engine in row["ratios"]]
        for index, engine in enumerate(present):
            ratio = row["ratios"][engine]
            y = at + (index - (len(present) - 1) / 2) * BAR
            spread = [[ratio["median"] - ratio["min"]], [ratio["max"] - ratio["median"]]]
            axes.barh(y, ratio["median"], BAR * 0.9, color=COLORS[engines.index(engine) % 4],
                      xerr=spread, error_kw={"lw": 1, "capsize": 2})
            axes.text(ratio["max"] * 1.03, y, f"{ratio['median']:.2f}", va="center", fontsize=8)
            wanted = wanted_marks(row).get(engine)
            if wanted is not None:
                axes.plot([wanted, wanted], [y - BAR / 2, y + BAR / 2], color="black", lw=2)
            most = max(most, ratio["max"], wanted or 0)
    axes.axvline(1.0, color="gray", lw=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, most * 1.15)
    axes.set_xlabel("times better than the peer (black: wanted)")
    machine = results["machine"]
    axes.set_title(f"{machine['processor']}, {machine['threads']} threads", fontsize=10)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLORS[i % 4]) for i in range(len(engines))]
    if handles:
        axes.legend(handles, engines, loc="best", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    draw(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2])
