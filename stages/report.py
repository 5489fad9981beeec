"""report: the study's table, figures and leak audits. STUDY"""

import sys

from ser.errors import door
from ser.evaluation import report
from ser.files import read_json
from ser.layout import Layout


def main() -> None:
    (study,) = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings("report")
    scores = {name: read_json(layout.scores(name)) for name in settings["experiments"]}
    audits = {
        name: read_json(layout.folds(name).with_suffix(".json")) for name in sorted(set(settings["folds"].values()))
    }
    report.write(study, scores, audits, {n: layout.predictions(n) for n in scores}, layout.report)
    print(f"report: {layout.report / 'report.md'}")


if __name__ == "__main__":
    door(main)
