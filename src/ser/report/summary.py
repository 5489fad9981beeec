"""The report of a study in Markdown, and the pieces of text that its HTML page shares with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ser.evaluation.published import published

SCALARS = ("wa", "ua", "f1")
BANNER = """\
> **SYNTHETIC data.** Rows marked SYNTHETIC were computed on synthesized look-alikes of the corpora. They show that the
> pipeline works; they say nothing about emotion in speech and are not comparable with published numbers."""
LEGEND = """\
**Reading the table.** WA: accuracy. UA: mean recall of the classes. F1: macro F1. CCC: concordance correlation
coefficient. Each is computed on all test folds of a seed pooled, and averaged over seeds. `[low, high]`:
{confidence:.0%} bootstrap interval over test speakers (continuous labels: recordings), corrected for their number,
models held fixed, {draws} draws. n: utterances (recordings) scored. Selection: what chose the epoch or
the hyper-parameters. Speaker-dependent results have heard the test speakers in training: compare them with nothing
speaker-independent. Published: what the paper prints for the row the experiment answers to, as fractions and in the
order of the columns; `(flagged)` where the paper contradicts itself."""
MARKS = {
    "transductive": "† transductive: statistics of the test speakers' audio were used, without labels.",
    "control": "‡ a control, not a system: the notes say what was done to it.",
}


def report(
    study: str,
    experiments: Mapping[str, Mapping[str, Any]],
    audits: Mapping[str, Mapping[str, Any]],
    folder: str | Path | None = None,
) -> str:
    """The report of a study in Markdown.

    Args:
        experiments: experiment name -> its metrics file, in the order of the report.
        audits: name of the folds -> the leak audit's JSON (`ser.protocols.audit`).
        folder: where the report will lie; plots that lie there already are shown.

    Raises:
        SerError: an experiment names a published result that does not exist.
    """
    synthetic = any(_about(m)["data"] == "synthetic" for m in experiments.values())
    parts = [f"# Study {study}" + (" (SYNTHETIC data)" if synthetic else "")]
    parts += [
        tables(experiments),
        legend(experiments),
        *_notes(experiments),
        *_postprocessing(experiments),
        *_plots(experiments, folder),
        *_audits(audits),
        "All numbers the papers print, beside ours: [ledger.md](ledger.md). Everything on one page: report.html.",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def tables(experiments: Mapping[str, Mapping[str, Any]], heading: str = "##") -> str:
    """The tables alone, under a banner where anything in them is synthetic."""
    synthetic = any(_about(m)["data"] == "synthetic" for m in experiments.values())
    parts = [BANNER] if synthetic else []
    classified = {n: m for n, m in experiments.items() if "wa" in m}
    continuous = {n: m for n, m in experiments.items() if "wa" not in m}
    for title, rows in (("Categorical emotion", classified), ("Continuous affect", continuous)):
        if rows:
            parts += [f"{heading} {title}", _table(rows, synthetic)]
    return "\n\n".join(parts)


def _about(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a metrics file says about its numbers; keys that an older file lacks are None."""
    (about,) = metrics["about"]
    keys = ("model", "size", "corpus", "data", "protocol", "speaker_independent", "selection")
    return {**dict.fromkeys((*keys, "transductive", "control", "paper", "interval", "notes")), **about}


def _table(rows: Mapping[str, Mapping[str, Any]], synthetic: bool) -> str:
    """One row an experiment; the columns are the metrics that occur."""
    names = list(dict.fromkeys(k for m in rows.values() for k in m if f"{k}_low" in m))
    titles = [n.upper() if n in (*SCALARS, "ccc") else f"CCC {n.removeprefix('ccc_')}" for n in names]
    data = ["data"] if synthetic else []
    header = ["experiment", "model", "corpus", *data, "protocol", *titles, "n", "selection", "published"]
    lines = [header, ["---"] * len(header)]
    for name, metrics in rows.items():
        about = _about(metrics)
        size = f" ({about['size']})" if about["size"] else ""
        lines.append(
            [
                name + marks(about),
                f"{about['model'] or ''}{size}",
                about["corpus"] or "",
                *([_data(about)] if synthetic else []),
                _protocol(about),
                *(cell(metrics, n) for n in names),
                str(metrics["n"]),
                _selection(about),
                _published(about, names),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _data(about: Mapping[str, Any]) -> str:
    return "SYNTHETIC" if about["data"] == "synthetic" else about["data"]


def marks(about: Mapping[str, Any]) -> str:
    return ("†" if about["transductive"] else "") + ("‡" if about["control"] not in (None, "none") else "")


def _protocol(about: Mapping[str, Any]) -> str:
    tag = {True: " (speaker-independent)", False: " (**speaker-dependent**)", None: ""}[about["speaker_independent"]]
    return f"{about['protocol'] or ''}{tag}"


def _selection(about: Mapping[str, Any]) -> str:
    return "**test_oracle** (biased)" if about["selection"] == "test_oracle" else about["selection"] or ""


def cell(metrics: Mapping[str, Any], name: str) -> str:
    """``0.77 [0.70, 0.84]``."""
    value, low, high = (metrics.get(name + end) for end in ("", "_low", "_high"))
    if value is None:
        return "not available"
    return f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else "")


def _published(about: Mapping[str, Any], names: Iterable[str]) -> str:
    """Published numbers in the order of the table's columns, `-` where the paper has none."""
    paper = published(about["paper"])
    if paper is None:
        return ""
    values = " / ".join("-" if paper.get(n) is None else f"{paper[n]:.3f}" for n in names)
    return f"{values} ({paper['source']})" + (" (flagged)" if paper["flags"] else "")


def legend(experiments: Mapping[str, Mapping[str, Any]]) -> str:
    abouts = [_about(m) for m in experiments.values()]
    interval = next((a["interval"] for a in abouts if a["interval"]), None)
    if interval is None:
        return ""
    used = [text for mark, text in MARKS.items() if any(a[mark] not in (None, False, "none") for a in abouts)]
    return "\n\n".join([LEGEND.format(**interval), *used])


def holders(experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Each note once -> the names of the experiments it holds for."""
    found: dict[str, list[str]] = {}
    for name, metrics in experiments.items():
        for note in _about(metrics)["notes"] or []:
            found.setdefault(note, []).append(name)
    return found


def _notes(experiments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Each note once, with the experiments it holds for."""
    found = holders(experiments)
    if not found:
        return []
    lines = [
        f"- {note}" + (" (all experiments)" if len(names) == len(experiments) else f" ({', '.join(names)})")
        for note, names in found.items()
    ]
    return ["## Notes", "\n".join(lines)]


def _postprocessing(experiments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """CCC of each experiment without and with each option of post-processing, a table of its own."""
    rows = []
    for name, metrics in experiments.items():
        found = metrics["about"][0].get("postprocessing")
        if found:
            rows.append([name, cell(metrics, "ccc"), *(cell(numbers, "ccc") for numbers in found.values())])
            header = ["experiment", "CCC (headline)", *found]
    if not rows:
        return []
    lines = ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)]
    text = "Fitted on dev, applied to test; beside the headline and never in its place. all: delay, median, rescale."
    return ["## Post-processing", text, "\n".join(lines)]


def _plots(experiments: Mapping[str, Mapping[str, Any]], folder: str | Path | None) -> list[str]:
    """The plots that lie in the folder: those of the study first, then a confusion matrix or traces an experiment."""
    names = {
        "ua": list(experiments),
        "ccc": list(experiments),
        **{f"{kind}-{n}": [n] for n in experiments for kind in ("confusion", "traces")},
    }
    shown = []
    for name, shows in names.items():
        if folder and (Path(folder) / f"{name}.png").exists():
            synthetic = any(_about(experiments[n])["data"] == "synthetic" for n in shows)
            shown.append(f"![{name}{' (SYNTHETIC data)' if synthetic else ''}]({name}.png)")
    return ["## Plots", *shown] if shown else []


def _audits(audits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    from ser.protocols.audit import Report

    lines = []
    for data in audits.values():
        first, *rest = Report(dict(data)).summary()
        lines += [f"- {first}", *(f"  - {line.strip()}" for line in rest)]
    return ["## Leak audit", "\n".join(lines)] if lines else []
