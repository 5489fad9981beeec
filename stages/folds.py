"""folds: splits a corpus under a protocol and audits the split; a leak stops the pipeline here. STUDY NAME"""

from ser import protocols
from ser.core import plugins
from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.corpora import manifest
from ser.protocols import audit, folds


def main() -> None:
    study, name = arguments("STUDY", "NAME")
    layout = Layout(study)
    settings = layout.settings(f"folds/{name}")
    protocol = plugins.load("protocols", settings["protocol"])
    config = plugins.build(protocol.Config, settings["config"], f"folds.{name}")
    table = manifest.read(layout.manifest(settings["corpus"]) / "utterances.csv")
    made = protocol.folds(table, config, settings["seed"])
    claims = protocols.claims(protocol, config)
    report = audit.audit(made, table, **claims, where=name)
    about = {key: settings[key] for key in ("folds", "corpus", "protocol", "seed", "config")}
    folds.write(made, layout.folds(name), {**about, "claims": claims, "audit": report.to_json()})
    print("\n".join(report.summary()))


if __name__ == "__main__":
    run_command(main)
