"""Which claims of the papers of the form "A is better than B" hold in our numbers: the page ``docs/what_holds.md``.

A claim is tested on the predictions of two experiments on the same folds of the same study, speaker by speaker
(`ser.evaluation.compare`). The p-values of all tests about one paper are corrected together. Only real data are looked
at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ser.core.errors import SerError
from ser.core.layout import Layout
from ser.evaluation import compare, wording
from ser.evaluation.claims import Claim, Printed, claims
from ser.evaluation.published import PAPERS
from ser.evaluation.results import Description, Result, label
from ser.report import ledger
from ser.report.tables import Cell, Table, number, plural

DRAWS = 10_000  # ours: as `ser compare`
HOLDS, OPPOSITE, UNSHOWN, FEW = "holds", "the opposite holds", "not shown", "too few speakers"


@dataclass(frozen=True)
class Test:
    """A claim and two experiments of ours, A first. `found` has one difference, A - B."""

    claim: Claim
    study: str
    abouts: tuple[Description, Description]
    found: compare.Comparison

    @property
    def difference(self) -> compare.Difference:
        return self.found.differences[0]

    @property
    def verdict(self) -> str:
        alpha = 1 - self.found.confidence
        if self.difference.p_holm <= alpha:
            return HOLDS if self.difference.difference > 0 else OPPOSITE
        return FEW if self.found.smallest_p > alpha else UNSHOWN

    @property
    def ours(self) -> bool:
        """Whether the two are variants of ours in place of the paper's systems."""
        return (stem(self.found.a), stem(self.found.b)) in self.claim.variants

    def answers(self, printed: Printed) -> bool:
        """Whether both are the paper's systems, on the corpus and under the protocol of a printed comparison."""
        name, folds = ledger.PROTOCOLS[printed.protocol]
        return not self.ours and all(
            about.corpus == printed.corpus and about.protocol == name and folds in (None, about.folds)
            for about in self.abouts
        )


def stem(experiment: str) -> str:
    """The first part of the name of an experiment: ``ae_ee_in`` of ``ae_ee_in-emodb-loso``."""
    return experiment.partition("-")[0]


def evidence(studies: Mapping[str, Mapping[str, Result]], draws: int = DRAWS) -> list[Test]:
    """Every test that results on real data allow, in the order of the claims.

    Args:
        studies: study -> experiment -> result; predictions are read from ``metrics/<study>``.
    """
    made = [test for claim in claims() for study, found in studies.items() for test in _of(claim, study, found, draws)]
    out = []
    for paper in PAPERS:
        family = [test for test in made if test.claim.paper == paper]
        corrected = compare.holm([test.found for test in family])
        out += [replace(test, found=found) for test, found in zip(family, corrected, strict=True)]
    return out


def _of(claim: Claim, study: str, found: Mapping[str, Result], draws: int) -> Iterator[Test]:
    for first, second in (*claim.names, *claim.variants):
        for name, result in found.items():
            other = f"{second}-{name.partition('-')[2]}"
            if stem(name) != first or other not in found:
                continue
            one, two = result.description, found[other].description
            if any(about.data != "real" or about.is_control for about in (one, two)):
                continue
            confidence = result.interval.confidence if result.interval else 0.95
            scored = [wording.scored(Layout(study), about) for about in (one, two)]
            try:
                made = compare.compare((name, other), scored[0], scored[1], draws, confidence, only=[one.headline])
            except SerError:  # other utterances, or a single speaker: nothing to test
                continue
            yield Test(claim, study, (one, two), made)


def contents(studies: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """What the template ``what_holds.md`` shows."""
    found = evidence(studies)
    papers = []
    for paper, about in PAPERS.items():
        own = [claim for claim in claims() if claim.paper == paper]
        run = [test for test in found if test.claim.paper == paper]
        missing = [(c, p) for c in own for p in c.printed if not any(t.claim is c and t.answers(p) for t in run)]
        papers.append(
            {
                "title": f"{about.title} ({about.venue} {about.year})",
                "tested": _tested(run),
                "open": _open(missing, {r.description.corpus for s in studies.values() for r in s.values()}),
                "counts": _counted(own, missing, run),
            }
        )
    return {"papers": papers, "tests": len(found), "confidence": found[0].found.confidence if found else 0.95}


def _counted(own: Sequence[Claim], missing: Sequence[object], run: Sequence[Test]) -> str:
    """``4 claims, printed in 16 comparisons. 5 tests: 2 not shown, ...``"""
    printed = sum(len(claim.printed) for claim in own)
    verdicts = Counter(test.verdict for test in run)
    said = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    return (
        f"{plural(len(own), 'claim')}, printed in {plural(printed, 'comparison')}, {len(missing)} of them open. "
        f"{plural(len(run), 'test')}{': ' + said if said else ''}."
    )


def _tested(found: Sequence[Test]) -> Table | None:
    header = ["claim", "printed", "ours: A against B", "study, protocol", "size, seeds", "metric", "A", "B"]
    header += ["A - B", "p (Holm)", "detectable", "in our numbers"]
    return Table("Tested", header, [_row(test) for test in found]) if found else None


def _row(test: Test) -> Sequence[object]:
    d, (one, two) = test.difference, test.abouts
    limits = "" if d.low is None else f" [{d.low:+.3f}, {d.high:+.3f}]"
    independent = "SPEAKER-DEPENDENT" if one.speaker_independent is False else "speaker-independent"
    place = ", ".join(f for f in ((one.protocol or "").replace("_", " "), independent) if f)
    answered = [p for p in test.claim.printed if test.answers(p)]
    same = "" if answered or test.ours else "on another corpus or under another protocol"
    return (
        test.claim.text.replace("_", " "),
        "; ".join(map(_values, answered)) or same,
        Cell(f"{test.found.a} / {test.found.b}", "variants of ours" if test.ours else ""),
        Cell(f"study {test.study}: {one.corpus}, {place}", f"{test.found.units} {test.found.unit}s"),
        _pair(f"{about.size} size, {plural(len(about.seeds), 'seed')}" for about in (one, two)),
        label(d.metric),
        f"{d.a:.3f}",
        f"{d.b:.3f}",
        f"{d.difference:+.3f}{limits}",
        wording.number(d.p_holm),
        f"{d.detectable:.3f}",
        test.verdict,
    )


def _pair(facts: Iterator[str]) -> str:
    return " / ".join(dict.fromkeys(facts))


def _values(printed: Printed) -> str:
    """``0.860 and 0.830 (table 4)``."""
    values = "the text only" if printed.a is None or printed.b is None else f"{printed.a:.3f} and {printed.b:.3f}"
    return f"{values} ({printed.table.replace('_', ' ')})"


def _open(missing: Sequence[tuple[Claim, Printed]], corpora: set[str | None]) -> Table | None:
    rows = [
        (
            claim.text.replace("_", " "),
            f"{p.corpus}, {p.protocol.replace('_', ' ')}",
            p.table.replace("_", " "),
            number(p.a),
            number(p.b),
            "no results of both" if p.corpus in corpora else ledger.LICENCE.get(p.corpus, "no results of both"),
        )
        for claim, p in missing
    ]
    header = ("claim", "corpus, protocol", "place", "printed A", "printed B", "why open")
    return Table("Open", header, rows) if rows else None
