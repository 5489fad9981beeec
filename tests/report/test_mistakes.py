"""What each mistake is worth: the page docs/mistakes.md and its figure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ser.evaluation.results import Description, Result, Score
from ser.report import mistakes
from ser.report.write import render


def result(name: str, ua: float, data: str = "real") -> Result:
    about = Description(name, corpus="emodb", data=data, labels=("a", "b", "c", "d"), seeds=(1,))
    return Result(about, {"ua": Score(ua, ua - 0.05, ua + 0.05)})


def test_a_pair_needs_both_results_and_says_what_the_mistake_adds():
    honest, mistaken = "svm-emodb-loso", "svm-emodb-kfold10"
    found = {
        "emodb": {honest: result(honest, 0.7), mistaken: result(mistaken, 0.85), "ae-emodb-loso": result("x", 0.5)}
    }
    made = mistakes.contents(found)
    (row,) = made["table"].body
    assert row[:3] == ["SVM on IS10", "random folds", "emodb"]
    assert row[3:7] == ["0.700 [0.650, 0.750]", "0.850 [0.800, 0.900]", "+0.150", "0.250"]
    assert len(made["missing"]) == len(mistakes.pairs_of_experiments()) - 1
    page, figure = render("mistakes.md", made), render("mistakes.svg", made)
    assert "| SVM on IS10 | random folds | emodb |" in page
    circles = [float(c.get("cx")) for c in ElementTree.fromstring(figure).iter() if c.tag.endswith("circle")][2:]
    assert circles == [mistakes.LEFT + round(mistakes.SCALE * v) for v in (0.85, 0.7)]


def test_synthetic_speech_is_marked_and_no_results_are_no_error():
    pair = next(p for p in mistakes.pairs_of_experiments() if p.study == "leaks")
    found = {"leaks": {n: result(n, 0.5, "synthetic") for n in (pair.honest, pair.mistaken)}}
    assert "SYNTHETIC" in render("mistakes.svg", mistakes.contents(found))
    assert ElementTree.fromstring(render("mistakes.svg", mistakes.contents({}))) is not None


def test_every_experiment_of_a_pair_is_in_its_study():
    from tests.conftest import ROOT

    for pair in mistakes.pairs_of_experiments():
        text = (ROOT / "studies" / pair.study / "params.yaml").read_text()
        for name in (pair.honest, pair.mistaken):
            assert re.search(rf"^  {name}:", text, flags=re.M), name
