"""pretrain: a Mockingjay encoder on one corpus: weights, sample reconstructions, learning curve. STUDY NAME

torchrun --nproc-per-node 2 stages/pretrain.py STUDY NAME     the same on several processes
"""

from ser.core import plugins
from ser.core.errors import arguments, run_command
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.corpora.location import found
from ser.pretraining.run import pretrain
from ser.pretraining.settings import Settings


def main() -> None:
    study, name = arguments("STUDY", "NAME")
    layout = Layout(study)
    block = layout.settings(f"pretrain/{name}")
    pretrain(
        plugins.build(Settings, block["settings"], f"pretraining.{name}"),
        layout.manifest(block["corpus"]) / "utterances.csv",
        found(read_json(layout.receipt(block["corpus"])), study).root,
        layout.pretrained(name),
        layout.about_pretraining(name) / "curve.csv",
        execution={**layout.settings("run"), "device": block["device"], "precision": block["precision"]},
    )


if __name__ == "__main__":
    run_command(main)
