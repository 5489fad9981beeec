"""All results of all studies in one table, for a terminal: `ser leaderboard`."""

from __future__ import annotations

from pathlib import Path

from ser.core.errors import SerError
from ser.core.files import read_json
from ser.evaluation import results
from ser.evaluation.results import Result
from ser.report.tables import marks_of

KINDS = {True: "speaker-independent", False: "speaker-dependent", None: "unknown split"}
LEGEND = (
    "Compare rows of one block only, and read the intervals: a difference needs a paired test (ser compare A B).\n"
    "† statistics of the test speakers' audio were used, without labels. ‡ a control.\n"
    "§ BIASED: the test part chose the epoch."
)


def table() -> str:
    """Blocks by corpus and by whether the test speakers are in training, each from the best to the worst. Real corpora
    come first. Raises `SerError` where nothing has been evaluated here."""
    paths = sorted(Path("metrics").glob("*/details/*.json"))
    found = [(path.parts[1], results.from_json(read_json(path), path)) for path in paths]
    scored = [(study, r) for study, r in found if r.headline.value is not None]
    if not scored:
        raise SerError("no study has been evaluated here", "metrics/*/details", "Run one: make repro")
    blocks: dict[tuple[bool, str, str, str], list[tuple[str, Result]]] = {}
    for study, result in scored:
        about = result.description
        labels = f"{len(about.labels)} classes" if about.labels and about.headline == "ua" else ", ".join(about.labels)
        kind = KINDS[about.speaker_independent]
        blocks.setdefault((about.synthetic, str(about.corpus), kind, labels), []).append((study, result))
    return "\n\n".join([*(_block(key, blocks[key]) for key in sorted(blocks)), LEGEND])


def _block(key: tuple[bool, str, str, str], own: list[tuple[str, Result]]) -> str:
    synthetic, corpus, kind, labels = key
    own = sorted(own, key=lambda pair: -(pair[1].headline.value or 0.0))
    about = own[0][1].description
    chance = f", chance {1 / len(about.labels):.2f}" if about.headline == "ua" else ""
    title = f"{corpus}{' (SYNTHETIC)' if synthetic else ''}, {kind}, {labels}{chance}"
    rows = [(results.label(about.headline), "experiment", "study", "protocol", "n")]
    for study, result in own:
        d = result.description
        name = d.experiment + marks_of(d.transductive, d.control, d.selection)
        protocol = str(d.protocol or "").replace("_", " ")
        rows.append((results.text(result.headline), name, study, protocol, str(d.utterances)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([title, *("  " + line for line in lines)])
