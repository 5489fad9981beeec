"""Makes one look-alike: ``python -m ser_synth CORPUS FOLDER --settings JSON --jobs N``.

Standard output gets one line, which says what was made or why it could not be made; the exit status is 1 in the second
case. Standard error gets the progress bar when it is a terminal.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ser_synth import build
from ser_synth.errors import SynthError


def main() -> int:
    parser = argparse.ArgumentParser("python -m ser_synth", description="Makes a look-alike of a speech corpus.")
    parser.add_argument("corpus", help=", ".join(build.names()))
    parser.add_argument("folder", type=Path, help="where the corpus goes; it must be empty, absent or that very corpus")
    parser.add_argument("--settings", default="{}", help="JSON object: values of the corpus's Config (default: none)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes (default: 2)")
    parser.add_argument("--parent", type=int, help="process id of the program that started this one: ends with it")
    arguments = parser.parse_args()
    if arguments.parent:
        build.end_with_parent(arguments.parent)
    try:
        config = build.configure(arguments.corpus, arguments.settings)
        build.build(arguments.corpus, config, arguments.folder, arguments.jobs)
    except SynthError as error:
        print(error)
        return 1
    print(f"{arguments.corpus}: synthetic speech in {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
