from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import medfilt

from ser.core.errors import SerError
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.evaluation import evaluate, postprocessing, predictions
from ser.evaluation.metrics import ccc
from ser.evaluation.postprocessing import Delay, Median, Rescale, fit
from ser.evaluation.predictions import Predictions

DIMENSIONS = ("arousal", "valence")
DETAILS = {"protocol": "partitions", "synthetic": False, "selection": "dev"}


def traces(part, gold, predicted, fold="partition-test", seed=1, dimensions=DIMENSIONS):
    """A table of recordings; `gold` and `predicted` make (N,) from a random generator and from the gold."""
    g, rows = np.random.default_rng(len(part)), []
    for r in range(3):
        time = np.round(np.arange(150 + 10 * r) / 10, 3)
        rows.append(pd.DataFrame({"utterance": f"{part}_{r}", "corpus": "sewa", "fold": fold, "time": time}))
        for d in dimensions:
            own = gold(g, len(time))
            rows[-1][f"truth_{d}"], rows[-1][f"prediction_{d}"] = own, predicted(own)
    table = pd.concat(rows, ignore_index=True)
    return table.assign(seed=seed, speaker=table["utterance"])


def walk(g, n):
    return np.cumsum(g.normal(size=n))


def made(table):
    return Predictions(table, "continuous", dimensions=DIMENSIONS)


def columns(p):
    return p.table[[f"prediction_{d}" for d in DIMENSIONS]].to_numpy()


def early(seconds):
    """Predictions that follow the gold standard earlier than the annotators do, by so many rows."""
    return lambda gold: np.append(gold[round(10 * seconds) :], np.full(round(10 * seconds), gold[-1]))


def test_a_planted_delay_is_found_and_undone_up_to_the_edge():
    dev, test = (traces(part, walk, early(2)) for part in ("Devel", "Test"))
    found, chosen = postprocessing.run(made(test), made(dev))["delay"]
    assert chosen == {"delay_s": {d: [2.0, 2.0, 2.0] for d in DIMENSIONS}}
    for _, own in found.table.groupby("utterance"):
        truth, predicted = own["truth_valence"].to_numpy(), own["prediction_valence"].to_numpy()
        np.testing.assert_array_equal(predicted[20:], truth[20:])
        assert set(predicted[:20]) == {truth[20]}  # the first value of the recording


def test_delays_of_dimensions_folds_and_seeds_are_their_own():
    parts = []
    for fold, seed, seconds in (("a", 1, 1.0), ("b", 1, 3.0), ("a", 2, 0.0), ("b", 2, 4.0)):
        pair = [traces(part, walk, early(seconds), fold, seed) for part in ("Devel", f"Test_{fold}")]
        for table in pair:
            table["prediction_arousal"] = table["truth_arousal"]
        parts.append(pair)
    dev, test = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    _, chosen = postprocessing.run(made(test), made(dev))["delay"]
    assert chosen["delay_s"] == {"arousal": [0.0, 0.0, 0.0], "valence": [0.0, 2.0, 4.0]}


def test_a_planted_scale_is_undone_with_the_moments_of_dev():
    """Test predictions are 0.25 gold + 0.3 in truth; dev says y = (x - 0.3) / 0.5, so what is left is half the gold."""
    dev = traces("Devel", walk, lambda gold: 0.5 * gold + 0.3)
    test = traces("Test", walk, lambda gold: 0.25 * gold + 0.3)
    found, chosen = postprocessing.run(made(test), made(dev))["rescale"]
    assert chosen["factor"] == {d: [2.0, 2.0, 2.0] for d in DIMENSIONS}
    assert chosen["offset"] == {d: [-0.6, -0.6, -0.6] for d in DIMENSIONS}
    for d in DIMENSIONS:
        gold = test[f"truth_{d}"].to_numpy()
        # 2 cov / (var + var + gap of the means squared) of y = x / 2
        closed = gold.var() / (1.25 * gold.var() + (gold.mean() / 2) ** 2)
        assert ccc(found.table[f"prediction_{d}"], gold) == pytest.approx(closed, rel=1e-9)
    constant = fit(["rescale"], [np.full(5, 0.7)], np.array([0.0, np.nan, 0.2, 0.1, 0.3]))
    assert constant == [Rescale(1.0, pytest.approx(0.15 - 0.7))]


def test_the_median_is_that_of_scipy_signal_and_of_brute_force():
    x = np.random.default_rng(3).normal(size=200)
    for seconds in (0.1, 0.5, 1.1, 8.1):
        rows = round(10 * seconds)
        half = rows // 2
        padded = np.pad(x, half, mode="edge")
        brute = [np.median(padded[i : i + rows]) for i in range(len(x))]
        np.testing.assert_array_equal(Median(seconds)(x), brute)
        inner = slice(half, len(x) - half)  # scipy.signal has zeros beyond the ends
        np.testing.assert_array_equal(Median(seconds)(x)[inner], medfilt(x, rows)[inner])


def test_a_filter_is_chosen_where_it_helps():
    def spiked(gold):
        out = gold.copy()
        out[::7] += 50
        return out

    def slow(g, n):
        return np.sin(np.arange(n) / 20 + g.normal())

    dev, test = (traces(part, slow, spiked) for part in ("Devel", "Test"))
    _, chosen = postprocessing.run(made(test), made(dev))["median"]
    assert chosen["window_s"]["arousal"] == [0.5, 0.5, 0.5]  # the shortest that removes single rows
    clean = traces("Devel", walk, np.copy)
    assert postprocessing.run(made(test), made(clean))["median"][1]["window_s"]["valence"] == [0.1, 0.1, 0.1]


def test_the_chain_is_fitted_in_its_order():
    dev, test = (traces(part, walk, lambda gold: 0.5 * early(2)(gold) + 1) for part in ("Devel", "Test"))
    found, chosen = postprocessing.run(made(test), made(dev))["all"]
    assert list(chosen) == ["delay_s", "window_s", "factor", "offset"]
    by_hand = [Delay(2.0), Median(0.1)]
    names = dev["utterance"].to_numpy()
    held = [dev["prediction_arousal"].to_numpy()[names == n] for n in dict.fromkeys(names)]
    delayed = np.concatenate(postprocessing.apply(by_hand, held))
    gold = dev["truth_arousal"].to_numpy()
    factor = gold.std() / delayed.std()
    assert chosen["factor"]["arousal"] == [pytest.approx(factor, abs=1e-4)] * 3
    offset = gold.mean() - factor * delayed.mean()
    own = test.loc[test["utterance"] == "Test_1", "prediction_arousal"].to_numpy()
    expected = factor * postprocessing.apply(by_hand, [own])[0] + offset
    made_of_it = found.table.loc[found.table["utterance"] == "Test_1", "prediction_arousal"]
    np.testing.assert_allclose(made_of_it, expected, atol=1e-12)


def test_nothing_crosses_the_borders_of_recordings():
    """Each recording of test, alone, comes out as among the others; rows may come in any order."""
    dev, test = traces("Devel", walk, early(2)), traces("Test", walk, early(2))
    together = postprocessing.run(made(test.sample(frac=1, random_state=1)), made(dev))
    for option, (found, _) in together.items():
        for name, own in found.table.groupby("utterance"):
            alone = postprocessing.run(made(test[test["utterance"] == name]), made(dev))[option][0]
            np.testing.assert_array_equal(own.filter(like="prediction_"), columns(alone))


def test_labels_of_test_change_no_prediction():
    dev, test = traces("Devel", walk, early(1)), traces("Test", walk, lambda gold: early(3)(gold) / 2)
    shuffled = test.copy()
    for d in DIMENSIONS:
        shuffled[f"truth_{d}"] = np.random.default_rng(5).permutation(test[f"truth_{d}"])
    one, two = (postprocessing.run(made(t), made(dev)) for t in (test, shuffled))
    for option in postprocessing.OPTIONS:
        np.testing.assert_array_equal(columns(one[option][0]), columns(two[option][0]))
        assert one[option][1] == two[option][1]
    assert one["delay"][1]["delay_s"]["valence"] == [1.0, 1.0, 1.0]  # dev's, not the 3 s of test


def test_unlabelled_rows_of_dev_do_not_count():
    dev, test = traces("Devel", walk, early(2)), traces("Test", walk, early(2))
    dev.loc[dev.index % 3 == 0, "prediction_arousal"] = 100.0
    dev.loc[dev.index % 3 == 0, "truth_arousal"] = np.nan
    chosen = postprocessing.run(made(test), made(dev))["rescale"][1]
    there = dev["truth_arousal"].notna()
    factor = dev.loc[there, "truth_arousal"].std() / dev.loc[there, "prediction_arousal"].std()
    assert chosen["factor"]["arousal"][0] == pytest.approx(factor, abs=1e-4)


def test_without_a_labelled_dev_part_of_every_fold_nothing_is_reported():
    dev, test = traces("Devel", walk, early(1)), traces("Test", walk, early(1))
    other = pd.concat([test, test.assign(seed=2)], ignore_index=True)
    assert postprocessing.run(made(other), made(dev)) == {}
    assert postprocessing.run(made(test), made(dev.assign(truth_valence=np.nan))) == {}


def test_dev_and_test_are_kept_apart():
    test = traces("Test", walk, early(1))
    with pytest.raises(SerError, match="'Test_0' is in test and in dev"):
        postprocessing.run(made(test), made(test))
    with pytest.raises(SerError, match="dev has arousal, test arousal, valence"):
        postprocessing.run(made(test), Predictions(test, "continuous", dimensions=("arousal",)))


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """evaluated(test, dev or None) -> the result."""
    monkeypatch.chdir(tmp_path)
    layout = Layout("s")
    write_json(layout.card("x"), {})

    def evaluated(test, dev=None):
        predictions.write(test, layout.predictions("x"))
        if dev is not None:
            predictions.write(dev, layout.card("x").with_name("dev.csv"))
        return evaluate.run(layout, "x", DETAILS, 100)

    return evaluated


def test_it_stands_beside_the_headline_and_never_in_it(evaluated):
    test, dev = traces("Test", walk, early(2)), traces("Devel", walk, early(2))
    alone, both = evaluated(test), evaluated(test, dev)
    assert both.scores == alone.scores
    found = both.postprocessing
    assert list(found) == ["delay", "median", "rescale", "all"]
    expected = [
        np.append(np.full(20, g[20]), g[20:])
        for _, g in test.groupby("utterance")["truth_arousal"]
        for g in [g.to_numpy()]
    ]
    value = ccc(np.round(np.concatenate(expected), 5), test["truth_arousal"])
    delayed = found["delay"].scores
    assert delayed["ccc_arousal"].value == pytest.approx(value, abs=6e-5)
    assert delayed["ccc"].value > both.headline.value
    assert delayed["ccc"].low < delayed["ccc"].value < delayed["ccc"].high
    assert postprocessing.NOTE in both.notes
    assert not alone.postprocessing
    assert postprocessing.NOTE not in alone.notes


def test_the_dev_part_has_its_own_numbers(evaluated):
    test, dev = traces("Test", walk, early(2)), traces("Devel", walk, early(1))
    found = evaluated(test, dev)
    for name in ("arousal", "valence"):
        value = ccc(dev[f"prediction_{name}"].round(5), dev[f"truth_{name}"])
        assert found.dev[f"ccc_{name}"] == pytest.approx(value, abs=6e-5)
    (note,) = [n for n in found.notes if n.startswith("the dev part")]
    assert f"CCC arousal {found.dev['ccc_arousal']:.3f}" in note
    unlabelled = dev.assign(truth_arousal=np.nan, truth_valence=np.nan)
    assert not evaluated(test, unlabelled).dev


def test_the_interval_is_that_of_the_headline(evaluated):
    """If dev changes nothing, the numbers are those of the headline, intervals included: the resamples are the same."""
    test, dev = traces("Test", walk, lambda gold: gold + 1), traces("Devel", walk, np.copy)
    found = evaluated(test, dev)
    for option in ("delay", "median"):
        for name, score in found.postprocessing[option].scores.items():
            own = found.scores[name]
            assert (score.value, score.low, score.high) == (own.value, own.low, own.high)


def test_no_labels_nothing_to_report(evaluated):
    test = traces("Test", walk, early(2)).assign(truth_arousal=np.nan, truth_valence=np.nan)
    assert not evaluated(test, traces("Devel", walk, early(2))).postprocessing
