"""The lectures as experiments: lists the programs of this folder, and runs them.

    python examples/lectures                 all of them, one after the other
    python examples/lectures --quick         all of them on tiny data, in about a minute
    python examples/lectures 4 17 dropout    some of them
    python examples/lectures --list          what there is

Each program writes NAME.json and NAME.png. What is measured already is taken from the folder of results; so a series
that was stopped goes on where it was. The top of each program says what it shows, and what came out.
"""

import argparse
import sys
import traceback
from time import perf_counter

from common import index
from common.experiment import parser, prepare
from common.page import parts
from common.programs import NAMES, find, load

from minicnn.clock import duration
from minicnn.console import complain, say
from minicnn.errors import SettingError
from minicnn.train import exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for -> 1 if a program failed."""
    options = _parser().parse_args(arguments)
    names = _chosen(options.programs)
    if options.list:
        for name in names:
            say(f"{name:26} {parts(load(name).__doc__)['title']}")
        return 0
    if options.keep:
        index.keep(options.out, names)
        return 0
    prepare(options)
    start, failed = perf_counter(), []
    for name in names:
        if code := _run(name, options):
            if code > 128:  # a signal: all of it is to stop
                return code
            failed.append(name)
    say(f"{len(names) - len(failed)} of {len(names)} programs in {duration(perf_counter() - start)}; see {options.out}")
    if failed:
        complain(f"error: failed: {', '.join(failed)}")
    return 1 if failed else 0


def _run(name, options):
    """The exit code of a program. Its faults are told, and end no other."""
    try:
        return exit_code(lambda: load(name).LECTURE.run(options))
    except Exception:
        complain(traceback.format_exc().rstrip())
        return 1


def _parser():
    own = parser(__doc__)
    own.prog, own.formatter_class = "python examples/lectures", argparse.RawDescriptionHelpFormatter
    own.add_argument("programs", nargs="*", metavar="PROGRAM", help="number or name; without any, all of them")
    own.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    own.add_argument(
        "--keep", action="store_true", help="copy the results in --out into docs/; after a program has changed"
    )
    return own


def _chosen(words):
    names = [find(word) for word in words]
    if None in names:
        word = words[names.index(None)]
        raise SettingError(f"there is no program {word!r}; python examples/lectures --list says which there are")
    return list(dict.fromkeys(names)) or list(NAMES)


if __name__ == "__main__":
    sys.exit(exit_code(main))
