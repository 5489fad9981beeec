"""evaluate: metrics with intervals from the predictions file alone. STUDY EXPERIMENT"""

import sys

from ser.errors import run_command
from ser.evaluation import evaluate
from ser.files import read_json
from ser.layout import Layout


def main() -> None:
    study, experiment = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"evaluate/{experiment}")
    details = {**settings, **read_json(layout.card(experiment))}  # the card knows what the training really did
    scores = evaluate.run(
        layout.predictions(experiment),
        details,
        settings["draws"],
        layout.scores(experiment),
        layout.plot(experiment),
        settings["confidence"],
        layout.card(experiment).with_name("windows.csv"),
        layout.card(experiment).with_name("dev.csv"),
    )
    print(f"{experiment}: {evaluate.summary(scores)}")


if __name__ == "__main__":
    run_command(main)
