"""download: the corpus is there, whole: downloaded, linked or synthesized; its receipt is the only tracked out. STUDY
CORPUS
"""

import sys

from ser.corpora import source as _source
from ser.corpora.location import receipt as receipt_of
from ser.errors import run_command
from ser.files import write_json
from ser.layout import Layout


def main() -> None:
    study, corpus = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"download/{corpus}")
    location = _source.ensure(corpus, settings["source"], settings["reader"], settings["synthetic"])
    receipt = receipt_of(location, corpus)
    write_json(layout.receipt(corpus), {**settings, **receipt})
    print(
        f"{corpus}: {receipt['files']} files, {receipt['bytes'] / 1e6:.0f} MB"
        + (", SYNTHETIC" if location.synthetic else "")
    )


if __name__ == "__main__":
    run_command(main)
