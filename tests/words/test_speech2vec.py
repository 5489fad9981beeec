from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ser.core.errors import SerError
from ser.words import speech2vec
from ser.words.config import Speech2Vec
from ser.words.speech2vec import Tokens

SMALL = Speech2Vec(dim=8, batch=32, epochs=3, min_count=2, optimiser="adam", lr=0.01, subsample=0.1, checkpoint_every=2)


def spoken(n=60, vocabulary=6, utterances=4, seed=0):
    """Words with a sound of their own, in random order."""
    g = np.random.default_rng(seed)
    sounds = [g.normal(size=(g.integers(2, 8), 13)) * 5 for _ in range(vocabulary)]
    ids = g.integers(vocabulary, size=n)
    frames = [sounds[i] + 0.1 * g.normal(size=sounds[i].shape) + 20 for i in ids]
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in frames])])
    names = tuple(f"u{i * utterances // n}" for i in range(n))
    return Tokens(np.concatenate(frames).astype(np.float32), offsets, tuple(f"w{i}" for i in ids), names)


def _word(tokens, i):
    return torch.from_numpy(tokens.frames[tokens.offsets[i] : tokens.offsets[i + 1]])


def test_size_at_paper_settings():
    assert sum(p.numel() for p in speech2vec.Model(Speech2Vec()).parameters()) == 93_413


def _cells(lstm, suffix=""):
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(cell, name, getattr(lstm, f"{name}_l0{suffix}"))  # shared, so that gradients meet
    return cell


def _one_by_one(model, tokens, pairs):
    """The loss of the specification, word by word and frame by frame, from LSTM cells."""
    forward, backward = _cells(model.encoder.lstm), _cells(model.encoder.lstm, "_reverse")
    decoder = _cells(model.decoder.lstm)
    total = 0.0
    for centre, neighbour in pairs:
        x, y = ((_word(tokens, i) - model.mean) / model.spread for i in (centre, neighbour))
        outs = []
        ends = []
        for cell, frames in ((forward, x), (backward, x.flip(0))):
            state = (torch.zeros(1, cell.hidden_size),) * 2
            hidden = []
            for frame in frames:
                state = cell(frame[None], state)
                hidden.append(state[0])
            outs.append(torch.cat(hidden))
            ends.append(state)
        memory = torch.cat([outs[0], outs[1].flip(0)], 1)
        state = tuple(torch.cat([a, b], 1) for a, b in zip(*ends, strict=True))
        previous = torch.zeros(1, 13)
        for frame in y:
            state = decoder(previous, state)
            weights = torch.softmax(memory @ state[0][0], 0)
            both = torch.cat([state[0][0], weights @ memory])
            made = model.decoder.out(torch.tanh(model.decoder.combine(both)))
            total = total + ((made - frame) ** 2).sum()
            previous = frame[None]
    return total


def test_the_loss_is_that_of_one_word_at_a_time():
    tokens = spoken()
    torch.manual_seed(0)
    model = speech2vec.Model(SMALL)
    model.fit(torch.from_numpy(tokens.frames))
    pairs = speech2vec.Context(tokens, SMALL).pairs(0)[:40]
    together, apart = speech2vec.error_of(model, tokens, pairs), _one_by_one(model, tokens, pairs)
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    gradients = [torch.autograd.grad(error, list(model.parameters())) for error in (together, apart)]
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(b.abs().max()) + 1e-6)


def test_frames_are_z_scored():
    tokens = spoken()
    model = speech2vec.Model(SMALL)
    model.fit(torch.from_numpy(tokens.frames))
    np.testing.assert_allclose(model.mean, tokens.frames.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.spread, tokens.frames.std(0), rtol=1e-5)
    still = speech2vec.Model(SMALL)
    still.fit(torch.ones(5, 13))
    assert still.spread.tolist() == [1.0] * 13


def test_neighbours():
    words = ["a", "b", "a", "rare", "b", "a", "b", "b"]
    offsets = np.arange(len(words) + 1)
    utterances = ("u",) * 6 + ("v",) * 2
    tokens = Tokens(np.zeros((len(words), 13), np.float32), offsets, tuple(words), utterances)
    settings = replace(SMALL, window=2, min_count=2, subsample=0.0)
    kept = [0, 1, 2, 4, 5, 6, 7]
    expected = {
        (kept[i], kept[j])
        for i in range(7)
        for j in range(7)
        if 0 < abs(i - j) <= 2 and utterances[kept[i]] == utterances[kept[j]]
    }
    found = speech2vec.Context(tokens, settings).pairs(0)
    assert len(found) == len(expected)
    assert set(map(tuple, found.tolist())) == expected
    centres = found[:, 0]
    assert 1 + (np.diff(centres) != 0).sum() == len(set(centres.tolist()))  # a centre's neighbours are together
    assert not np.array_equal(found, speech2vec.Context(tokens, settings).pairs(1))
    with pytest.raises(SerError, match="no utterance has two words that are spoken at least 5 times"):
        speech2vec.Context(tokens, replace(settings, min_count=5)).pairs(0)


def test_frequent_words_are_subsampled():
    """word2vec keeps a word of relative frequency f with probability (sqrt(f / t) + 1) t / f."""
    words = ("often",) * 900 + ("seldom",) * 100
    tokens = Tokens(np.zeros((1000, 13), np.float32), np.arange(1001), words, ("u",) * 1000)
    context = speech2vec.Context(tokens, replace(SMALL, subsample=0.01))
    assert context.probability("often", 1000) == pytest.approx(math.sqrt(0.01 / 0.9) + 0.01 / 0.9)
    pairs = context.pairs(0)
    share = np.mean([(pairs[:, 0] < 900).sum() / (900 * 6)])
    assert share == pytest.approx(context.probability("often", 1000), abs=0.02)
    assert speech2vec.Context(tokens, replace(SMALL, subsample=0.0)).probability("often", 1000) == 1.0


def test_it_learns_and_is_saved(tmp_path):
    tokens = spoken()
    model, curve = speech2vec.train(tokens, replace(SMALL, epochs=8, lr=0.03, batch=32))
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    embeddings = speech2vec.embed(model, tokens)
    speech2vec.save(tmp_path, model, {"kind": "speech2vec"})
    again = speech2vec.embed(speech2vec.load(tmp_path), tokens)
    np.testing.assert_array_equal(again, embeddings)
    some = Tokens(tokens.frames[: tokens.offsets[3]], tokens.offsets[:4], tokens.words[:3], tokens.utterances[:3])
    np.testing.assert_allclose(speech2vec.embed(model, some), embeddings[:3], atol=1e-6)  # each word alone
    assert speech2vec.embed(model, Tokens(tokens.frames[:0], np.zeros(1, int), (), ())).shape == (0, 8)


def test_type_vectors():
    embeddings = np.array([[3.0, 0], [0, 2], [5, 5], [1, 0]])
    found = speech2vec.types(("a", "a", "b", "c"), embeddings, 1)
    assert (found.words, found.counts.tolist()) == (("a", "b", "c"), [2, 1, 1])
    np.testing.assert_allclose(found.matrix, [[math.sqrt(0.5)] * 2, [math.sqrt(0.5)] * 2, [1, 0]], atol=1e-7)
    assert speech2vec.types(("a", "a", "b", "c"), embeddings, 2).words == ("a",)


def test_a_killed_training_ends_with_the_same_bytes(tmp_path, monkeypatch):
    tokens = spoken()
    model, curve = speech2vec.train(tokens, SMALL)
    speech2vec.save(tmp_path / "whole", model, {})
    context = speech2vec.Context(tokens, SMALL)
    batches = sum(math.ceil(len(context.pairs(epoch)) / SMALL.batch) for epoch in range(SMALL.epochs))

    class KilledError(Exception):
        pass

    error_of, seen = speech2vec.error_of, []
    stop = batches // 2 + 1

    def killed(*arguments):
        seen.append(1)
        if len(seen) == stop:
            raise KilledError
        return error_of(*arguments)

    monkeypatch.setattr(speech2vec, "error_of", killed)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KilledError):
        speech2vec.train(tokens, SMALL, path)
    torch.manual_seed(999)  # the state of the generator must not matter
    stop = -1
    again, history = speech2vec.train(tokens, SMALL, path)
    assert len(seen) <= batches + SMALL.checkpoint_every  # it did not start again
    assert history == curve
    speech2vec.save(tmp_path / "again", again, {})
    whole, resumed = ((tmp_path / n / "encoder.safetensors").read_bytes() for n in ("whole", "again"))
    assert whole == resumed
    seen.clear()
    speech2vec.train(tokens, SMALL, path)
    assert not seen  # finished: nothing is trained again


def test_a_diverging_loss_is_an_error(tmp_path):
    with pytest.raises(SerError, match="the loss is"):
        speech2vec.train(spoken(), replace(SMALL, optimiser="sgd", lr=1e30), tmp_path / "checkpoint.pt")
