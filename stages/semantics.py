"""semantics: word vectors from text and from speech, their alignment, and the word streams of a corpus. STUDY NAME"""

import sys

from ser.core import plugins
from ser.core.errors import door
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.corpora._shared.location import found
from ser.semantics.make import Source, make, summary
from ser.semantics.settings import Block


def main() -> None:
    study, name = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"semantics/{name}")
    block = plugins.build(Block, settings["block"], f"semantics.{name}")
    corpus, target = (
        Source(layout.manifest(c), found(read_json(layout.receipt(c))).root) for c in (block.corpus, block.target)
    )
    out, report = (folder / "semantics" / name for folder in (layout.data, layout.metrics))
    card = make(block, corpus, target, out, report, settings["device"])
    print(f"{name}: {summary(card)}")


if __name__ == "__main__":
    door(main)
