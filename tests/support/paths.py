"""Where this checkout has what tests look for; and every room of the tests on Python's path."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT, SUPPORT = TESTS.parent, TESTS / "support"
EXAMPLES, BENCHMARKS = ROOT / "examples", ROOT / "benchmarks"
NOTEBOOKS = EXAMPLES / "notebooks"
ROOMS = sorted(str(path) for path in TESTS.rglob("*") if path.is_dir() and not path.name.startswith(("_", ".")))

sys.path += [room for room in ROOMS if room not in sys.path]  # names of files are unique, whatever the room
