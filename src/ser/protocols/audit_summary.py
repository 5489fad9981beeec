"""The audit's report as short lines for the terminal."""

from __future__ import annotations

from typing import Any

from ser.protocols import plural
from ser.protocols.folds import ROLES

SHOWN = 5  # utterances that are named in a line
_SENTENCES = {  # what is shared between which parts -> the end of the sentence
    ("speaker", "test_in_train"): "of test utterances have a speaker of train (speaker-dependent)",
    ("speaker", "dev_in_train"): "of dev utterances have a speaker of train",
    ("session", "test_in_train"): "of test utterances are of a session of train",
    ("session", "test_in_dev"): "of test utterances are of a session of dev",
    ("dialogue", "test_in_train"): "of test utterances are of a dialogue of train",
    ("dialogue", "test_in_dev"): "of test utterances are of a dialogue of dev",
    ("text", "test_in_train"): "of test utterances have a text of train",
    ("file", "test_in_train"): "of test utterances are cut from a file of train",
}


def lines(data: dict[str, Any]) -> list[str]:
    """What was checked, the sizes, and then only what a reader of the results must know."""
    kind = "speaker-independent" if data["speaker_independent"] else "speaker-dependent"
    once = ", each utterance tested once" if data["tests_each_once"] else ""
    mark = " SYNTHETIC" if data["synthetic"] else ""
    size = ", ".join(plural(data[key], noun) for key, noun in (("utterances", "utterance"), ("speakers", "speaker")))
    head = f"{data['where']}: no leak; {kind}{once};{mark} {', '.join(data['corpus'])}, {size}"
    found = [f"{head}, {plural(data['folds'], 'fold')}"]
    found.append("  " + "; ".join(filter(None, (_sizes(data, role) for role in ROLES))))
    found += [f"  {text}" for (what, pair), words in _SENTENCES.items() if (text := _share(data, what, pair, words))]
    found += [f"  absent in {part}: {names}" for part, names in _absent(data).items()]
    for role in ROLES:
        n = max(numbers[role]["unlabelled"] for numbers in data["parts"].values())
        if n:
            found.append(f"  without labels in {role}: {plural(n, 'utterance')}")
    if data["unused"]:
        most = plural(max(data["unused"].values()), "utterance")
        found.append(f"  in no part: up to {most}, in {plural(len(data['unused']), 'fold')}")
    if odd := data.get("other_channels"):  # fold files of 0.1.0 do not have it
        names = ", ".join(odd[:SHOWN]) + (" ..." if len(odd) > SHOWN else "")
        found.append(f"  another number of channels than most files: {plural(len(odd), 'utterance')}, {names}")
    return found + _equal_audio(data["equal_audio"])


def _equal_audio(groups: list[dict[str, Any]]) -> list[str]:
    """One line about duplicates and one about duplicates whose labels differ, each with an example."""
    odd = [g for g in groups if len(g["classes"]) > 1]
    found = []
    if groups:
        first = ", ".join(groups[0]["utterances"])
        found.append(f"  equal audio, kept in one part: {plural(len(groups), 'group')}, such as {first}")
    if odd:
        first = f"{', '.join(odd[0]['utterances'])} ({' and '.join(odd[0]['classes'])})"
        found.append(f"  equal audio with different labels: {plural(len(odd), 'group')}, such as {first}")
    return found


def _range(values: list[float], form: str) -> str:
    low, high = form % min(values), form % max(values)
    return low if low == high else f"{low}-{high}"


def _sizes(data: dict[str, Any], role: str) -> str:
    parts = [numbers[role] for numbers in data["parts"].values()]
    utterances, speakers = [p["utterances"] for p in parts], [p["speakers"] for p in parts]
    if not any(utterances):
        return f"{role} none"
    noun = "speaker" if max(speakers) == 1 else "speakers"
    return f"{role} {_range(utterances, '%d')} utterances of {_range(speakers, '%d')} {noun}"


def _share(data: dict[str, Any], what: str, pair: str, words: str) -> str:
    shares = list(data["shared"][what].get(pair, {}).values())
    if not any(shares):
        return ""
    folds = sum(s > 0 for s in shares)
    extent = "" if folds == len(shares) else f" in {folds} of {len(shares)} folds"
    partners = data["speaker_independent"] and (what, pair) == ("session", "test_in_dev")
    partner = " (dev has the test speaker's partner)" if partners else ""
    return f"{_range([100 * s for s in shares], '%.0f')} % {words}{partner}{extent}"


def _absent(data: dict[str, Any]) -> dict[str, str]:
    """Part -> its absent classes with the folds, such as ``disgust (speaker-08)``."""
    found: dict[str, str] = {}
    for role in ROLES:
        classes: dict[str, list[str]] = {}
        for name, numbers in data["parts"].items():
            for emotion in numbers[role]["absent"]:
                classes.setdefault(emotion, []).append(name)
        if classes:
            found[role] = "; ".join(f"{emotion} ({', '.join(names)})" for emotion, names in sorted(classes.items()))
    return found
