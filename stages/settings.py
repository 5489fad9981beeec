"""settings: checks params.yaml and writes one file of settings and code digests per stage. PARAMS STUDY

DVC runs `python -m ser.settings` in the folder of the study instead, without names.
"""

from ser.core.errors import arguments, run_command
from ser.settings import files


def main() -> None:
    path, name = arguments("PARAMS", "STUDY")
    print(files.make(path, name))


if __name__ == "__main__":
    run_command(main)
