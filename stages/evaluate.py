"""evaluate: metrics with intervals from the predictions file alone. STUDY EXPERIMENT"""

import sys

from ser.errors import door
from ser.evaluation import evaluate
from ser.files import read_json, write_json
from ser.layout import Layout


def main() -> None:
    study, experiment = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"evaluate/{experiment}")
    details = {**read_json(layout.card(experiment)), **settings}
    scores = evaluate.evaluate(layout.predictions(experiment), details, settings["draws"])
    write_json(layout.scores(experiment), scores)
    evaluate.write_plot_rows(layout.predictions(experiment), layout.plot(experiment))
    print(evaluate.summary(experiment, scores))


if __name__ == "__main__":
    door(main)
