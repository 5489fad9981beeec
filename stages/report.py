"""report: the study's table, figures and leak audits. STUDY"""

import sys

from ser.core.errors import door
from ser.core.files import read_json, write_text
from ser.core.layout import Layout
from ser.evaluation import plots, report


def main() -> None:
    (study,) = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings("report")
    scores = {name: read_json(layout.scores(name)) for name in settings["experiments"]}
    folds = sorted(set(settings["folds"].values()))
    audits = {name: read_json(layout.folds(name).with_suffix(".json"))["audit"] for name in folds}
    plots.draw(study, scores, {name: layout.predictions(name) for name in scores}, layout.report)
    write_text(layout.report / "report.md", report.report(study, scores, audits, layout.report))
    print(f"report: {layout.report / 'report.md'}")


if __name__ == "__main__":
    door(main)
