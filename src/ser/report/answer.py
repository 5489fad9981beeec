"""The first lines of a report: one sentence that answers, and three numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ser.evaluation import results
from ser.evaluation.compare import Comparison
from ser.report import ledger
from ser.report.study import Experiment, Study
from ser.report.tables import marks_of, plural

SETS = {True: "no test speaker in training", False: "test speakers in training too", None: "unknown split"}


class Number(NamedTuple):
    """A large number, and what it is."""

    value: str
    what: str


class Answer(NamedTuple):
    """One sentence, and what must be known beside it."""

    sentence: str
    remark: str


def answers(study: Study, tests: Mapping[tuple[str, str], Comparison]) -> list[Answer]:
    """One per corpus and kind of labels: the best speaker-independent system and what it is better than. The corpus
    with most systems is first.

    Args:
        tests: the paired tests of the report, (better, other) -> comparison, corrected within their group.
    """
    return [_answer(members, tests) for members in _questions(study)]


def _questions(study: Study) -> list[list[Experiment]]:
    """The systems that answer one question, the best first: on one corpus, real systems whose epoch the test part did
    not choose, speaker-independent ones where there are any."""
    groups: dict[tuple[object, ...], list[Experiment]] = {}
    for e in study.experiments.values():
        if e.result.headline.value is not None and not e.about.is_control and not e.about.is_biased:
            groups.setdefault((e.about.corpus, e.about.kind, e.about.labels), []).append(e)
    made = []
    for own in groups.values():
        members = [e for e in own if e.about.speaker_independent is not False] or own
        made.append(sorted(members, key=lambda e: e.rank))
    return sorted(made, key=lambda members: (members[0].about.synthetic, -len(members)))


def _answer(members: Sequence[Experiment], tests: Mapping[tuple[str, str], Comparison]) -> Answer:
    best, *others = members
    about = best.about
    kind = "system, its test speakers in training," if about.speaker_independent is False else "system"
    kind = f"speaker-independent {kind}" if about.speaker_independent else kind
    corpus = f"{about.corpus}{' (SYNTHETIC)' if about.synthetic else ''}"
    score = f"{results.label(about.headline)} {results.text(best.result.headline)}"
    signs = marks_of(about.transductive, about.control, about.selection)
    text = f"The best {kind} on {corpus} is {best.name}{signs}: {score}"
    return Answer(f"{text}{_against(best, others, tests)}.", _remark(best, others))


def _against(best: Experiment, others: Sequence[Experiment], tests: Mapping[tuple[str, str], Comparison]) -> str:
    """``, better than 7 of 9 other systems, with no difference shown to X and Y``."""
    if not others:
        return ", with no other system to compare it with"
    tested = [(e.name, tests[best.name, e.name]) for e in others if (best.name, e.name) in tests]
    if not tested:
        return ", with no paired test against the others"
    beaten = [n for n, c in tested if c.differences[0].p_holm <= 1 - c.confidence]
    equal = [n for n, _ in tested if n not in beaten]
    text = f", better than {len(beaten)} of {plural(len(tested), 'other system')}"
    if equal:
        named = ", ".join(equal[:3]) + (f" and {len(equal) - 3} more" if len(equal) > 3 else "")
        text += f", with no difference shown to {named}"
    return text


def _remark(best: Experiment, others: Sequence[Experiment]) -> str:
    """What the sentence rests on, and the best system with the audio of the test speakers, where there is one."""
    unit = best.result.interval
    over = f"{unit.confidence:.0%} interval over {unit.units} {unit.unit}s" if unit else "No interval"
    made = [f"{over}; paired tests by {unit.unit if unit else 'speaker'}, corrected by Holm's method."]
    if best.about.transductive:
        made.append("† It uses statistics of the test speakers' audio, without labels.")
    elif scaled := next((e for e in others if e.about.transductive), None):
        text = f"{scaled.name}† reaches {results.text(scaled.result.headline)}"
        made.append(f"With statistics of the test speakers' audio, without labels, {text}.")
    return " ".join(made)


def numbers(study: Study, missed: tuple[int, int] | None) -> list[Number]:
    """The best score, chance, and how many published numbers are reproduced, or else how many utterances every system
    gets wrong (`missed`: these, and all)."""
    questions = _questions(study)
    if not questions:
        return []
    best = questions[0][0]
    score, metric, about = best.result.headline, results.label(best.about.headline), best.about
    limits = "" if score.low is None else f", interval {score.low:.2f} to {score.high:.2f}"
    made = [Number(f"{score.value:.2f}", f"best {metric} on {about.corpus}, {SETS[about.speaker_independent]}{limits}")]
    chance = 1 / len(about.labels) if about.headline == "ua" else 0.0
    guess = f"1 of {plural(len(about.labels), 'class', 'classes')}" if chance else "a constant prediction"
    made.append(Number(f"{chance:.2f}", f"{metric} by chance, {guess}"))
    return [*made, *_third(study, missed)]


def _third(study: Study, missed: tuple[int, int] | None) -> list[Number]:
    ran = [row for row in ledger.rows(study.results) if row.ran and row.kind == "own"]
    if ran:
        good = sum(row.verdict == "reproduced" for row in ran)
        apart = sum(row.verdict.startswith("not comparable") for row in ran)
        detail = f"; {apart} are not comparable, and the ledger below says why" if apart else ""
        return [Number(f"{good} of {len(ran)}", f"published numbers reproduced{detail}")]
    if missed:
        return [Number(f"{missed[0]} of {missed[1]}", "utterances that every system gets wrong")]
    return []
