"""evaluate: scores with intervals of all experiments of a study, from predictions and cards alone. STUDY"""

from ser.core.compute import workers
from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.evaluation.evaluate import run_study


def main() -> None:
    (study,) = arguments("STUDY")
    layout = Layout(study)
    run_study(layout, layout.settings("evaluate"), workers(layout.settings("run")))


if __name__ == "__main__":
    run_command(main)
