"""A comparison of two experiments in words and numbers, for a terminal: `ser compare A B`."""

from __future__ import annotations

from collections.abc import Sequence

from ser.core.errors import SerError
from ser.core.layout import Layout
from ser.core.plugins import check_name
from ser.evaluation import compare, pooling, results
from ser.evaluation.compare import Comparison, Difference
from ser.evaluation.predictions import Predictions, read
from ser.evaluation.results import Description, label


def run(study: str, a: str, b: str, draws: int = 10_000) -> str:
    """Compares two experiments of a study from their files in git alone; neither audio nor a model is needed.

    `draws` (ours: 10 000, the Monte-Carlo error of a p-value of 0.05 is then 0.002). Raises `SerError` for an unknown
    study or experiment, and for two that cannot be compared.
    """
    layout = Layout(study)
    studies = sorted(p.name for p in layout.metrics.parent.glob("*") if p.is_dir())
    check_name(study, studies, "study", "--study")
    known = [p.stem for p in (layout.metrics / "details").glob("*.json")]
    for name in (a, b):
        check_name(name, known, "experiment", f"study {study}")
    if a == b:
        raise SerError(f"{a} compared with itself", "ser compare", "Name two experiments")
    found = [results.read(layout, name) for name in (a, b)]
    confidence = found[0].interval.confidence if found[0].interval else 0.95
    about = found[0].description, found[1].description
    one, two = (scored(layout, d) for d in about)
    return words(study, compare.compare((a, b), one, two, draws, confidence), about)


def scored(layout: Layout, about: Description) -> Predictions:
    """The part of an experiment's predictions that its headline is computed on."""
    path = layout.evidence(about.experiment)[0]
    found, _ = pooling.labelled(read(path))
    if found.table.empty:
        raise SerError("no labels, so nothing to compare", path)
    return pooling.headline(found, about.protocol)[0]


def words(study: str, found: Comparison, abouts: Sequence[Description]) -> str:
    """Title, table, what follows from each row, and how it was computed."""
    data = "SYNTHETIC" if any(about.synthetic for about in abouts) else abouts[0].data
    title = f"A = {found.a}\nB = {found.b}\nstudy {study}, {found.corpus}, {data} data, {found.utterances} utterances,"
    return "\n\n".join(
        [
            f"{title} {found.units} {found.unit}s",
            _table(found),
            "\n".join(sentence(found, d) for d in found.differences),
            "\n".join([method(found), *cautions(found, abouts)]),
        ]
    )


def sentence(found: Comparison, d: Difference) -> str:
    """What one difference says, at the confidence of the interval."""
    alpha, name = 1 - found.confidence, label(d.metric)
    p = f"p = {number(d.p_holm)}"
    if d.p_holm <= alpha:
        better = found.a if d.difference > 0 else found.b
        return f"{name}: {better} is better by {abs(d.difference):.3f} ({p})."
    if found.smallest_p > alpha:
        return f"{name}: {found.units} {found.unit}s never give p below {number(found.smallest_p)}: no test."
    return (
        f"{name}: no difference shown ({p}). One of {d.detectable:.3f} would be found four times in five; "
        "a smaller one may well be there."
    )


def method(found: Comparison) -> str:
    ways = f"all {found.ways}" if found.exact else f"{found.ways - 1} drawn"
    several = len(found.differences)
    family = f"corrected over {several} metrics by Holm's method" if several > 1 else "one test, nothing to correct"
    return (
        f"p: {ways} ways of exchanging A and B by {found.unit} (smallest possible p "
        f"{number(found.smallest_p)}), {family}. Interval: {found.confidence:.0%}, bootstrap over {found.unit}s, both "
        "systems on the same ones. The models are taken as fixed; seed sd is the variation between seeds."
    )


def cautions(found: Comparison, abouts: Sequence[Description]) -> list[str]:
    """The differences between the two besides the system, one sentence each."""
    independent = [about.speaker_independent for about in abouts]
    out = []
    if independent[0] != independent[1]:
        dependent = found.a if independent[0] is False else found.b
        out.append(f"Caution: {dependent} has the test speakers in training, the other has not.")
    for name, about in zip((found.a, found.b), abouts, strict=True):
        if about.is_biased:
            out.append(f"Caution: {name} was selected on test.")
        if about.is_control:
            out.append(f"Caution: {name} is a control ({about.control}).")
        if about.transductive:
            out.append(f"Caution: {name} used statistics of the test speakers' audio, without labels.")
    if any(about.synthetic for about in abouts):
        out.append("Caution: SYNTHETIC data; the difference says nothing about emotion in speech.")
    return out


def number(p: float) -> str:
    """A p-value with two digits that count."""
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def spread(d: Difference) -> str:
    return ", ".join("-" if sd is None else f"{sd:.3f}" for sd in d.seed_sd)


def _table(found: Comparison) -> str:
    interval = f"{found.confidence:.0%} interval"
    rows = [["metric", "A", "B", "A - B", interval, "p", "p (Holm)", "sampling sd", "seed sd A, B", "detectable"]]
    for d in found.differences:
        limits = "-" if d.low is None else f"[{d.low:+.3f}, {d.high:+.3f}]"
        numbers = [f"{d.a:.3f}", f"{d.b:.3f}", f"{d.difference:+.3f}", limits, number(d.p), number(d.p_holm)]
        rows.append([label(d.metric), *numbers, f"{d.sampling_sd:.3f}", spread(d), f"{d.detectable:.3f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
