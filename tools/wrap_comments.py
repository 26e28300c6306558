#!/usr/bin/env python3
"""Wraps // comments that are wider than 100 columns, in place; ./dev format runs it.

clang-format does not touch comments here, because it would run the lines of pictures and tables
together. This moves only what is too wide: the end of such a line goes before the next line when
that is prose of the same paragraph, else onto a line of its own. After a label (`Threads: `) the
text hangs under its first word.

usage: wrap_comments.py FILE...
"""

import re
import sys
from pathlib import Path

MAX_COLUMNS = 100
COMMENT = re.compile(r"^(\s*)//( +)(\S.*)$")
LABEL = re.compile(r"[A-Z][a-z]+: +")
# Columns, arrows, lists, labels, formulas and code: lines that must stay as they are.
NOT_PROSE = re.compile(r"\S {2,}\S|-->|<--|\|\s|^\d\.|^- |^[A-Z][a-z]+:|^[a-z]+ =|;$|\($")


def wrap(text):
    """The text with every wide comment line wrapped."""
    lines, out, index = text.split("\n"), [], 0
    while index < len(lines):
        line = lines[index]
        index += 1
        comment = COMMENT.match(line)
        cut = line.rfind(" ", 0, MAX_COLUMNS + 1)
        if len(line) <= MAX_COLUMNS or not comment or cut <= comment.start(3):
            out.append(line)
            continue
        indent, gap, body = comment.groups()
        label = LABEL.match(body)
        gap += " " * len(label.group(0)) if label else ""
        out.append(line[:cut].rstrip())
        rest = line[cut + 1:]
        following = COMMENT.match(lines[index]) if index < len(lines) else None
        if (following and following.group(1, 2) == (indent, gap)
                and not NOT_PROSE.search(following.group(3))):
            lines[index] = f"{indent}//{gap}{rest} {following.group(3)}"
        else:
            lines.insert(index, f"{indent}//{gap}{rest}")
    return "\n".join(out)


def main():
    for name in sys.argv[1:]:
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        wrapped = wrap(text)
        if wrapped != text:
            path.write_text(wrapped, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
