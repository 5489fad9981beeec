"""train: one experiment, all its folds and seeds; writes predictions, curves and a card. STUDY EXPERIMENT"""

from pathlib import Path

from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.training.experiment import Files, run


def main() -> None:
    study, experiment = arguments("STUDY", "EXPERIMENT")
    layout = Layout(study)
    settings = layout.settings(f"train/{experiment}")
    files = Files(
        manifest=layout.manifest(settings["corpus"]),
        folds=layout.folds(settings["folds"]),
        features={f: layout.feature(settings["corpus"], f) for f in settings["features"]}
        | {name: Path(store) for name, store in settings["words"].items()},
        predictions=layout.predictions(experiment),
        curves=layout.curves(experiment),
        card=layout.card(experiment),
        cost=layout.cost(experiment),
    )
    rows = run(settings, files, layout.settings("run"))
    print(f"{experiment}: {rows['fold'].nunique()} folds, {rows['seed'].nunique()} seeds, {len(rows)} predictions")


if __name__ == "__main__":
    run_command(main)
