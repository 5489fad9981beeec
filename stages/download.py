"""download: the corpus is there, whole: downloaded, linked or synthesized; its receipt is the only tracked out. STUDY
CORPUS
"""

import sys

from ser.core.errors import door
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.corpora import _source
from ser.corpora._shared.location import receipt as receipt_of


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
    door(main)
