"""download: makes sure that a corpus is here and complete (downloaded, linked or synthesized), and writes a receipt of
its files, by which later stages find it. The receipt of a joint corpus holds those of its members. STUDY CORPUS
"""

from ser.core.errors import arguments, run_command
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.corpora.source import receipt


def main() -> None:
    study, corpus = arguments("STUDY", "CORPUS")
    layout = Layout(study)
    settings = layout.settings(f"download/{corpus}")
    members = settings.get("members") or {corpus: settings}
    parts = {name: receipt(name, own) for name, own in members.items()}
    write_json(layout.receipt(corpus), {"corpus": corpus, "parts": parts} if "members" in settings else parts[corpus])
    for name, own in parts.items():
        synthetic = ", SYNTHETIC" if own["is_synthetic"] else ""
        print(f"{name}: {own['files']} files, {own['bytes'] / 1e6:.0f} MB{synthetic}")


if __name__ == "__main__":
    run_command(main)
