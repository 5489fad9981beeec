"""What a continuous experiment has beyond the others: its post-processing, and what dev chose of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ser.evaluation import postprocessing as options
from ser.evaluation import results
from ser.report import summary as report
from ser.report.html.markup import Html, table, tag
from ser.report.html.study import Experiment

WORDS = {  # of the metrics file's ``chosen``: what it is, and its unit
    "delay_s": ("later by", " s"),
    "window_s": ("median of", " s"),
    "factor": ("times", ""),
    "offset": ("plus", ""),
}


def postprocessing(e: Experiment) -> Html | None:
    """The options beside the headline; None where nothing was fitted."""
    found = e.about.get("postprocessing")
    if not found:
        return None
    names = [k for k in e.metrics if f"{k}_low" in e.metrics]
    rows: list[Sequence[object]] = [("none (headline)", *(report.cell(e.metrics, n) for n in names), "-")]
    for option, numbers in found.items():
        chosen = tag("td", choice(numbers["chosen"]), class_="text")
        rows.append((option, *(report.cell(numbers, n) for n in names), chosen))
    header = ("option", *map(results.label, names), "chosen on dev")
    about = (
        "Fitted on the dev part of each fold and seed, never on test, and applied to each recording by itself. "
        "all: delay, then median, then rescale (to the mean and spread of dev's labels). Where dev chooses a median of "
        "0.1 s or a delay of 0 s, it chooses none."
    )
    caption = f"{e.name}: {options.NOTE}"
    return tag("div", tag("h4", "Post-processing"), table(caption, header, rows), tag("p", about, class_="soft"))


def choice(chosen: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """``arousal later by 2 s, ...``: the median over folds and seeds, with the least and the most where they differ."""
    dimensions = list(next(iter(chosen.values())))
    said = []
    for name in dimensions:
        values = [f"{WORDS[key][0]} {_spread(own[name])}{WORDS[key][1]}" for key, own in chosen.items()]
        said.append(f"{name} {', '.join(values)}")
    return "; ".join(said)


def _spread(three: Sequence[float]) -> str:
    least, median, most = (f"{v:.3g}" for v in three)
    return median if least == most else f"{median} ({least} to {most})"
