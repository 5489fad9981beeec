from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import stats

from ser.evaluation import intervals, metrics, predictions

K = 4
CLASSIFICATION = {"wa": metrics.wa, "ua": metrics.ua}


def simulate(rng, speakers, per_speaker=20, spread=0.15, center=0.6):
    """Confusions (1, S, K, K) of speakers with Beta distributed accuracies, and of their utterances (1, S * n, K, K).

    Classes are equally likely and errors spread evenly, so WA and UA of the population are both `center`.
    """
    strength = center * (1 - center) / spread**2 - 1
    own = rng.beta(center * strength, (1 - center) * strength, size=speakers)
    truth = rng.integers(K, size=(speakers, per_speaker))
    hit = rng.random(truth.shape) < own[:, None]
    prediction = np.where(hit, truth, (truth + rng.integers(1, K, size=truth.shape)) % K)
    one = np.zeros((speakers, per_speaker, K, K))
    np.put_along_axis(one.reshape(speakers, per_speaker, K * K), (truth * K + prediction)[..., None], 1, axis=-1)
    return one.sum(axis=1)[None], one.reshape(1, -1, K, K)


@functools.cache
def coverage(speakers, runs, draws=1000, expanded=True):
    """Share of runs whose 95 % interval holds the true 0.6: {unit: {metric: share}}."""
    rng = np.random.default_rng(11)
    held = {"speaker": [], "utterance": []}
    for run in range(runs):
        for unit, units in zip(held, simulate(rng, speakers), strict=True):
            found = intervals.bootstrap(units, CLASSIFICATION, draws, f"run {run}", expanded=expanded)
            held[unit].append([low <= 0.6 <= high for low, high in found.values()])
    return {unit: dict(zip(CLASSIFICATION, np.mean(h, axis=0), strict=True)) for unit, h in held.items()}


@pytest.mark.parametrize("speakers", [10, 24])
def test_speaker_intervals_cover_and_utterance_intervals_do_not(speakers, capsys):
    share = coverage(speakers, runs=400, expanded=True)
    with capsys.disabled():
        for unit, covered in share.items():
            said = ", ".join(f"{metric} {value:.1%}" for metric, value in covered.items())
            print(f"\nnominal 95 % over {unit}s, {speakers} speakers, covers: {said}", end="")
    for metric in CLASSIFICATION:
        assert 0.92 <= share["speaker"][metric] <= 0.97
        assert share["utterance"][metric] < 0.88


def test_without_the_correction_ten_speakers_cover_too_little():
    """On the same data as above; an expanded interval contains the plain one, so the shares can be compared."""
    plain, corrected = (coverage(10, runs=400, expanded=e)["speaker"] for e in (False, True))
    for metric in CLASSIFICATION:
        assert plain[metric] < corrected[metric] - 0.02
        assert plain[metric] < 0.925


@pytest.mark.parametrize("units", [2, 5, 10, 1000])
def test_tail_is_that_of_student_and_of_a_variance_too_small(units):
    """The quantiles of scipy's distributions, and the limit of many units."""
    t = stats.t.ppf(0.025, units - 1) * np.sqrt(units / (units - 1))
    assert intervals.tail(0.95, units) == pytest.approx(100 * stats.norm.cdf(t))
    assert intervals.tail(0.95, 10**8) == pytest.approx(2.5, rel=1e-5)


def test_plain_percentiles_agree_with_speakers_drawn_one_by_one():
    """The cluster bootstrap written out: draw speakers with replacement, take all utterances of each as often as it is
    drawn, compute the metric, take percentiles. Equal within the Monte-Carlo error, by which two such runs differ.
    """
    units, _ = simulate(np.random.default_rng(4), 12)
    cells = np.arange(K * K)
    samples = [np.repeat(cells, m.ravel().astype(int)) for m in units[0]]  # true and predicted class of each utterance

    def written_out(seed, draws=3000):
        rng = np.random.default_rng(seed)
        values = []
        for _ in range(draws):
            drawn = np.concatenate([samples[s] for s in rng.integers(12, size=12)])
            truth, prediction = drawn // K, drawn % K
            values.append(np.mean([np.mean(prediction[truth == k] == k) for k in range(K)]))
        # standard error of the 2.5th of so many percentiles of a normal: sqrt(p (1 - p) / draws) / density
        error = np.std(values) * np.sqrt(0.025 * 0.975 / draws) / stats.norm.pdf(1.96)
        return np.percentile(values, [2.5, 97.5]), 4 * error

    (once, error), (again, _) = written_out(1), written_out(2)
    ours = intervals.bootstrap(units, {"ua": metrics.ua}, 20_000, "x", expanded=False)["ua"]
    assert np.abs(once - again).max() < np.sqrt(2) * error
    assert np.abs(np.array(ours) - (once + again) / 2).max() < error


def test_ccc_intervals_over_recordings_cover():
    """x = y + recording offset + noise: CCC = 2 var(y) / (var(x) + var(y)) in closed form."""
    rng = np.random.default_rng(5)
    own, inner, offset, noise = 0.3, 0.2, 0.2, 0.2  # standard deviations
    var_y = own**2 + inner**2
    truth = 2 * var_y / (2 * var_y + offset**2 + noise**2)
    recordings, frames, held = 60, 30, 0
    group = np.repeat(np.arange(recordings), frames)
    for run in range(200):
        y = rng.normal(0, own, recordings)[group] + rng.normal(0, inner, group.size)
        x = y + rng.normal(0, offset, recordings)[group] + rng.normal(0, noise, group.size)
        units = metrics.moments(x, y, group, recordings)[None]
        low, high = intervals.bootstrap(units, {"ccc": metrics.ccc_from_moments}, 400, f"run {run}")["ccc"]
        held += low <= truth <= high
    assert 0.88 <= held / 200 <= 0.98


def test_interval_of_a_mean_equals_the_normal_one():
    """Equal-sized speakers: WA is the mean of speaker accuracies, the interval is Student's, sd / sqrt(S)."""
    rng = np.random.default_rng(0)
    right = rng.binomial(50, 0.7, size=200)
    units = np.zeros((1, 200, 2, 2))
    units[0, :, 0, 0], units[0, :, 0, 1] = right, 50 - right
    low, high = intervals.bootstrap(units, {"wa": metrics.wa}, 20000, "x")["wa"]
    accuracy = right / 50
    half = stats.t.ppf(0.975, 199) * accuracy.std(ddof=1) / np.sqrt(200)
    assert (low, high) == pytest.approx((accuracy.mean() - half, accuracy.mean() + half), abs=0.05 * half)


def test_matrix_product_equals_a_loop_over_resamples(emotions, tmp_path):
    """The same counts of speakers, replayed by repeating rows of the table, give the same bounds."""
    predictions.write(emotions, tmp_path / "p.csv")
    p = predictions.read(tmp_path / "p.csv")
    units = intervals.confusions(p, "speaker")
    found = intervals.bootstrap(units, CLASSIFICATION, 50, "x", expanded=False)
    rng = np.random.default_rng(int(intervals.digest("bootstrap", "x"), 16))
    order = np.lexsort(np.moveaxis(units, 0, 1).reshape(6, -1).T[::-1])  # the order of numpy.unique
    speakers = np.array(sorted(set(p.table["speaker"])))[order]
    rows = {key: part for key, part in p.table.groupby(["seed", "speaker"])}
    values = []
    for counts in rng.multinomial(6, np.full(6, 1 / 6), size=50):
        drawn = np.repeat(speakers, counts)
        by_seed = []
        for seed in (1, 2):
            truth = np.concatenate([rows[seed, s]["truth"] for s in drawn])
            prediction = np.concatenate([rows[seed, s]["prediction"] for s in drawn])
            by_seed.append(np.mean(truth == prediction))
        values.append(np.mean(by_seed))
    assert found["wa"] == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_draws_depend_on_the_name_alone(emotions, tmp_path):
    predictions.write(emotions, tmp_path / "p.csv")
    units = intervals.confusions(predictions.read(tmp_path / "p.csv"), "speaker")
    first = intervals.bootstrap(units, CLASSIFICATION, 300, "a")
    assert intervals.bootstrap(units, CLASSIFICATION, 300, "a") == first
    assert intervals.bootstrap(units, CLASSIFICATION, 300, "b") != first
    assert intervals.bootstrap(units, CLASSIFICATION, 300, "a", level=0.5)["wa"][0] > first["wa"][0]


def test_no_interval_from_one_speaker_or_without_draws(make_emotions, tmp_path):
    predictions.write(make_emotions(speakers=1), tmp_path / "p.csv")
    units = intervals.confusions(predictions.read(tmp_path / "p.csv"), "speaker")
    assert intervals.bootstrap(units, CLASSIFICATION, 100, "x") == {"wa": None, "ua": None}
    assert intervals.bootstrap(np.repeat(units, 2, axis=1), CLASSIFICATION, 0, "x") == {"wa": None, "ua": None}


def test_seeds_that_test_different_speakers_are_averaged_over_those_present():
    units = np.zeros((2, 3, 2, 2))
    units[0, 0] = units[0, 1] = [[3, 1], [0, 4]]
    units[1, 2] = [[1, 1], [1, 1]]
    low, high = intervals.bootstrap(units, {"wa": metrics.wa}, 500, "x")["wa"]
    assert (low, high) == (0.5, 0.875)  # only speaker 2, or only the others, drawn


def test_summaries_count_every_row(emotions, tmp_path):
    predictions.write(emotions, tmp_path / "p.csv")
    p = predictions.read(tmp_path / "p.csv")
    for unit, number in (("speaker", 6), ("utterance", 120), ("fold", 6), ("corpus", 1)):
        matrices = intervals.confusions(p, unit)
        assert matrices.shape == (2, number, K, K)
        one = p.table[p.table["seed"] == 2]
        np.testing.assert_array_equal(
            matrices[1].sum(axis=0), metrics.confusion(one["truth"], one["prediction"], p.classes)
        )


def test_moments_leave_out_unlabelled_frames(affect, tmp_path):
    affect.loc[5:20, "truth_valence"] = np.nan
    predictions.write(affect, tmp_path / "p.csv")
    p = predictions.read(tmp_path / "p.csv")
    sums = intervals.moments(p, "utterance").sum(axis=(0, 1))
    assert sums[:, 0].tolist() == [200, 184]
    truth = p.table["truth_valence"]
    expected = metrics.ccc(p.table["prediction_valence"], truth, mask=truth.notna())
    assert metrics.ccc_from_moments(sums)[1] == pytest.approx(expected)
