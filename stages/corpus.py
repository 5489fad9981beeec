"""corpus: reads a corpus's own files into tables of one form and one packed array of audio. Arguments: STUDY CORPUS"""

from ser.core import plugins
from ser.core.compute import workers
from ser.core.errors import arguments, run_command
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.corpora import packing
from ser.corpora.location import found


def main() -> None:
    study, corpus = arguments("STUDY", "CORPUS")
    layout = Layout(study)
    receipt = read_json(layout.receipt(corpus))
    config = plugins.build(plugins.load("corpora", corpus).Config, receipt["reader"], f"corpora.{corpus}.reader")
    rate, jobs = layout.settings(f"corpus/{corpus}")["rate"], workers(layout.settings("run"))
    print(packing.pack(corpus, found(receipt, study), config, layout.manifest(corpus), rate, jobs))


if __name__ == "__main__":
    run_command(main)
