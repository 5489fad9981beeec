from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ser.cli import main
from ser.core.files import write_json
from ser.core.layout import Layout
from ser.evaluation import compare, evaluate, metrics, pooling, predictions, results
from ser.evaluation.predictions import Predictions

CLASSES = ("anger", "boredom", "neutral", "sadness")


def of(table) -> Predictions:
    scores = table[[f"score_{c}" for c in CLASSES]].to_numpy()
    return Predictions(table.assign(prediction=np.array(CLASSES)[scores.argmax(1)]), "classification", CLASSES)


@pytest.fixture
def pair(make_emotions):
    """Two systems on the same utterances; the second is worse, by a different amount for each speaker."""

    def pair(speakers=8, drop=0.5, **more):
        table = make_emotions(speakers=speakers, accuracy=0.8, **more)
        rng = np.random.default_rng(3)
        spoiled = rng.random(len(table)) < drop * rng.random(speakers)[table["speaker"].astype(int)]
        columns = [f"score_{c}" for c in CLASSES]
        worse = table.copy()
        worse.loc[spoiled, columns] = np.roll(table.loc[spoiled, columns].to_numpy(), 1, axis=1)
        return of(table), of(worse)

    return pair


def accuracies(p):
    hit = p.table["truth"] == p.table["prediction"]
    return hit.groupby(p.table["speaker"]).mean().to_numpy()


def test_p_is_that_of_scipy_over_the_speakers(pair):
    """Speakers of equal size: WA is the mean of their accuracies, the test a paired permutation test of a mean."""
    a, b = pair()
    found = compare.compare(("a", "b"), a, b, 100, only=["wa"])
    one, two = accuracies(a), accuracies(b)
    expected = stats.permutation_test(
        (one, two), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert (found.exact, found.ways, found.smallest_p) == (True, 256, 2 / 256)
    assert found.differences[0].p == pytest.approx(expected.pvalue)
    assert found.differences[0].difference == pytest.approx(one.mean() - two.mean())


def test_drawn_p_agrees_with_the_exact_one(pair, monkeypatch):
    a, b = pair(drop=0.12)
    exact = compare.compare(("a", "b"), a, b, 20_000)
    monkeypatch.setattr(compare, "EXACT", 4)
    drawn = compare.compare(("a", "b"), a, b, 20_000)
    assert not drawn.exact
    for d, e in zip(drawn.differences, exact.differences, strict=True):
        assert 0.02 < e.p < 0.9  # neither end, where any two methods agree
        assert d.p == pytest.approx(e.p, abs=4 * np.sqrt(e.p * (1 - e.p) / 20_000))


def test_alike_systems_are_rarely_told_apart():
    """Under the null the share of p <= 0.05 is at most 0.05 (its standard error over 400 runs is 0.011)."""
    rng = np.random.default_rng(9)
    ways = compare._ways(8, 0, "x")
    below = 0
    for _ in range(400):
        own = rng.beta(6, 4, size=8)  # speakers differ, systems do not
        right = rng.binomial(20, own, size=(2, 8))
        units = np.zeros((2, 1, 8, 2, 2))
        units[:, 0, :, 0, 0], units[:, 0, :, 0, 1] = right, 20 - right
        below += compare._p_value(*units, metrics.wa, ways) <= 0.05
    assert 0.01 < below / 400 <= 0.05 + 3 * 0.011


def test_interval_and_detectable_difference_of_a_mean_are_students(pair):
    """Many speakers of equal size: the t interval of the paired differences, and the textbook's detectable one."""
    a, b = pair(speakers=60, seeds=(1,))
    (d,) = compare.compare(("a", "b"), a, b, 20_000, only=["wa"]).differences
    differences = accuracies(a) - accuracies(b)
    error = differences.std(ddof=1) / np.sqrt(60)
    half = stats.t.ppf(0.975, 59) * error
    assert d.sampling_sd == pytest.approx(error, rel=0.03)
    assert (d.low, d.high) == pytest.approx((d.difference - half, d.difference + half), abs=0.1 * half)
    assert d.detectable == pytest.approx((stats.t.ppf(0.975, 59) + stats.t.ppf(0.8, 59)) * error, rel=0.03)


def test_holm_as_worked_by_hand():
    assert compare.adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert compare.adjusted([0.5, 0.9]) == [1, 1]
    assert compare.adjusted([]) == []


def test_the_family_is_all_differences_together(pair):
    a, b = pair()
    one = compare.compare(("a", "b"), a, b, 100, only=["wa"])
    same = compare.compare(("a", "c"), a, a, 100, only=["wa"])
    first, second = compare.holm([one, same])
    assert first.differences[0].p_holm == min(1, 2 * one.differences[0].p)
    assert (second.differences[0].p, second.differences[0].difference) == (1, 0)


def test_seeds_may_differ_in_number_and_their_spread_stands_beside(pair):
    a, b = pair()
    one = Predictions(b.table[b.table["seed"] == 1].reset_index(drop=True), b.kind, b.classes)
    (d,) = compare.compare(("a", "b"), a, one, 100, only=["wa"]).differences
    by_seed = [(t["truth"] == t["prediction"]).mean() for _, t in a.table.groupby("seed")]
    assert d.seed_sd == (pytest.approx(np.std(by_seed, ddof=1)), None)
    assert d.a == pytest.approx(np.mean(by_seed))


def test_order_of_the_names_turns_the_sign_alone(pair):
    a, b = pair()
    there, back = (compare.compare(n, *p, 2000) for n, p in ((("a", "b"), (a, b)), (("b", "a"), (b, a))))
    for x, y in zip(there.differences, back.differences, strict=True):
        assert (x.p, x.difference) == (pytest.approx(y.p), pytest.approx(-y.difference))


def test_continuous_experiments_are_compared_over_recordings(make_affect):
    table = make_affect(recordings=8)
    worse = table.assign(prediction_valence=-table["prediction_valence"])
    a, b = (Predictions(t, "continuous", dimensions=("arousal", "valence")) for t in (table, worse))
    found = compare.compare(("a", "b"), a, b, 500)
    ccc, arousal, valence = found.differences
    expected = 2 * metrics.ccc(table["prediction_valence"], table["truth_valence"])
    assert valence.difference == pytest.approx(expected, abs=0.2)  # the means of the series are nearly 0
    assert (arousal.difference, arousal.p) == (0, 1)
    assert ccc.difference == pytest.approx(valence.difference / 2)
    assert (found.unit, found.units, valence.p) == ("recording", 8, 2 / 256)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(corpus="ravdess"), "the first is on emodb, the second on ravdess"),
        (lambda t: t.iloc[1:], "other utterances, 1 only in the first, 0 only in the second, such as u00-00"),
        (lambda t: t.assign(truth=t["truth"].replace("anger", "neutral")), "the same utterances with another truth"),
        (lambda t: t.assign(speaker="x"), "the same utterances with another speaker"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(make_emotions, change, message):
    a = of(make_emotions(seeds=(1,)))
    with pytest.raises(Exception, match=message) as error:
        compare.compare(("a", "b"), a, of(change(a.table)), 10)
    assert "\n" not in str(error.value)


def test_other_labels_and_single_speakers_are_refused(make_emotions):
    a = of(make_emotions(seeds=(1,)))
    with pytest.raises(Exception, match="other labels, anger, boredom, neutral, sadness against anger"):
        compare.compare(("a", "b"), a, Predictions(a.table, a.kind, CLASSES[:1]), 10)
    one = of(make_emotions(speakers=1))
    with pytest.raises(Exception, match="one speaker is too few"):
        compare.compare(("a", "b"), one, one, 10)


def test_classes_in_another_order_are_the_same_labels(pair):
    a, b = pair()
    turned = Predictions(b.table, b.kind, CLASSES[::-1])
    assert compare.compare(("a", "b"), a, turned, 100) == compare.compare(("a", "b"), a, b, 100)


def test_in_large_groups_the_best_is_tested_against_each_of_the_others():
    assert compare.pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert compare.pairs(list("abcd"), most=3) == [("a", "b"), ("a", "c"), ("a", "d")]


@pytest.fixture
def study(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout("s")
    details = {"model": "svm", "corpus": "emodb", "protocol": "leave_one_speaker_out", "speaker_independent": True}
    for name, p, more in zip("ab", pair(), ({}, {"synthetic": True, "selection": "test_oracle"}), strict=True):
        predictions.write(p.table, layout.predictions(name))
        write_json(layout.card(name), {"synthetic": False, **more})
        results.write(layout, evaluate.run(layout, name, details, 50))
    return layout


def test_ser_compare_says_it_in_words_and_numbers(study, capsys):
    main(["compare", "a", "b", "--study", "s"])
    out = capsys.readouterr().out
    assert "A = a\nB = b\nstudy s, emodb, SYNTHETIC data, 160 utterances, 8 speakers" in out
    assert "WA: a is better by " in out
    assert "all 256 ways of exchanging" in out
    assert "Caution: b was selected on test." in out
    found = compare.compare(
        ("a", "b"), *(pooling.headline(predictions.read(study.predictions(n)), None)[0] for n in "ab"), 10_000
    )
    assert f"{found.differences[0].difference:+.3f}" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "bb", "--study", "s"], "unknown experiment 'bb' (study s)"),
        (["a", "b", "--study", "z"], "unknown study 'z'"),
        (["a", "a", "--study", "s"], "a compared with itself"),
    ],
)
def test_ser_compare_refuses_in_one_line(study, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        main(["compare", *words])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
