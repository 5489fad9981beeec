"""What a reader must know before comparing an experiment's numbers with others (papers.md, section 8), in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ser.evaluation.predictions import Predictions

SYNTHETIC = "SYNTHETIC data: the numbers show that the pipeline works, and nothing about emotion in speech"

CONTROLS = {
    "shuffled_labels": "control: training labels were shuffled, a score above chance means a leak",
    "majority": "control: always the most frequent class of training",
    "length_only": "control: told the length of the utterance and nothing else",
    "speaker_only": "control: told the speaker and nothing else",
    "leaky_windows": "control: windows of one utterance are in training and in test, a leak made on purpose",
}


def of_settings(details: Mapping[str, Any], on_dev: bool = False) -> list[str]:
    """Notes that follow from an experiment's settings; `on_dev`: it is scored on its own development part."""
    return _holding(
        {
            SYNTHETIC: details["synthetic"],
            CONTROLS.get(details["control"], f"control: {details['control']}"): details["control"]
            not in (None, "none"),
            "speaker-dependent: the test speakers were heard in training": details["speaker_independent"] is False,
            "transductive: statistics of the test speakers' audio were used, without labels": details["transductive"],
            "selected on test: biased upwards": details["selection"] == "test_oracle",
            "selected on the development part it is scored on: biased upwards": on_dev
            and details["selection"] == "dev",
        }
    )


def of_data(predictions: Predictions, about: Mapping[str, Any], few_units: int) -> list[str]:
    """Notes that follow from the numbers of speakers, seeds and classes."""
    unit, units = about["interval"]["unit"], about["interval"]["units"]
    tested = predictions.table[["seed", "fold", "utterance"]].drop_duplicates()
    again = int(tested.duplicated(["seed", "utterance"]).sum())
    averaged = about["by_fold"].get("classes_averaged", {}).values()
    lacking = sum(k < len(predictions.classes) for k in averaged)
    return _holding(
        {
            f"fewer than two {unit}s: no interval": units < 2,
            f"only {units} {unit}s: the interval is too narrow": 2 <= units < few_units,
            "one seed: no spread over seeds": len(about["seeds"]) == 1,
            f"{lacking} of {about['folds']} folds lack a class: their UA and F1 average the others": lacking > 0,
            f"{again} times an utterance is tested, and counted, in a second fold of its seed": again > 0,
        }
    )


def of_unlabelled(recordings: list[str], most: int = 3) -> list[str]:
    """The note on recordings that were predicted but have no labels; the first `most` are named."""
    shown = ", ".join(recordings[:most]) + (" ..." if len(recordings) > most else "")
    return _holding({f"no labels for {len(recordings)} recordings ({shown}): not scored": bool(recordings)})


def _holding(notes: Mapping[str, Any]) -> list[str]:
    return [note for note, holds in notes.items() if holds]
