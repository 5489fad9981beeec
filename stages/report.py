"""report: report.html (everything on one page), report.md, ledger.md, figures. STUDY"""

from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.report.write import write


def main() -> None:
    (study,) = arguments("STUDY")
    print(f"report: {write(Layout(study))}")


if __name__ == "__main__":
    run_command(main)
