"""corpus: reads a corpus's own files into tables of one form and one packed array of audio. Arguments: STUDY CORPUS"""

from ser.core import plugins
from ser.core.compute import workers
from ser.core.errors import arguments, run_command
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.corpora import joint, packing


def main() -> None:
    study, corpus = arguments("STUDY", "CORPUS")
    layout = Layout(study)
    settings, receipt = layout.settings(f"corpus/{corpus}"), read_json(layout.receipt(corpus))
    folder, rate, jobs = layout.manifest(corpus), settings["rate"], workers(layout.settings("run"))
    members = joint.members(receipt, study)
    if "joint" in settings:
        config = plugins.build(joint.Config, settings["joint"], f"corpora.{corpus}.reader")
        print(joint.pack(corpus, members, config, folder, rate, jobs))
    else:
        (own,) = members
        reader = own.module.CARD.name
        print(packing.pack(corpus, own.location, own.config, folder, rate, jobs, reader))


if __name__ == "__main__":
    run_command(main)
