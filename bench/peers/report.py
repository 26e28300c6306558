"""From samples to a table: medians, ratios of rounds, shares of the machine, what is missed.

samples: {contender: [sample, ...]}, one a round, each with "value" and maybe shares. Contender
names begin with their engine's ("llama.cpp fa on"); of an engine's contenders the best one counts,
as a user would take it.
"""

import statistics

from bench.peers.cases import BEST, US, wanted_of
from bench.stats import paired_ratio


def values_of(samples):
    return [sample["value"] for sample in samples]


def engine_of(contender, engines):
    """The engine that a contender belongs to; itself when it is none's."""
    return next((engine for engine in engines if contender.split(" fa ")[0] == engine), contender)


def best_of(samples, names, case):
    """Of several contenders the one with the best median."""
    choose = min if case.is_less_better else max
    return choose(names, key=lambda name: statistics.median(values_of(samples[name])))


def ratio_to(samples, peer, case):
    """How many times better Inferno is, round by round; for times and sizes peer over Inferno."""
    ours, theirs = values_of(samples[US]), values_of(samples[peer])
    pairs = min(len(ours), len(theirs))
    if case.is_less_better:
        return paired_ratio(theirs[:pairs], ours[:pairs])
    return paired_ratio(ours[:pairs], theirs[:pairs])


def figures_of(samples):
    values = values_of(samples)
    figures = {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "samples": values,
    }
    for share in ("of_memory", "of_int8", "read_gb_per_s", "int8_gop_per_s"):
        seen = [sample[share] for sample in samples if share in sample]
        if seen:
            figures[share] = statistics.median(seen)
    return figures


def summarize(row, samples, absent, has_amx):
    """One row of results.json. `absent`: {engine: reason} of those that took no part."""
    result = {
        "name": row.name,
        "model": row.model,
        "kind": row.case.kind,
        "tokens": row.case.tokens,
        "depth": row.case.depth,
        "batch": row.case.batch,
        "unit": row.case.unit,
        "contenders": {name: figures_of(taken) for name, taken in samples.items() if taken},
        "ratios": {},
        "wanted": wanted_of(row, has_amx),
        "wanted_at_most": row.wanted_at_most,
        "absent": absent,
        "missed": [],
    }
    if US not in result["contenders"]:
        return result
    present = [name for name in result["contenders"] if name != US]
    groups = {}
    for name in present:
        groups.setdefault(engine_of(name, row.files), []).append(name)
    chosen = {engine: best_of(samples, names, row.case) for engine, names in groups.items()}
    for engine, name in chosen.items():
        ratio = ratio_to(samples, name, row.case)
        result["ratios"][engine] = {"contender": name, **ratio.as_json()}
    if chosen:
        best = best_of(samples, list(chosen.values()), row.case)
        result["best_peer"] = engine_of(best, row.files)
    result["missed"] = missed(row, result, has_amx)
    return result


def missed(row, result, has_amx):
    """Sentences on what is wanted and not reached. An absent peer is no miss: it is listed."""
    out = []
    for peer, wanted in result["wanted"].items():
        engine = result.get("best_peer") if peer == BEST else peer
        ratio = result["ratios"].get(engine)
        if ratio and ratio["median"] < wanted:
            out.append(f"{ratio['median']:.2f} times {engine}, wanted {wanted:g}")
    ours = result["contenders"][US]
    if row.wanted_at_most and ours["median"] > row.wanted_at_most:
        out.append(f"{ours['median']:.2f} {row.case.unit}, wanted at most {row.wanted_at_most:g}")
    memory = row.wanted_of_memory_with_amx if has_amx else None
    for share, wanted, what in (
        ("of_memory", memory or row.wanted_of_memory, "memory rate"),
        ("of_int8", row.wanted_of_int8, "int8 peak"),
    ):
        if wanted and share in ours and ours[share] < wanted:
            out.append(f"{100 * ours[share]:.0f} % of the {what}, wanted {100 * wanted:.0f} %")
    return out


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def describe(result):
    text = f"{result['kind']} {result['tokens']}"
    if result["depth"] and result["batch"] == 1:
        text += f" at depth {result['depth']}"
    if result["batch"] > 1:
        text += f", batch {result['batch']}"
    return text


def markdown(results):
    """The table as a page."""
    machine = results["machine"]
    lines = [
        "# Inferno and its peers",
        "",
        f"{machine['processor']}, {machine['threads']} threads of {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB; {', '.join(machine['instructions'])}. "
        f"Load at the start {machine['load']:.1f}; {results['rounds']} rounds, each side in turn.",
        "A ratio is the median over rounds of how many times better Inferno is, in brackets the "
        "least and the most. Shares are of the peaks that the same process measured around it.",
        "",
    ]
    lines += [f"- {name}: {version}" for name, version in results["versions"].items()]
    lines += [f"- {name}: not there: {why}" for name, why in results["absent"].items()]
    lines += [
        "",
        "| model | case | unit | contender | median (min to max) | Inferno over it | wanted | "
        "share |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results["rows"]:
        lines += rows_of(result)
    misses = [(r["name"], text) for r in results["rows"] for text in r["missed"]]
    if misses:
        lines += ["", "## Not reached", ""]
        lines += [f"- {name}: {text}" for name, text in misses]
    gaps = [(r["name"], e, why) for r in results["rows"] for e, why in r["absent"].items()]
    if gaps:
        lines += ["", "## Not measured", ""]
        lines += [f"- {name}: {engine}: {why}" for name, engine, why in gaps]
    return "\n".join(lines) + "\n"


def rows_of(result):
    head = f"| {result['model']} | {describe(result)} | {result['unit']} "
    for name, figures in result["contenders"].items():
        spread = (
            f"{number(figures['median'])} ({number(figures['min'])} to {number(figures['max'])})"
        )
        yield f"{head}| {name} | {spread} | {ratio_text(result, name)} | {share_text(figures)} |"
        head = "| | | "


def ratio_text(result, contender):
    """The ratio and what is wanted, two cells; empty for a contender that does not count."""
    if contender == US and result["wanted_at_most"]:
        return f"| at most {result['wanted_at_most']:g}"
    for engine, ratio in result["ratios"].items():
        if ratio["contender"] != contender:
            continue
        wanted = result["wanted"].get(engine)
        if wanted is None and engine == result.get("best_peer"):
            wanted = result["wanted"].get(BEST)
        text = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
        return f"{text} | {wanted if wanted is not None else ''}"
    return "| "


def share_text(figures):
    parts = []
    if "of_memory" in figures:
        parts.append(f"{100 * figures['of_memory']:.0f} % of {figures['read_gb_per_s']:.0f} GB/s")
    if "of_int8" in figures:
        parts.append(f"{100 * figures['of_int8']:.0f} % of {figures['int8_gop_per_s']:.0f} GOP/s")
    return "; ".join(parts)
