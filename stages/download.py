"""download: makes sure that a corpus is here and complete (downloaded, linked or synthesized), and writes a receipt of
its files, by which later stages find it. STUDY CORPUS
"""

from ser.core.errors import arguments, run_command
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.corpora import source
from ser.corpora.location import receipt as receipt_of


def main() -> None:
    study, corpus = arguments("STUDY", "CORPUS")
    layout = Layout(study)
    settings = layout.settings(f"download/{corpus}")
    location = source.ensure(corpus, settings["source"], settings["reader"], settings["synthetic"])
    receipt = receipt_of(location, corpus)
    write_json(layout.receipt(corpus), {**{k: settings[k] for k in ("source", "reader", "synthetic")}, **receipt})
    synthetic = ", SYNTHETIC" if location.synthetic else ""
    print(f"{corpus}: {receipt['files']} files, {receipt['bytes'] / 1e6:.0f} MB{synthetic}")


if __name__ == "__main__":
    run_command(main)
