#!/usr/bin/env python3
"""Checks that every symbol of a kernel object lies in the namespace of its instruction set.

The sources in src/kernel/isa/ are compiled once per instruction set. Were an inline function (say
std::max<float>) emitted in two such objects, the linker would keep one of them, maybe the one made
of instructions that the machine at hand does not have. So each object may define, for other objects
to see, only symbols of inferno::kernel::ISA.

usage: check_kernel_symbols.py BUILD_FOLDER
"""

import re
import subprocess
import sys
from pathlib import Path

OBJECT_FOLDER = re.compile(r"inferno_kernel_([a-z0-9_]+)\.dir$")
# T text, D data, B zeroed data, R constants, C common, W and V weak, u unique; not the local ones.
VISIBLE = set("TDBRCWVuGSi")


def is_inside(symbol, isa):
    """True when the mangled name is of something in inferno::kernel::ISA (Itanium C++ ABI, 5.1)."""
    scope = f"7inferno6kernel{len(isa)}{isa}"
    return re.match(rf"_Z(?:GV|GR|T[VTISW])?Z*N[rVK]*[RO]?{scope}", symbol) is not None


def visible_symbols(object_file):
    listing = subprocess.run(["nm", "--defined-only", "--format=posix", str(object_file)],
                             capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[1] in VISIBLE:
            yield fields[0]


def findings(build):
    """(objects read, [(object, symbol)] that lie outside their namespace)."""
    count, found = 0, []
    for folder in sorted((build / "src" / "kernel").rglob("inferno_kernel_*.dir")):
        isa = OBJECT_FOLDER.search(folder.name)
        for object_file in sorted(folder.rglob("*.o")):
            count += 1
            found += [(object_file, symbol) for symbol in visible_symbols(object_file)
                      if not is_inside(symbol, isa.group(1))]
    return count, found


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    count, found = findings(Path(sys.argv[1]))
    for object_file, symbol in found:
        name = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=False)
        print(f"{object_file}: {name.stdout.strip() or symbol}"[-400:])
    print(f"kernel symbols: {count} objects, {len(found)} symbols outside their namespace")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
