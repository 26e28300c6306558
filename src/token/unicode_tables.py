#!/usr/bin/env python3
"""Writes unicode_tables.cc and unicode_decompositions.cc from Python's Unicode Character Database.

Run it in this folder; the version of the database is that of the Python that runs it.
"""
import unicodedata

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def rows(items, width=100):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 1 > width:
            lines.append(line)
            line = "   "
        line += " " + item
    return "\n".join(lines + [line])


def ranges_of(predicate):
    ranges = []
    for code in ALL:
        if not predicate(code):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ranges


def category(code):
    return unicodedata.category(chr(code))


def lower_ranges():
    """Runs of characters, one or two apart, whose lower case is the same distance away."""
    runs = []
    for code in ALL:
        lower = chr(code).lower()
        if len(lower) != 1 or lower == chr(code):
            continue
        delta = ord(lower) - code
        if runs:
            first, last, step, d = runs[-1]
            gap = code - last
            if d == delta and gap <= 2 and (step == 0 or step == gap):
                runs[-1] = [first, code, gap, d]
                continue
        runs.append([code, code, 0, delta])
    return [[first, last, step or 1, delta] for first, last, step, delta in runs]


def class_ranges():
    runs = []
    for code in ALL:
        value = unicodedata.combining(chr(code))
        if value == 0:
            continue
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == value:
            runs[-1][1] = code
        else:
            runs.append([code, code, value])
    return runs


def decompositions():
    both, one_way = [], []
    for code in ALL:
        text = unicodedata.decomposition(chr(code))
        if not text or text.startswith("<"):
            continue
        parts = [int(part, 16) for part in text.split()] + [0]
        entry = "{0x%X, 0x%X, 0x%X}," % (code, parts[0], parts[1])
        composes = unicodedata.normalize("NFC", chr(code)) == chr(code)
        (both if composes else one_way).append(entry)
    return both, one_way


def array(kind, name, items):
    return "const std::array<%s, %d> %s = {{\n%s\n}};\n" % (kind, len(items), name, rows(items))


def write(path, about, arrays):
    with open(path, "w", encoding="ascii") as out:
        out.write("// %s, written by unicode_tables.py from Unicode " % about)
        out.write("%s.\n" % unicodedata.unidata_version)
        out.write('#include "token/unicode_tables.h"\n\nnamespace inferno::token {\n\n')
        out.write("// clang-format off\n")
        out.write("\n".join(arrays))
        out.write("// clang-format on\n\n}  // namespace inferno::token\n")


def pairs(ranges):
    return ["{0x%X, 0x%X}," % tuple(r) for r in ranges]


def main():
    other = lambda c: category(c) in ("Cc", "Cf", "Co")
    tables = {
        "kNonspacingMarks": pairs(ranges_of(lambda c: category(c) == "Mn")),
        "kPunctuation": pairs(ranges_of(lambda c: category(c)[0] == "P")),
        "kControls": pairs(ranges_of(other)),
    }
    lower = ["{0x%X, 0x%X, %d, %d}," % tuple(r) for r in lower_ranges()]
    classes = ["{0x%X, 0x%X, %d}," % tuple(r) for r in class_ranges()]
    both, one_way = decompositions()
    arrays = [array("CodeRange", name, items) for name, items in tables.items()]
    arrays.append(array("LowerRange", "kLowerCase", lower))
    arrays.append(array("ClassRange", "kCombiningClasses", classes))
    write("unicode_tables.cc", "Properties of characters", arrays)
    write("unicode_decompositions.cc", "Canonical decompositions",
          [array("Decomposition", "kCompositions", both),
           array("Decomposition", "kOneWay", one_way)])
    sizes = {n: len(i) for n, i in tables.items()}
    print(sizes, "kLowerCase", len(lower), "kCombiningClasses", len(classes),
          "kCompositions", len(both), "kOneWay", len(one_way))


main()
