"""`python -m ser.settings` in the folder of a study: the stage `settings` of its graph.

It takes no arguments, because names in params.yaml are not checked yet when DVC runs it.
"""

from __future__ import annotations

import os
from pathlib import Path

from ser.core.errors import run_command
from ser.settings import files, yamlfile


def main() -> None:
    folder, path = Path.cwd(), Path("params.yaml")
    if Path("stages").is_dir():  # the repository root
        name = str(yamlfile.load(path).get("study"))
    else:
        os.chdir("../..")
        name, path = folder.name, folder.relative_to(Path.cwd()) / path
    print(files.make(path, name))


if __name__ == "__main__":
    run_command(main)
