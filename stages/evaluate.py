"""evaluate: every score of the study, with intervals, from the predictions alone. STUDY"""

import sys
import tempfile
from pathlib import Path

from ser.errors import run_command
from ser.evaluation import evaluate
from ser.files import read_json, write_json
from ser.layout import Layout

HEADLINE = ("wa", "ua", "f1", "ccc")


def main() -> None:
    (study,) = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings("evaluate")
    for experiment, values in settings["experiments"].items():
        card = layout.card(experiment)
        about = {"study": study, "experiment": experiment, **values, **read_json(card)}
        with tempfile.TemporaryDirectory() as folder:
            scores = evaluate.run(
                layout.predictions(experiment),
                about,
                settings["draws"],
                layout.details(experiment),
                Path(folder) / "plot.csv",
                settings["confidence"],
                card.with_name("windows.csv"),
                card.with_name("dev.csv"),
            )
        write_json(layout.scores(experiment), {key: scores[key] for key in HEADLINE if key in scores})
        print(f"{experiment}: {evaluate.summary(scores)}")


if __name__ == "__main__":
    run_command(main)
