"""What a reader must know before comparing an experiment's numbers with others (papers.md, section 8), in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ser.evaluation.predictions import Predictions
from ser.evaluation.results import Description, Result, label

SYNTHETIC = "SYNTHETIC data: the numbers show that the pipeline works, and nothing about emotion in speech"

CONTROLS = {
    "shuffled_labels": "control: training labels were shuffled, a score above chance means a leak",
    "majority": "control: predicts the most frequent class of training for every utterance",
    "length_only": "control: the model knows the length of the utterance and nothing else",
    "speaker_only": "control: the model knows the speaker and nothing else",
    "leaky_windows": "control: windows of one utterance are in training and in test, a leak made on purpose",
}

# what a semantic experiment knows at test time (papers.md 7.3), by the modes and streams of ser.models.semantic
MODES = {
    "type_lookup_oracle": "the vector of the transcribed word: needs transcript and word times, not speech-only",
    "token_aligned": "the sound of each word, cut out at aligned times: speech-only content, oracle word boundaries",
    "token_unsupervised": "the sound of equal chunks of detected speech: audio only, but for the subject's turns where "
    "the corpus gives them",
}
RANDOM = {  # the same modes of the control `random_vectors`
    "type_lookup_oracle": "control: one random vector per word: which word is spoken and when, nothing of its meaning",
    "token_aligned": "control: a new random vector for every spoken word: when words are spoken, and nothing else",
    "token_unsupervised": "control: a new random vector for every chunk of detected speech: when there is speech, and "
    "nothing else",
}
STREAMS = {
    "word2vec": "word vectors of text",
    "speech2vec": "word vectors of speech, as Speech2Vec leaves them",
    "aligned": "word vectors of speech, mapped to those of text",
    "random_vectors": "random vectors in place of word vectors",
    "paralinguistic": "the waveform alone, no words",
}
FUSIONS = {
    "disentangled": "fused with the waveform by disentangled attention",
    "concat": "concatenated with the features of the waveform",
    "none": "used alone",
}


def of_settings(about: Description, on_dev: bool = False) -> list[str]:
    """Notes that follow from an experiment's settings; `on_dev`: it is scored on its own development part."""
    return _holding(
        {
            SYNTHETIC: about.synthetic,
            CONTROLS.get(str(about.control), f"control: {about.control}"): about.is_control,
            "speaker-dependent: the test speakers are also in training": about.speaker_independent is False,
            "transductive: statistics of the test speakers' audio were used, without labels": about.transductive,
            "selected on test: biased upwards": about.is_biased,
            "selected on the development part that it is scored on: biased upwards": on_dev
            and about.selection == "dev",
        }
    )


def of_data(predictions: Predictions, result: Result, few_units: int) -> list[str]:
    """Notes that follow from the numbers of speakers, seeds and classes."""
    assert result.interval is not None
    unit, units, about = result.interval.unit, result.interval.units, result.description
    tested = predictions.table[["seed", "fold", "utterance"]].drop_duplicates()
    again = int(tested.duplicated(["seed", "utterance"]).sum())
    lacking = sum(k < len(predictions.classes) for k in result.classes_per_fold.values())
    return _holding(
        {
            f"fewer than two {unit}s: no interval": units < 2,
            f"only {units} {unit}s: the interval is too narrow": 2 <= units < few_units,
            "one seed: no spread over seeds": len(about.seeds) == 1 and about.model != "ensemble",
            f"{lacking} of {about.folds} folds lack a class: their UA and F1 average the others": lacking > 0,
            f"{again} times an utterance is tested, and counted, in a second fold of its seed": again > 0,
        }
    )


def of_dev(numbers: Mapping[str, float | None], selection: str | None) -> str:
    """The note with the pooled numbers of the dev part, which are reported in addition to the headline."""
    named = [f"{label(name)} {value:.3f}" for name, value in numbers.items() if value is not None]
    chose = ", on which its weights were chosen: biased upwards" if selection == "dev" else ""
    return f"the dev part{chose}: {', '.join(named)}"


def of_members(members: Mapping[str, list[int]]) -> str:
    """The note on what an ensemble is made of: experiment -> its seeds."""
    named = [f"{name} ({len(seeds)} seed{'s' * (len(seeds) > 1)})" for name, seeds in members.items()]
    return f"ensemble, the mean of the log scores of {', '.join(named)}"


def of_beside(beside: Mapping[str, float], one_class: list[str]) -> list[str]:
    """Notes on what the controls score on the same folds, and on speakers whom normalisation per speaker harms."""
    named = ", ".join(f"{name} {ua:.3f}" for name, ua in beside.items())
    return _holding(
        {
            f"beside it, UA of controls on the same folds: {named}": bool(beside),
            f"speakers with one class, which normalisation per speaker removes: {', '.join(one_class)}": bool(
                one_class
            ),
        }
    )


def of_unlabelled(recordings: list[str], most: int = 3) -> list[str]:
    """The note on recordings that were predicted but have no labels; the first `most` are named."""
    shown = ", ".join(recordings[:most]) + (" ..." if len(recordings) > most else "")
    return _holding({f"no labels for {len(recordings)} recordings ({shown}): not scored": bool(recordings)})


def of_card(notes: Mapping[str, Any] | None) -> list[str]:
    """Notes on the inputs that the card of a training names: pretrained weights, streams of words."""
    found, first = [], _first(notes)
    if weights := pretrained(notes):
        speech = "SYNTHETIC speech" if weights["synthetic"] else "speech"
        text = "encoder pretrained on {train_hours:.2f} h of {speech} ({corpus}), {steps} steps"
        found.append(text.format(speech=speech, **weights))
    stream, mode, fusion = (first.get(key) for key in ("stream", "mode", "fusion"))
    if mode in MODES:
        found.append(f"words: {mode}: {(RANDOM if stream == 'random_vectors' else MODES)[mode]}")
    if stream in STREAMS:
        joined = f"; {fusion}: {FUSIONS[fusion]}" if fusion in FUSIONS and stream != "paralinguistic" else ""
        found.append(f"stream: {stream}: {STREAMS[stream]}{joined}")
    return found


def of_encoders(encoders: Mapping[str, Mapping[str, Any]] | None, tested: Collection[str]) -> list[str]:
    """Notes on the self-supervised encoders behind the features: what they were pretrained on, and whether the tested
    corpora are among it."""
    found = []
    for encoder in (encoders or {}).values():
        corpora, bundle = list(encoder["pretrained_on"]), encoder["bundle"]
        if encoder["sha256"] == "random":
            found.append(f"encoder {bundle}: random weights, trained on nothing, to step through the pipeline")
            continue
        found.append(f"encoder {bundle} (SHA-256 {encoder['sha256'][:12]}), pretrained on {', '.join(corpora)}")
        if both := sorted(set(corpora) & set(tested)):
            found.append(f"the encoder {bundle} was pretrained on the tested corpus {', '.join(both)}")
    return found


def pretrained(notes: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the card of a fold says about the pretrained weights, which are the same in all folds; empty without any."""
    found = _first(notes).get("pretrained")
    if not isinstance(found, Mapping) or "steps" not in found:
        return {}
    keys = ("corpus", "synthetic", "train_hours", "train_speakers", "steps", "dev_l1", "baseline_l1")
    return {key: found.get(key) for key in keys}


def _first(notes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return next(iter((notes or {}).values()), {})


def _holding(notes: Mapping[str, Any]) -> list[str]:
    return [note for note, holds in notes.items() if holds]
