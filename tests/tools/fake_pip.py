"""A pip for tests: `download ... --dest FOLDER NAME` makes a wheel from $FAKE_PIP_FOLDER/NAME/.

Every call is noted in $FAKE_PIP_FOLDER/calls. A package whose folder is missing fails as pip does.
"""

import os
import sys
import zipfile
from pathlib import Path

arguments = sys.argv[1:]
package = arguments[-1]
destination = Path(arguments[arguments.index("--dest") + 1])
source = Path(os.environ["FAKE_PIP_FOLDER"]) / package
with open(source.parent / "calls", "a", encoding="ascii") as calls:
    calls.write(package + "\n")
if not source.is_dir():
    sys.exit("ERROR: No matching distribution found for " + package)
with zipfile.ZipFile(destination / "package-1-py3-none-any.whl", "w") as wheel:
    for path in source.rglob("*"):
        wheel.write(path, path.relative_to(source))
