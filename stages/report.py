"""report: report.html (everything on one page), report.md, ledger.md, figures. STUDY"""

import sys

from ser.core.errors import door
from ser.core.layout import Layout
from ser.evaluation.write import write


def main() -> None:
    (study,) = sys.argv[1:]
    print(f"report: {write(Layout(study))}")


if __name__ == "__main__":
    door(main)
