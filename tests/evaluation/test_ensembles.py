from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean

from ser.core.errors import SerError
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.evaluation import ensembles, predictions
from ser.evaluation.evaluate import run_study

CLASSES = ("anger", "joy", "sadness")


def table(generator: np.random.Generator, seeds: tuple[int, ...], fold: str = "all") -> pd.DataFrame:
    rows = []
    for seed in seeds:
        for i in range(12):
            rows.append(
                {
                    "utterance": f"u{i:02}",
                    "corpus": "toy",
                    "fold": fold,
                    "seed": seed,
                    "speaker": f"s{i % 4}",
                    "truth": CLASSES[i % 3],
                    **dict(zip([f"score_{c}" for c in CLASSES], generator.dirichlet([1, 1, 1]), strict=True)),
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made, generator = Layout("toy"), np.random.default_rng(0)
    for name, seeds, transductive in (("a", (1, 2), False), ("b", (1,), True)):
        predictions.write(table(generator, seeds), made.predictions(name))
        about = {"protocol": "kfold", "synthetic": False, "selection": "last", "transductive": transductive}
        write_json(made.card(name), about | {"notes": {}, "corpus": "toy"})
    return made


def test_scores_are_the_geometric_mean_of_the_members_and_of_their_seeds(layout):
    a, b = (predictions.read(layout.predictions(n)) for n in "ab")
    rows = ensembles.combined({"a": a, "b": b}, "both").set_index("utterance").sort_index()
    columns = [f"score_{c}" for c in CLASSES]
    by_seed = [t.set_index("utterance").sort_index()[columns] for _, t in a.table.groupby("seed")]
    mean = gmean([gmean(by_seed, axis=0), b.table.set_index("utterance").sort_index()[columns]], axis=0)
    np.testing.assert_allclose(rows[columns], mean / mean.sum(1, keepdims=True), atol=1e-6)


def test_a_member_that_excludes_a_class_does_not_rule_it_out(layout):
    a = predictions.read(layout.predictions("a"))
    a.table[[f"score_{c}" for c in CLASSES]] = [0.0, 1.0, 0.0]
    b = predictions.read(layout.predictions("b"))
    rows = ensembles.combined({"a": a, "b": b}, "both")
    assert np.isfinite(rows[[f"score_{c}" for c in CLASSES]]).all(axis=None)


def test_members_that_were_not_tested_on_the_same_are_refused(layout):
    a = predictions.read(layout.predictions("a"))
    b = predictions.read(layout.predictions("b"))
    b.table["fold"] = "another"
    with pytest.raises(SerError, match="b and a were not tested on the same") as error:
        ensembles.combined({"a": a, "b": b}, "both")
    assert error.value.where == "ensembles.both"


def test_the_evaluation_treats_an_ensemble_as_an_experiment(layout):
    own = {"model": "svm", "corpus": "toy", "protocol": "kfold", "selection": "last", "control": "none"}
    settings = {
        "study": "toy",
        "experiments": {n: own for n in "ab"} | {"both": {**own, "model": "ensemble", "members": ["a", "b"]}},
        "draws": 20,
        "confidence": 0.95,
    }
    found = run_study(layout, settings)
    assert list(found.index) == ["a", "b", "both"]
    assert found.loc["both", "transductive"]  # because one of its members is
    assert layout.scores("both").exists()
    notes = layout.details("both").read_text()
    assert "ensemble, the mean of the log scores of a (2 seeds), b (1 seed)" in notes
    assert layout.evidence("a") == (layout.predictions("a"), layout.card("a"))
    assert layout.evidence("both")[0].exists()
    del settings["experiments"]["both"]
    run_study(layout, settings)
    assert not layout.details("both").exists()
    assert not layout.evidence("both", ensemble=True)[0].exists()
