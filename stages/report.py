"""report: report.html (everything on one page), report.md, ledger.md, figures. STUDY"""

from ser.core.compute import workers
from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.report.write import write


def main() -> None:
    (study,) = arguments("STUDY")
    layout = Layout(study)
    print(f"report: {write(layout, workers(layout.settings('run')))}")


if __name__ == "__main__":
    run_command(main)
