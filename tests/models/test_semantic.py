from __future__ import annotations

from dataclasses import replace

import audmetric
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import write_json
from ser.core.store import Writer
from ser.core.tasks import Batch, Task
from ser.corpora import manifest
from ser.evaluation import predictions
from ser.models import semantic
from ser.models.semantic import TINY, Attention, Config, Model, PeepholeLSTM, Waveform, ccc
from ser.protocols import claims, partitions
from ser.protocols import folds as fold_files
from ser.training.experiment import Files, run
from tests import toy

DIMENSIONS = ("arousal", "valence", "liking")
FRAME = "frame"


def task(**inputs):
    return Task("continuous", DIMENSIONS, inputs, dict.fromkeys(inputs, FRAME))


PAPER = task(waveform=2205, words=100)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def tiny(**values):
    return plugins.build(Config, {**TINY, **values}, "models.semantic")


def batch(B=3, T=10, F=40, d=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    inputs = {"waveform": torch.randn(B, T, F, generator=g), "words": torch.randn(B, T, d, generator=g)}
    labels = torch.rand(B, T, 3, generator=g) * 2 - 1
    return Batch(inputs, {k: torch.full((B,), T) for k in inputs}, labels)


class TestPaper:
    """The numbers of papers.md 7.1 and 7.2."""

    def test_parameters(self):
        model = Model(Config(), PAPER)
        fusion = model.fusion
        assert parameters(fusion.words) + parameters(fusion.sound) + parameters(fusion.streams) == 116_736
        assert parameters(fusion.branches) == 787_968
        assert parameters(fusion.joins) == 1_024
        assert parameters(model.lstm) == 788_480
        assert parameters(model.head) == 771
        assert parameters(model.waveform) == 131_950
        assert parameters(model) - parameters(model.waveform) == 1_694_979
        assert parameters(model) == 1_826_929
        assert parameters(Model(Config(fusion="concat"), PAPER)) == 627_313

    def test_shapes(self):
        model = Model(Config(), PAPER).eval()
        given = batch(2, 100, 2205, 100)
        with torch.no_grad():
            assert model.waveform.steps(given.inputs["waveform"].flatten(1)).shape == (2, 125, 882)
            assert model.waveform(given.inputs["waveform"]).shape == (2, 100, 125)
            values = model(given).values
            framewise = Model(Config(frame_pooling="framewise"), PAPER).waveform
            assert framewise(given.inputs["waveform"][:, :3]).shape == (2, 3, 1000)
        assert values.shape == (2, 100, 3)
        assert values.abs().max() < 1

    def test_the_printed_network_cannot_be_reshaped_to_the_grid(self):
        with pytest.raises(SerError, match=r"882 steps of 125 channels cannot be cut into 100 rows.*adaptive"):
            Model(Config(frame_pooling="reshape"), PAPER)(batch(1, 100, 2205, 100))

    def test_the_codes_activations_and_forget_bias(self):
        """A ReLU on both projections, and 1 on the forget gate, which TensorFlow adds to a bias of its own."""
        torch.manual_seed(0)
        code = Model(Config(profile="code"), task(waveform=2205, words=100, turns=1))
        torch.manual_seed(0)
        plain = Model(Config(profile="code", forget_bias=0.0), task(waveform=2205, words=100, turns=1))
        shift = code.lstm.inputs.bias - plain.lstm.inputs.bias
        assert shift.view(4, 256).mean(1).tolist() == pytest.approx([0, 1, 0, 0], abs=1e-6)
        fused = code.fusion.eval()
        words, sound = torch.randn(2, 3, 100), torch.randn(2, 3, 4410)
        seen: list[torch.Tensor] = []
        fused.streams.register_forward_hook(lambda _, given, out: seen.extend(given))
        fused(words, sound)
        torch.testing.assert_close(seen[0], fused.words(words).relu())
        torch.testing.assert_close(seen[1], fused.sound(sound).relu())

    def test_the_codes_profile(self):
        """1 764 steps x 250 channels = 100 x 4 410; third convolution 187 750 parameters; loss weights 1, 1/2, 1/3."""
        model = Model(Config(profile="code"), task(waveform=2205, words=100, turns=1)).eval()
        assert parameters(model.waveform.convolutions[2]) == 187_750
        assert model.waveform.outputs == 4_410
        given = batch(1, 100, 2205, 100)
        given.inputs["turns"] = torch.ones(1, 100, 1)
        with torch.no_grad():
            output = model(given)
            partner = replace(given, inputs={**given.inputs, "turns": torch.zeros(1, 100, 1)})
            assert not torch.equal(output.values, model(partner).values)  # in the partner's half of the rows
            halves = model._samples(given), model._samples(partner)
        assert torch.equal(halves[0][..., :2205], halves[1][..., 2205:])
        assert not halves[0][..., 2205:].any()
        same = semantic.Output(given.labels * 0.5)
        terms = model.loss(same, given)
        whole = Model(Config(weights=(1.0, 1.0, 1.0)), PAPER).loss(same, given)
        for name, share in zip(DIMENSIONS, (1, 1 / 2, 1 / 3), strict=True):
            assert terms[name] == pytest.approx(float(whole[name]) * share)


class TestParts:
    def test_attention_is_the_softmax_of_two(self):
        attention, g = Attention(4), np.random.default_rng(0)
        u, v = g.normal(size=(2, 5, 4)).astype(np.float32)
        q = attention.query.detach().numpy()
        a, b = np.exp(u @ q / 2), np.exp(v @ q / 2)  # sqrt(4)
        expected = (a[:, None] * u + b[:, None] * v) / (a + b)[:, None]
        got = attention(torch.from_numpy(u), torch.from_numpy(v)).detach()
        np.testing.assert_allclose(got, expected, rtol=1e-5)

    def test_peephole_lstm_without_peepholes_is_torchs(self):
        ours, theirs = PeepholeLSTM(3, 4, 100.0), nn.LSTM(3, 4, batch_first=True)
        with torch.no_grad():
            theirs.weight_ih_l0.copy_(ours.inputs.weight)
            theirs.weight_hh_l0.copy_(ours.states.weight)
            theirs.bias_ih_l0.copy_(ours.inputs.bias)
            theirs.bias_hh_l0.zero_()
            x = torch.randn(2, 7, 3)
            torch.testing.assert_close(ours(x), theirs(x)[0])

    def test_peepholes_and_the_clip_by_hand(self):
        """One unit, two steps: the gates i and f see the last cell, o the present one, and the cell is clipped."""
        lstm = PeepholeLSTM(1, 1, 0.3).double()
        with torch.no_grad():
            for p in (lstm.inputs.weight, lstm.inputs.bias, lstm.states.weight):
                p.fill_(0.5)
            lstm.peepholes.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
            got = lstm(torch.ones(1, 2, 1, dtype=torch.float64))[0, :, 0].numpy()

        def sigmoid(z):
            return 1 / (1 + np.exp(-z))

        h = c = 0.0
        for value in got:
            z = 0.5 + 0.5 + 0.5 * h
            c = min(0.3, sigmoid(z + 2 * c) * c + sigmoid(z + c) * np.tanh(z))
            h = sigmoid(z + 3 * c) * np.tanh(c)
            assert value == pytest.approx(h, abs=1e-12)
        assert c == 0.3

    def test_same_padding_is_one_more_on_the_right(self):
        cnn = Waveform(tiny(channels=[1], kernels=[4], pools=[1], cnn_dropout=0.0), 8)
        with torch.no_grad():
            cnn.convolutions[0].weight.copy_(torch.tensor([[[1.0, 10, 100, 1000]]]))
            cnn.convolutions[0].bias.zero_()
            impulse = torch.zeros(1, 8)
            impulse[0, 4] = 1
            # output n sees inputs n - 1 .. n + 2
            assert cnn.steps(impulse)[0, 0].tolist() == [0, 0, 1000, 100, 10, 1, 0, 0]

    def test_framewise_rows_do_not_see_each_other_and_adaptive_ones_only_their_neighbours(self):
        x = batch().inputs["waveform"]
        other = x.clone()
        other[:, 5] += 1
        for pooling, reach in (("framewise", 0), ("adaptive", 1)):
            cnn = Waveform(tiny(frame_pooling=pooling), 40).eval()
            changed = (cnn(x) != cnn(other)).any(-1).any(0).nonzero()[:, 0].tolist()
            assert set(changed) <= set(range(5 - reach, 6 + reach))
            assert 5 in changed

    def test_too_short_rows_are_refused(self):
        with pytest.raises(SerError, match=r"rows of 5 samples are too short for pools \(4, 2\)"):
            Waveform(tiny(frame_pooling="framewise"), 5)


class TestCCC:
    def test_closed_forms(self):
        """y = a x + b: 2 a v / (v + a^2 v + (m (1 - a) - b)^2), v variance and m mean of x."""
        x = torch.linspace(-1, 1, 50, dtype=torch.float64) ** 3 + 0.2
        v, m = float(x.var(correction=0)), float(x.mean())
        valid = torch.ones(50, dtype=torch.bool)
        for a, b in ((1, 0), (1, 0.3), (0.5, 0), (-1, 0.1), (2, -0.4)):
            expected = 2 * a * v / (v + a * a * v + (m * (1 - a) - b) ** 2)
            assert float(ccc(x, a * x + b, valid, 1e-12)) == pytest.approx(expected, abs=1e-9)

    def test_audmetric(self):
        g = np.random.default_rng(1)
        for n in (2, 17, 900):
            x, y = g.normal(size=(2, n))
            got = ccc(torch.from_numpy(x), torch.from_numpy(y + 0.5 * x), torch.ones(n, dtype=torch.bool), 1e-12)
            assert float(got) == pytest.approx(audmetric.concordance_cc(y + 0.5 * x, x), abs=1e-9)

    def test_constant_series_give_numbers_and_gradients(self):
        for x, y in ((torch.zeros(5), torch.zeros(5)), (torch.ones(5), torch.rand(5)), (torch.rand(5), torch.ones(5))):
            x.requires_grad_()
            value = ccc(x, y, torch.ones(5, dtype=torch.bool), 1e-8)
            value.backward()
            assert value.item() == pytest.approx(0, abs=1e-6)
            assert torch.isfinite(x.grad).all()
        assert float(ccc(torch.rand(4), torch.full((4,), torch.nan), torch.zeros(4, dtype=torch.bool), 1e-8)) == 0

    def test_gradcheck(self):
        g = torch.Generator().manual_seed(0)
        y = torch.randn(2, 3, 6, generator=g, dtype=torch.float64)
        y[0, 1, 4:] = torch.nan
        for over in ("batch", "sequence"):
            model = Model(tiny(ccc_over=over), task(waveform=40, words=6))

            def loss(values, model=model):
                parts = model.loss(semantic.Output(values), Batch({}, {}, y.movedim(1, 2)))
                return torch.stack(list(parts.values()))

            x = torch.randn(2, 6, 3, generator=g, dtype=torch.float64, requires_grad=True)
            assert torch.autograd.gradcheck(loss, x)


class TestLoss:
    def model(self, **values):
        return Model(tiny(**values), task(waveform=40, words=6))

    def test_is_the_mean_over_dimensions_of_all_valid_frames(self):
        given = batch()
        given.labels[1, 7:] = torch.nan
        values = torch.randn(3, 10, 3)
        terms = self.model().loss(semantic.Output(values), given)
        assert list(terms) == list(DIMENSIONS)
        keep = ~torch.isnan(given.labels[..., 0]).numpy()
        for d, name in enumerate(DIMENSIONS):
            series = (t[..., d].numpy()[keep] for t in (given.labels, values))
            assert float(terms[name]) == pytest.approx((1 - audmetric.concordance_cc(*series)) / 3, abs=1e-5)

    def test_over_sequences(self):
        given = batch()
        given.labels[1] = torch.nan  # a block without a label adds nothing to the loss
        given.labels[2, 4:] = torch.nan
        values = torch.randn(3, 10, 3)
        terms = self.model(ccc_over="sequence").loss(semantic.Output(values), given)
        for d, name in enumerate(DIMENSIONS):
            pairs = ((0, 10), (2, 4))
            expected = [
                audmetric.concordance_cc(*(t[b, :n, d].numpy() for t in (given.labels, values))) for b, n in pairs
            ]
            assert float(terms[name]) == pytest.approx((1 - np.mean(expected)) / 3, abs=1e-5)

    def test_padded_rows_change_nothing(self):
        """Neither what the model gives there nor their number, nor another block's padding."""
        model, given = self.model(cnn_dropout=0.0).eval(), batch()
        given.labels[0, 6:] = torch.nan
        for x in given.inputs.values():
            x[0, 6:] = 0
        short = Batch(
            {k: torch.cat([x[:1, :6]]) for k, x in given.inputs.items()},
            {},
            given.labels[:1, :6],
        )
        values = model(given).values
        noisy = values.clone()
        noisy[0, 6:] = torch.randn(4, 3)
        assert model.loss(semantic.Output(values), given) == model.loss(semantic.Output(noisy), given)
        inputs = model(Batch({k: x[:1] for k, x in given.inputs.items()}, {}, given.labels[:1])).values
        torch.testing.assert_close(inputs[0, :5], model(short).values[0, :5])  # row 5 sees the end of the sound
        x = torch.randn(1, 10, 3, requires_grad=True)
        sum(model.loss(semantic.Output(x), Batch({}, {}, given.labels[:1])).values()).backward()
        assert not x.grad[0, 6:].any()
        assert x.grad[0, :6].any()

    def test_delay(self):
        """Two rows later the same output; the first ones repeat the first."""
        torch.manual_seed(0)
        now = Model(tiny(), task(waveform=40, words=6)).eval()
        late = Model(tiny(delay_s=0.2), task(waveform=40, words=6)).eval()
        late.load_state_dict(now.state_dict())
        a, b = now(batch()).values, late(batch()).values
        assert torch.equal(b[:, 2:], a[:, :-2])
        assert torch.equal(b[:, :2], a[:, :1].expand(-1, 2, -1))


class TestInputs:
    def test_each_fusion_reads_its_streams_alone(self):
        given = batch()
        for values, reads in (
            ({"stream": "paralinguistic", "fusion": "none"}, {"waveform"}),
            ({"fusion": "none"}, {"words"}),
            ({"fusion": "concat"}, {"waveform", "words"}),
            ({}, {"waveform", "words"}),
        ):
            model = Model(tiny(**values), task(waveform=40, words=6)).eval()
            for name in ("waveform", "words"):
                other = replace(given, inputs={**given.inputs, name: given.inputs[name] + 1})
                assert torch.equal(model(given).values, model(other).values) != (name in reads), (values, name)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"stream": "paralinguistic"}, "cannot be fused"),
            ({"stream": "word2vec"}, "set mode: type_lookup_oracle"),
            ({"channels": (3,)}, "1 channels, 3 kernels and 3 pools: the numbers must be equal"),
            ({"output_dropout": 1.0}, r"output_dropout must be in \[0, 1\)"),
            ({"epsilon": 0.0}, "epsilon must be above 0"),
        ],
    )
    def test_values_that_cannot_work(self, values, message):
        with pytest.raises(ValueError, match=message):
            Config(**values)

    @pytest.mark.parametrize(
        ("values", "given", "message"),
        [
            ({}, task(waveform=40), r"needs the input 'words'.*block of words"),
            ({}, task(words=6), "needs one waveform, not none"),
            ({"turn_channels": True}, task(waveform=40, words=6), "needs the input 'turns'"),
            ({"weights": [1.0]}, task(waveform=40, words=6), "1 weights for 3 dimensions"),
            ({}, Task("classification", ("a", "b"), {"x": 4}, {"x": FRAME}), "predicts continuous labels"),
        ],
    )
    def test_tasks_that_do_not_fit(self, values, given, message):
        with pytest.raises(SerError, match=message):
            Model(tiny(**values), given)


def corpus(folder, blind=False):
    """Six recordings of 23 to 33 rows, arousal in the sound's loudness, valence in the words; test labels may lack."""
    g = np.random.default_rng(0)
    rows, labels = [], []
    stores = {"waveform": 40, "words": 6}
    folder.mkdir(parents=True)
    with (
        Writer(folder / "waveform", 40, "float32", {"feature": "waveform", "level": FRAME}) as sound,
        Writer(folder / "words", 6, "float32", {"feature": "words", "level": FRAME}) as words,
    ):
        for i in range(6):
            name, part, n = f"r{i}", ("train", "train", "train", "train", "dev", "test")[i], 23 + 2 * i
            gold = np.stack([np.sin(np.arange(n) / (3 + d) + g.uniform(0, 6)) / 2 for d in range(3)], 1)
            rows.append({"utterance": name, "file": f"{name}.wav", "speaker": name, "partition": part, "pcm": name})
            rows[-1]["duration"] = n / 10
            sound.append(name, g.normal(size=(n + 1, 40)) * (1 + gold[:, :1].repeat(n + 1, 0)[: n + 1]))
            words.append(name, np.outer(gold[:, 1], np.ones(6)) + 0.1 * g.normal(size=(n, 6)))
            if not (blind and part == "test"):
                labels.append(pd.DataFrame(gold, columns=DIMENSIONS).assign(utterance=name, row=range(n)))
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    table[["corpus", "synthetic", "rate", "channels"]] = ["sewa", 1, 16000, 1]
    (folder / "manifest").mkdir()
    manifest.write(table, folder / "manifest" / "utterances.csv")
    columns = ["utterance", "row", *DIMENSIONS]
    pd.concat(labels)[columns].to_csv(folder / "manifest" / "labels.csv", index=False)
    card = {"corpus": "sewa", "task": "continuous", "outputs": list(DIMENSIONS)}
    write_json(folder / "manifest" / "card.json", card)
    made = partitions.folds(manifest.read(folder / "manifest" / "utterances.csv"), partitions.Config(), 1)
    about = {"protocol": "partitions", "claims": claims(partitions, partitions.Config())}
    fold_files.write(made, folder / "folds.csv", about)
    return Files(
        manifest=folder / "manifest",
        folds=folder / "folds.csv",
        features={name: folder / name for name in stores},
        predictions=folder / "out" / "predictions.csv",
        curves=folder / "out" / "curves.csv",
        card=folder / "out" / "card.json",
        cost=folder / "out" / "cost.json",
        checkpoints=folder / "checkpoints",
    )


TRAINING = {"epochs": 30, "batch": 4, "lr": 0.01, "window": "blocks", "frames": 10, "clip": 5.0}
QUIET = {**TINY, "cnn_dropout": 0.0, "fusion_dropout": 0.0, "output_dropout": 0.0}


class TestRunner:
    """The contract of `tests/contracts/test_models.py`, on continuous labels."""

    def settings(self, **config):
        training = dict(TRAINING)
        return toy.settings("semantic", {**QUIET, **config}, training, corpus="sewa", selection="dev")

    def test_every_row_of_a_test_recording_is_predicted_once(self, tmp_path):
        files = corpus(tmp_path / "c")
        run(self.settings(), files, {"jobs": 1})
        read = predictions.read(files.predictions)
        assert (read.kind, read.dimensions) == ("continuous", DIMENSIONS)
        np.testing.assert_allclose(read.table["time"], np.arange(33) / 10)
        gold = pd.read_csv(files.manifest / "labels.csv").query("utterance == 'r5'")
        np.testing.assert_allclose(read.table["truth_valence"], gold["valence"], atol=1e-5)
        assert audmetric.concordance_cc(read.table["truth_valence"], read.table["prediction_valence"]) > 0.6
        curve = pd.read_csv(files.curves)
        assert {"train_arousal", "train_valence", "train_liking", "dev_score"} <= set(curve)
        np.testing.assert_allclose(
            curve["train_loss"], curve[["train_arousal", "train_valence", "train_liking"]].sum(axis=1), atol=2e-5
        )

    def test_the_epoch_may_be_chosen_on_the_tested_part_as_the_authors_did(self, tmp_path):
        files = corpus(tmp_path / "here")
        found = run({**self.settings(), "selection": "test_oracle"}, files, {"jobs": 1})
        assert sorted(set(found["utterance"])) == ["r5"]
        assert len(found) == 33
        with pytest.raises(SerError, match="labels of the test part, and there are none"):
            run({**self.settings(), "selection": "test_oracle"}, corpus(tmp_path / "blind", blind=True), {"jobs": 1})

    def test_labels_of_the_test_part_change_no_prediction(self, tmp_path):
        seen, blind = corpus(tmp_path / "a"), corpus(tmp_path / "b", blind=True)
        for files in (seen, blind):
            run(self.settings(), files, {"jobs": 1})
        a, b = (predictions.read(f.predictions).table for f in (seen, blind))
        columns = [f"prediction_{d}" for d in DIMENSIONS]
        pd.testing.assert_frame_equal(a[columns], b[columns])
        assert b["truth_arousal"].isna().all()

    def test_one_worker_or_two_give_the_same_bytes(self, tmp_path):
        files, out = corpus(tmp_path / "c"), []
        for jobs in (1, 2):
            mine = replace(
                files,
                **{n: tmp_path / str(jobs) / n for n in ("checkpoints", "predictions", "curves", "card")},
            )
            settings = {**self.settings(), "seeds": [1, 2]}
            settings["training"] = {**TRAINING, "epochs": 3}
            run(settings, mine, {"jobs": jobs})
            out.append([p.read_bytes() for p in (mine.predictions, mine.curves, mine.card)])
        assert out[0] == out[1]
