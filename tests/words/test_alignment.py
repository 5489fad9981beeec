from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from ser.core.errors import SerError
from ser.words import alignment, diagnostics, vectors
from ser.words.config import Alignment
from tests.words.planted import pair, rotation

SMALL = Alignment(dis_hid_dim=48, epoch_size=8000, n_epochs=3, normalize_embeddings=())


def _precision(aligned, speech, text):
    pairs = speech.shared(text)
    return diagnostics.translation(aligned(speech.matrix), aligned.text(text.matrix), pairs)["precision@1"]


def test_procrustes_recovers_a_planted_rotation():
    q = rotation(100, 0)
    speech, text = pair(2000, 100, q, 0)
    w = alignment.procrustes(speech.matrix, text.matrix)
    assert np.abs(w - q).max() < 1e-6
    np.testing.assert_allclose(w @ w.T, np.eye(100), atol=1e-12)


def test_procrustes_is_scipys_turned_over():
    g = np.random.default_rng(1)
    s, t = g.normal(size=(30, 7)), g.normal(size=(30, 7))
    np.testing.assert_allclose(alignment.procrustes(s, t), orthogonal_procrustes(s, t)[0].T, atol=1e-12)


def test_procrustes_is_the_best_of_many_rotations():
    """Orientation: W s, not W^T s, comes near t."""
    g = np.random.default_rng(2)
    s, t = g.normal(size=(40, 3)), g.normal(size=(40, 3))
    w = alignment.procrustes(s, t)
    best = min(np.linalg.norm(s @ r.T - t) for r in ortho_group.rvs(3, 500, random_state=0))
    assert np.linalg.norm(s @ w.T - t) <= best
    assert np.linalg.norm(s @ w - t) > np.linalg.norm(s @ w.T - t) + 0.1


def test_precision_with_ten_percent_noise():
    speech, text = pair(2000, 100, rotation(100, 3), 3, noise=0.1)
    settings = Alignment(held_out=0.5)
    aligned = alignment.supervised(speech, text, settings)
    _, held_out = alignment.split(speech, text, settings)
    found = diagnostics.translation(aligned(speech.matrix), aligned.text(text.matrix), held_out)
    assert found["words"] == 1000
    assert found["precision@1"] > 0.95


def test_orthogonality_step():
    w = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a = w.numpy()
    np.testing.assert_allclose(alignment.orthogonalise(w, 0.01), 1.01 * a - 0.01 * (a @ a.T) @ a, rtol=1e-12)
    w = w / torch.linalg.matrix_norm(w, 2)
    for _ in range(2000):
        w = alignment.orthogonalise(w, 0.01)
    np.testing.assert_allclose(w @ w.T, np.eye(5), atol=1e-6)


def test_discriminator_has_the_size_of_muses():
    network = alignment.discriminator(100, Alignment())
    assert sum(p.numel() for p in network.parameters()) == 4_405_249
    assert (network[0].p, network[2].negative_slope, network[4].negative_slope) == (0.1, 0.2, 0.2)


def test_adversarial_training_recovers_a_rotation_that_refinement_alone_does_not():
    speech, text = pair(200, 6, rotation(6, 3, 1.5), 3)
    alone = alignment.align(speech, text, replace(SMALL, n_epochs=0))
    assert _precision(alone, speech, text) < 0.2
    aligned = alignment.align(speech, text, SMALL)
    assert _precision(aligned, speech, text) > 0.9
    assert np.abs(aligned.w - rotation(6, 3, 1.5)).max() < 0.05
    criteria = [h["criterion"] for h in aligned.history]
    assert max(criteria) == criteria[-1] > 0.99


def test_a_killed_training_ends_with_the_same_bytes(tmp_path, monkeypatch):
    speech, text = pair(60, 4, rotation(4, 1), 1)
    settings = replace(SMALL, epoch_size=640, dis_hid_dim=8)
    whole = alignment.align(speech, text, settings)

    class KilledError(Exception):
        pass

    epoch, done = alignment.Adversaries.epoch, []

    def killed(self):
        if len(done) == 2:
            raise KilledError
        done.append(1)
        epoch(self)

    path = tmp_path / "checkpoint.pt"
    monkeypatch.setattr(alignment.Adversaries, "epoch", killed)
    with pytest.raises(KilledError):
        alignment.align(speech, text, settings, path)
    torch.manual_seed(999)  # the state of the generator must not matter
    done[:] = [1]  # one more is allowed: only the third is left
    again = alignment.align(speech, text, settings, path)
    assert again.w.tobytes() == whole.w.tobytes()
    assert again.history == whole.history
    assert alignment.align(speech, text, settings, path).w.tobytes() == whole.w.tobytes()  # finished: nothing is left


def test_the_learning_rate_shrinks_from_the_second_drop_on(monkeypatch):
    speech, text = pair(20, 4, rotation(4, 1), 1)
    values = iter([0.5, 0.4, 0.6, 0.3, 0.2])
    monkeypatch.setattr(alignment, "criterion", lambda *_: next(values))
    x, y = torch.from_numpy(speech.matrix), torch.from_numpy(text.matrix)
    both = alignment.Adversaries(x, y, replace(SMALL, epoch_size=32, dis_hid_dim=4, lr=0.1), None)
    rates = []
    for _ in range(5):
        both.epoch()
        rates.append(both.progress.lr)
    np.testing.assert_allclose(rates, 0.1 * 0.98 ** np.arange(1, 6) * [1, 1, 1, 0.5, 0.25])


def test_labels_and_what_each_side_learns():
    """A step of the discriminator lowers its own loss and does not change W; a step of the map does the reverse."""
    speech, text = pair(40, 4, rotation(4, 1), 1)
    x, y = torch.from_numpy(speech.matrix), torch.from_numpy(text.matrix)
    both = alignment.Adversaries(x, y, replace(SMALL, dis_hid_dim=8, dis_input_dropout=0.0, map_beta=0.0), None)
    np.testing.assert_allclose(both.labels[:, 0], [0.9] * 32 + [0.1] * 32)
    ids = torch.from_numpy(np.random.default_rng(0).integers(40, size=(2, 32)))
    weights = [p.clone() for p in both.discriminator.parameters()]
    first = both.discriminator_step(ids)
    assert torch.equal(both.w, torch.eye(4))
    assert both.discriminator_step(ids) < first
    trained = [p.clone() for p in both.discriminator.parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(weights, trained, strict=True))
    before = both.map_step(ids)
    assert not torch.equal(both.w, torch.eye(4))
    assert both.map_step(ids) < before
    assert all(torch.equal(a, b) for a, b in zip(trained, both.discriminator.parameters(), strict=True))


def test_dictionary_identical_starts_from_the_words_both_have():
    speech, text = pair(200, 20, rotation(20, 5), 5)
    given = replace(SMALL, n_epochs=0, n_refinement=1, dictionary="identical", held_out=0.3)
    aligned = alignment.align(speech, text, given)
    assert aligned.history[-1]["pairs"] == 140
    assert _precision(aligned, speech, text) == 1.0
    assert _precision(alignment.align(speech, text, replace(given, dictionary="csls")), speech, text) < 0.5
    other = vectors.Vectors(tuple(f"x{i}" for i in range(200)), text.matrix, text.counts)
    with pytest.raises(SerError, match="speech and text share no word"):
        alignment.align(speech, other, given)
    with pytest.raises(SerError, match="speech and text share no word"):
        alignment.supervised(speech, other, given)


def test_held_out_words_are_in_no_dictionary():
    speech, text = pair(100, 4, rotation(4, 0), 0)
    known, held_out = alignment.split(speech, text, Alignment(held_out=0.25))
    assert (len(known), len(held_out)) == (75, 25)
    assert not set(known[:, 0]) & set(held_out[:, 0])
    fewer = vectors.Vectors(text.words[50:], text.matrix[50:], text.counts[50:])
    known, held_out = alignment.split(speech, fewer, Alignment(held_out=0.25))
    assert np.array_equal(np.concatenate([known, held_out])[:, 0] - 50, np.concatenate([known, held_out])[:, 1])


def test_normaliser_centres_types_and_takes_tokens_along():
    g = np.random.default_rng(0)
    types, tokens = g.normal(3, 1, (50, 5)), g.normal(3, 1, (7, 5))
    made = alignment.Normaliser.fit(types, ("renorm", "center", "renorm"))
    expected = types / np.linalg.norm(types, axis=1, keepdims=True)
    mean = expected.mean(0)
    expected -= mean
    np.testing.assert_allclose(made(types), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    other = tokens / np.linalg.norm(tokens, axis=1, keepdims=True) - mean
    np.testing.assert_allclose(made(tokens), other / np.linalg.norm(other, axis=1, keepdims=True), atol=1e-6)


def test_saved_and_loaded(tmp_path):
    speech, text = pair(50, 4, rotation(4, 0), 0)
    aligned = alignment.align(speech, text, Alignment(n_epochs=0))
    alignment.save(tmp_path, aligned, {"kind": "alignment"})
    again = alignment.load(tmp_path)
    np.testing.assert_array_equal(again(speech.matrix), aligned(speech.matrix))
    assert again.history == aligned.history
    (tmp_path / "alignment.safetensors").write_bytes(b"no")
    with pytest.raises(SerError, match="damaged file"):
        alignment.load(tmp_path)


def test_spaces_that_cannot_be_aligned():
    speech, text = pair(50, 4, rotation(4, 0), 0)
    with pytest.raises(SerError, match="4 dimensions of speech, 3 of text"):
        alignment.identity(speech, text.replaced(text.matrix[:, :3]), SMALL)
    with pytest.raises(SerError, match="the losses are"):
        alignment.align(speech, text, replace(SMALL, lr=1e30, epoch_size=640))


@pytest.mark.parametrize(
    ("n", "m", "k", "top", "block"), [(37, 53, 10, 3, 8), (5, 4, 10, 10, 1024), (64, 64, 1, 1, 64)]
)
def test_csls_is_the_brute_force_one(n, m, k, top, block):
    g = np.random.default_rng(n)
    x, y = vectors.unit(g.normal(size=(n, 6))), vectors.unit(g.normal(size=(m, 6)))
    cosine = x @ y.T
    r_text = np.sort(cosine, axis=1)[:, ::-1][:, :k].mean(1)
    r_speech = np.sort(cosine, axis=0)[::-1][:k].mean(0)
    scores = 2 * cosine - r_text[:, None] - r_speech
    order = np.argsort(-scores, axis=1)[:, :top]
    found = alignment.nearest(torch.from_numpy(x), torch.from_numpy(y), top, k, block)
    np.testing.assert_array_equal(found.columns, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, order, 1), atol=1e-12)
    plain = alignment.nearest(torch.from_numpy(x), torch.from_numpy(y), top, None, block)
    np.testing.assert_array_equal(plain.columns, np.argsort(-cosine, axis=1)[:, :top])
