"""The inputs of the model `semantic`, which an experiment must name."""

from __future__ import annotations

import typing

import pytest

from ser.core.errors import SerError
from ser.core.tasks import MODES, STREAMS
from ser.models.semantic import Config, check, word_inputs

ALONE = {"stream": "paralinguistic", "fusion": "none"}


def test_the_names_of_streams_and_modes_are_those_of_the_stage():
    hints = typing.get_type_hints(Config)
    assert set(typing.get_args(hints["stream"])) == {*STREAMS, "paralinguistic"}
    assert typing.get_args(hints["mode"]) == MODES


def test_the_stores_it_reads():
    default = Config()
    assert word_inputs(default) == {"words": f"streams/{default.stream}-{default.mode}"}
    assert word_inputs(Config(profile="code")) == {**word_inputs(default), "turns": "streams/turns"}
    assert word_inputs(Config(**ALONE)) == {}
    assert word_inputs(Config(stream="speech2vec", fusion="none", profile="code")) == {
        "words": "streams/speech2vec-token_aligned"
    }


@pytest.mark.parametrize(
    ("values", "words", "feature", "message"),
    [
        ({}, None, "waveform", r"reads words, which the stage words makes.*\(experiments\.a\).*with_words"),
        ({"profile": "code"}, None, "waveform", "reads words and turns, which the stage words makes"),
        (ALONE, "a", "waveform", r"reads no words.*\(experiments\.a\.words\)"),
        (ALONE, None, "functionals", r"has only f.*\(experiments\.a\.feature"),
        ({"fusion": "concat"}, "a", "logmel", "reads a waveform, and the experiment has only f"),
    ],
)
def test_an_experiment_that_lacks_an_input_or_names_one_that_is_not_read(values, words, feature, message):
    with pytest.raises(SerError, match=message):
        check(Config(**values), {"f": feature}, words, "experiments.a")


def test_experiments_that_have_what_is_read():
    check(Config(), {"f": "functionals", "g": "waveform"}, "a", "x")
    check(Config(stream="speech2vec", fusion="none"), {"f": "functionals"}, "a", "x")
    check(Config(**ALONE), {"f": "waveform"}, None, "x")
    check(Config(**ALONE, profile="code"), {"f": "waveform"}, "a", "x")


def test_a_mode_that_the_stream_does_not_have():
    with pytest.raises(ValueError, match="type_lookup_oracle"):
        Config(stream="word2vec")
