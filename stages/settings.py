"""settings: checks params.yaml and writes one file of settings and code digests per stage. PARAMS STUDY"""

import shutil
import sys

from ser.errors import run_command
from ser.layout import Layout
from ser.settings import check, files, study


def main() -> None:
    path, name = sys.argv[1:]
    made = files.files(check.read(path, name))  # every check comes before anything is written
    study.check_graph(name)
    folder = Layout(name).data / "settings"
    shutil.rmtree(folder, ignore_errors=True)
    files.write(made, folder)
    print(f"settings: {len(made)} files from {path}")


if __name__ == "__main__":
    run_command(main)
