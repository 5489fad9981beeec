"""report: report.html (everything on one page), report.md, ledger.md, figures. STUDY"""

import sys

from ser.core.errors import door
from ser.core.layout import Layout
from ser.evaluation import report


def main() -> None:
    (study,) = sys.argv[1:]
    print(f"report: {report.write(Layout(study))}")


if __name__ == "__main__":
    door(main)
