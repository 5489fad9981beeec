"""settings: checks params.yaml and writes one small settings file a stage. PARAMS STUDY"""

import shutil
import sys

from ser.errors import run_command
from ser.layout import Layout
from ser.settings import params


def main() -> None:
    path, study = sys.argv[1:]
    folder = Layout(study).data / "settings"
    files = params.settings(path, study)  # every check, before anything is touched
    shutil.rmtree(folder, ignore_errors=True)
    params.write(files, folder)
    (folder.parent / "none").write_text("Nothing: an input of the experiments that say extra: none\n")
    print(f"settings: {len(files)} files from {path}")


if __name__ == "__main__":
    run_command(main)
