"""The rows of P4 in the shipped studies: every experiment builds its model from its settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from ser.core import plugins
from ser.core.recipe import Training
from ser.core.tasks import MODES, STREAMS, Batch, Task
from ser.corpora.manifest import LABEL_RATE
from ser.features import waveform
from ser.models.semantic import Config, Model
from ser.settings import check
from ser.settings import files as settings_files
from ser.settings.yamlfile import load
from ser.training.controls import module_of
from ser.words import config as words
from tests.conftest import ROOT

NAMES = {ROOT / "params.yaml": "demo", ROOT / "studies" / "semantic" / "params.yaml": "semantic"}
STUDIES = list(NAMES)
EXPERIMENTS = ("experiments", "finetuning", "with_functionals", "with_words")
DIMENSIONS = ("arousal", "valence", "liking")
STORES = {f"{stream}-{mode}" for stream, modes in STREAMS.items() for mode in modes} | {"turns"}


@cache
def made(path: Path) -> dict:
    """The files of settings of a study. They take seconds, which every process would need to collect the tests."""
    return settings_files.files(check.read(path))


def rows(path: Path) -> list[str]:
    data = load(path)
    found = {name: row for block in EXPERIMENTS for name, row in (data.get(block) or {}).items()}
    return [name for name, row in found.items() if row["model"] == "semantic"]


ROWS = [(path, name) for path in STUDIES for name in rows(path)]


def given(files: dict, settings: dict) -> tuple[Task, words.Config | None]:
    """The task that the runner makes of the stores, and the block of words they come from."""
    inputs = {}
    for name in settings["features"]:
        made = files[f"features/sewa-{name}"]
        assert made["feature"] == "waveform"
        feature = plugins.build(waveform.Feature, made["config"], name)
        assert feature.frame_rate == LABEL_RATE
        inputs[name] = feature.dim
    block = None
    for name, store in settings.get("words", {}).items():
        _, _, kind, which, folder, stream = Path(store).parts[-6:]
        assert (kind, folder) == ("words", "streams")
        assert stream in STORES
        block = plugins.build(words.Config, files[f"words/{which}"]["block"], which)
        inputs[name] = 1 if name == "turns" else block.word2vec.vector_size
    return Task("continuous", DIMENSIONS, inputs, dict.fromkeys(inputs, "frame")), block


@pytest.mark.parametrize("path", STUDIES, ids=NAMES.values())
def test_no_row_is_forgotten(path):
    found = {v["experiment"] for k, v in made(path).items() if k.startswith("train/") and v["model"] == "semantic"}
    assert found == set(rows(path))


@pytest.mark.parametrize(("path", "name"), ROWS, ids=[f"{NAMES[path]}-{name}" for path, name in ROWS])
def test_a_row_builds_its_model(path, name):
    files, settings = made(path), made(path)[f"train/{name}"]
    config = plugins.build(Config, settings["config"], "models.semantic")
    training = plugins.build(Training, settings["training"], "models.semantic.training")
    assert (training.window, training.frames) == ("blocks", 100)
    task, block = given(files, settings)
    model = Model(config, task) if settings["control"] != "majority" else module_of(settings).Model(config, task, 1)
    if block is not None:
        assert Path(settings["words"]["words"]).name == f"{config.stream}-{config.mode}"
        assert config.mode in MODES
    if settings["control"] == "majority" or settings["study"] == "demo":
        return
    with torch.device("meta"):  # shapes without numbers: a block of 10 s through the whole network
        meta = Model(config, task).eval()
        inputs = {name: torch.empty(2, 100, width) for name, width in task.inputs.items()}
        assert meta(Batch(inputs, {}, None)).values.shape == (2, 100, 3)
    if model.waveform is not None:  # papers.md 7.1
        assert model.waveform.outputs == {"paper": 125, "code": 4410}[config.profile]
    expected = {"none": 840_963, "concat": 627_313, "disentangled": 1_826_929}
    if config.profile == "paper" and config.stream != "paralinguistic":  # papers.md 7.2; 100 -> 512, LSTM, output
        assert sum(p.numel() for p in model.parameters()) == expected[config.fusion]


def test_the_paper_study_has_the_rows_of_tables_2_to_4():
    experiments = made(STUDIES[1])["evaluate"]["experiments"]
    tables = {experiments[name]["paper"] for name in rows(STUDIES[1])}
    expected = ["table_2.word2vec", "table_2.speech2vec", "table_2.aligned_speech2vec"]
    expected += ["table_2.paralinguistic", "table_3.concatenation", "table_3.disentangled_attention"]
    assert {f"semantic_ser.{row}.sewa/devel" for row in expected} <= tables
    assert "semantic_ser.table_4.disentangled_attention.sewa/test" in tables
