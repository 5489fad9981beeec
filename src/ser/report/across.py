"""Across corpora: what each system reaches on each corpus, by the corpora that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping

from ser.evaluation import results
from ser.evaluation.results import Across, Result
from ser.report.tables import Cell, Table

CAPTION = (
    "Rows: the corpora of the training part; columns: the tested corpus. Where the row names the tested corpus, the "
    "test speakers are others than those of training. UA with an interval over the test speakers; chance is 1 / the "
    "number of classes. Corpora differ in language, actors, texts and rooms at once, so a fall from one cell to "
    "another has no single reason."
)


def tables(found: Mapping[str, Result]) -> list[Table]:
    """One table per system: a matrix, training corpora by test corpora, of the experiments on joint corpora.

    The name of a system is that of its experiments up to the first ``-`` (``<system>-<corpus>-<folds>``).
    """
    systems: dict[str, list[tuple[str, Across]]] = {}
    for name, result in found.items():
        for cell in result.across:
            mark = "†" if result.description.transductive else ""
            systems.setdefault(name.split("-")[0] + mark, []).append((name, cell))
    tests = sorted({cell.test for cells in systems.values() for _, cell in cells})
    return [_table(system, cells, tests, found) for system, cells in systems.items()]


def _table(system: str, cells: list[tuple[str, Across]], tests: list[str], found: Mapping[str, Result]) -> Table:
    rows = []
    for train in sorted({cell.train for _, cell in cells}, key=lambda names: (len(names), names)):
        of_row = [(name, cell) for name, cell in cells if cell.train == train]
        shown = []
        for test in tests:
            here = [(name, cell) for name, cell in of_row if cell.test == test]
            text = "; ".join(results.text(cell.score) for _, cell in here)
            note = "; ".join(f"{cell.utterances} of {cell.speakers} speakers" for _, cell in here)
            shown.append(Cell(text, note))
        experiments = ", ".join(dict.fromkeys(name for name, _ in of_row))
        chance = 1 / len(found[of_row[0][0]].description.labels)
        rows.append((" + ".join(train), *shown, f"{chance:.2f}", Cell(experiments, kind="text")))
    header = ("trained on", *(f"UA on {test}" for test in tests), "chance", "experiments")
    return Table(f"{system}: trained on one corpus, tested on another", header, rows, "scores")
