"""The section on word vectors: what text and speech hold, how well speech is mapped to text, which recordings' words
have a vector. Made from diagnostics.json and streams.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core.files import read_json
from ser.report.experiment import Part
from ser.report.gallery import Picture
from ser.report.tables import Table, slug

RANKS = (1, 5, 10)  # of the precision, as diagnostics.json has them
LEVEL = 0.05  # of the statement that a precision is above chance (ours: the custom); half of it for each of two maps
MAPS = {
    "aligned": "aligned: adversarial map and Procrustes, without any known word pair",
    "random_vectors": "control: random vectors, aligned the same way",
    "identity": "control: no map",
    "supervised": "control: Procrustes on the words of the dictionary",
    "supervised_random": "control: Procrustes, random vectors",
}
SPACES = {"text": "text (Word2Vec)", "speech": "speech (Speech2Vec)", "random": "random vectors"}
TIMES = {
    "corpus": "the corpus's own alignment",
    "ctc": "CTC forced alignment",
    "uniform": "no alignment: words spread evenly over the speech, which is rough",
}
CAUTION = (
    "What cannot be concluded: that words found again carry meaning. Words that sound alike, or are spoken by the same "
    "speaker, have similar vectors without any. An independent reproduction of Speech2Vec with its published settings "
    "(Chen 2022, Homophone Reveals the Truth) found no semantics in its vectors. So a gain of words over the waveform "
    "alone counts as meaning only where random_vectors gains less, and the topics and similarities of speech are above "
    "chance, too."
)


@dataclass(frozen=True)
class Words:
    """The part of the section on one set of word vectors: ``metrics/<study>/words/<name>``."""

    id: str
    name: str
    synthetic: bool
    source: str
    conclusion: str
    part: Part


def section(folder: Path, pictures: Sequence[Picture] = (), missing: str = "") -> Words:
    """`pictures`: its figures; `missing`: a sentence on figures that cannot be drawn here."""
    card = read_json(folder / "diagnostics.json")
    tables = [_maps(card), _spaces(card)]
    if (folder / "streams.json").exists():
        tables.append(_coverage(folder.name, read_json(folder / "streams.json")))
    part = Part("", tables, pictures=pictures, remark=missing)
    return Words(slug(f"words-{folder.name}"), folder.name, card["synthetic"], _source(card), verdict(card), part)


def _source(card: Mapping[str, Any]) -> str:
    parts = f", partitions {', '.join(card['partitions'])} alone" if card["partitions"] else ""
    tokens, (first, last) = card["tokens"], card["speech2vec_loss"]
    return (
        f"Learnt from {card['spoken_words']:,} spoken words ({card['hours']:.2f} h, {card['speakers']} speakers) of "
        f"{card['corpus']}{parts}, and {card['text_words']:,} words of text. Words with a vector of speech: "
        f"{card['speech_vocabulary']:,}, of text: {card['text_vocabulary']:,}. Word times: {times(card['words_by'])}. "
        f"Loss of Speech2Vec: {first:.3f} in its first epoch, {last:.3f} in its last. The nearest other spoken word is "
        f"the same word in {_share(tokens['same'])} of cases (chance {_share(tokens['chance'])}): this shows how "
        "well the encoder distinguishes sounds."
    )


def times(words_by: str) -> str:
    """Where the word times come from."""
    known = TIMES.get(words_by.split(" ")[0], words_by)
    return known + (", inside timed sentences" if words_by.endswith("in sentences") else "")


def _maps(card: Mapping[str, Any]) -> Table:
    variants = card["alignment"]
    chance = next(iter(variants.values()))["all"]["chance@1"]
    blank = ["-"]
    rows = [["chance", *2 * [_share(k * chance) for k in RANKS], *blank]]
    for name, found in variants.items():
        shares = [_share(found[part][f"precision@{k}"]) for part in ("held_out", "all") for k in RANKS]
        rows.append([MAPS.get(name, name), *shares, f"{found['hubness']:.2f}"])
    words = [next(iter(variants.values()))[part]["words"] for part in ("held_out", "all")]
    header = ["map", *(f"@{k}, held out" for k in RANKS), *(f"@{k}, all" for k in RANKS), "hubness"]
    caption = (
        f"Words of speech that find their own word of text among the k nearest (precision@k): {words[0]} words held "
        f"out of every dictionary, and all {words[1]} that both have, where only maps that know no word pair are fair. "
        "Hubness: skewness of how often a text word is a neighbour, 0 without hubs"
    )
    return Table(caption, header, rows)


def verdict(card: Mapping[str, Any]) -> str:
    """What the precision on the held-out words says of the aligned map, and of any rotation."""
    variants = card["alignment"]
    own, supervised = (above_chance(variants[name]["held_out"]) for name in ("aligned", "supervised"))
    if own is None or supervised is None:
        return "What can be concluded: nothing; no word was held out to measure it on."
    held_out = {name: found["held_out"] for name, found in variants.items()}
    n, chance = held_out["aligned"]["words"], _chance(held_out["aligned"])
    counts = ", ".join(f"{name} {_hits(held_out[name])}" for name in ("aligned", "supervised", "random_vectors"))
    if own:
        conclusion = "the map that was fitted without word pairs finds held-out words more often than chance"
    elif supervised:
        conclusion = (
            "the spaces have something in common, as a map that was fitted on the other words finds these more often "
            "than chance; the one that was fitted without word pairs does not"
        )
    else:
        conclusion = (
            "not even a map that was fitted on the other words finds these more often than chance: nothing here shows "
            "that a rotation maps these vectors of speech to those of text"
        )
    found = f"found at rank {RANKS[-1]}: {counts}; {chance * n:.1f} by chance; binomial, {LEVEL:.0%} over two maps"
    return f"What can be concluded, from {n} held-out words ({found}): {conclusion}."


def above_chance(held_out: Mapping[str, Any]) -> bool | None:
    """Whether so many of the words would be among the nearest by chance in less than half of `LEVEL` of cases; None
    without words."""
    from scipy.special import bdtrc  # here, so that importing this module stays light

    n = held_out["words"]
    if not n:
        return None
    hits = _hits(held_out)
    return hits > 0 and float(bdtrc(hits - 1, n, _chance(held_out))) < LEVEL / 2


def _hits(held_out: Mapping[str, Any]) -> int:
    return round(held_out[f"precision@{RANKS[-1]}"] * held_out["words"])


def _chance(held_out: Mapping[str, Any]) -> float:
    return min(RANKS[-1] * held_out["chance@1"], 1.0)


def _spaces(card: Mapping[str, Any]) -> Table:
    """What the vectors themselves hold: topics, spelling, similarity where a list was given."""
    similar = "similarity" in card["text"]
    rows = []
    for key, name in SPACES.items():
        found = card[key]
        topics, own = found["topics"], [name]
        own += [_share(topics["purity"]), _share(topics["chance"]), _correlation(found["spelling"])]
        if similar:
            own.append(f"{_correlation(found['similarity'])} ({found['similarity']['pairs']} pairs)")
        rows.append(own)
    header = ["vectors", "same topic among 5 nearest", "chance", "correlation with spelling"]
    caption = (
        "What the vectors hold (rank correlations). Cosines of two words in speech and in text: "
        f"{_correlation(card['agreement'])}; with the words shuffled within each speaker "
        f"{_correlation(card['agreement_by_speaker_alone'])}, which is what speakers alone explain"
    )
    return Table(caption, [*header, *(["word similarity"] if similar else [])], rows)


def _coverage(name: str, found: Mapping[str, Any]) -> Table:
    words, rows = max(found["words"], 1), max(found["rows"], 1)
    shares = (
        ("words with a vector of text", found["words_in_text"] / words),
        ("words with a vector of speech", found["words_in_speech"] / words),
        ("label rows inside a word", found["rows_with_word"] / rows),
        ("label rows inside a chunk of detected speech", found["rows_with_chunk"] / rows),
    )
    turns = "" if found["turns"] else "; the corpus has no turns: all speech counts as the subject's"
    caption = (
        f"{name}: words in {found['recordings_with_words']} of {found['recordings']} recordings of {found['target']}, "
        f"{found['words']:,} in all, {found['rows']:,} label rows; word times: {times(found['words_by'])}{turns}"
    )
    return Table(caption, ("what", "share"), [(what, _share(share)) for what, share in shares])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _correlation(found: Mapping[str, Any]) -> str:
    return "-" if found["spearman"] is None else f"{found['spearman']:.2f}"
