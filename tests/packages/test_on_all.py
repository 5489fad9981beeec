"""`on: all`: one training per seed on all utterances, with the numbers of the folds in its card."""

from __future__ import annotations

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.core.seeds import seed_of
from ser.packages import contents
from ser.packages import model as models
from ser.settings import check
from tests.packages.conftest import PARAMS


@pytest.mark.parametrize("name", ["svm", "cnns"])
def test_it_has_one_member_and_the_numbers_of_the_folds(name, package):
    whole, folds = contents.read(package(f"{name}_all")), contents.read(package(name))
    assert whole.members == ("all-seed1",)
    assert whole.temperature == folds.temperature
    assert whole.digest != folds.digest
    card = (package(f"{name}_all") / contents.CARD).read_text()
    assert "4 other models" in card
    assert "trained on all utterances" in card
    scores = [line for line in card.splitlines() if line.startswith("| UA")]
    assert scores == [s for s in (package(name) / contents.CARD).read_text().splitlines() if s.startswith("| UA")]


def test_it_is_the_model_that_was_fitted_to_all_utterances(study, package, monkeypatch):
    """Fitted again here to the features of the whole corpus, without the pipeline."""
    from ser.core.store import Store
    from ser.core.tasks import Examples, Inputs, class_indices
    from ser.corpora import manifest
    from ser.models import svm

    monkeypatch.chdir(study)
    loaded = models.load(package("svm_all"), "cpu")
    table = manifest.read("data/demo/corpora/emodb/utterances.csv")
    ids, stores = tuple(table["utterance"]), {"is10": Store("data/demo/features/emodb-is10")}
    labels = class_indices(list(table["emotion"]), loaded.contents.outputs, "all")
    speakers = tuple(table["speaker"])
    model = svm.Model(svm.Config(C=(0.01,)), loaded.contents.task, seed_of(1, "all") % 2**32)
    model.fit(Examples(ids, speakers, stores, (), labels, groups=speakers), None)
    inputs = Inputs(ids, speakers, stores, ())
    np.testing.assert_allclose(loaded.members["all-seed1"].scores(inputs), model.scores(inputs), atol=1e-6)


def test_an_experiment_that_chooses_on_dev_is_refused(tmp_path, monkeypatch):
    text = PARAMS.replace("  cnns: {model: cnns,", "  cnns: {model: cnns, selection: dev,")
    (tmp_path / "params.yaml").write_text(
        text.replace("leave_one_speaker_out, seed", "leave_one_speaker_out, dev: next, seed")
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SerError, match=r"cnns chooses its epoch on dev.*packages.cnns_all.on"):
        check.read("params.yaml", "demo")
