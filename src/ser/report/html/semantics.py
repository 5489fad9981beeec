"""The section on word vectors: what text and speech hold, how well speech is brought to text, which recordings' words
have a vector. From diagnostics.json and streams.json alone (`ser.words.run`, `ser.words.streams`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.files import read_json
from ser.report.html.experiment import figure
from ser.report.html.markup import Html, slug, table, tag
from ser.report.html.markup import section as make_section

TITLE = "Words in text and speech"
RANKS = (1, 5, 10)  # of the precision, as diagnostics.json has them
LEVEL = 0.05  # of the statement that a precision is above chance (ours: the custom); half of it for each of two maps
MAPS = {
    "aligned": "aligned: adversarial map and Procrustes, told no word",
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
    "What cannot be concluded: that words found again carry meaning. Words that sound alike, or are said by the same "
    "speaker, have like vectors without any. An independent reproduction of Speech2Vec with its published settings "
    "(Chen 2022, Homophone Reveals the Truth) found no semantics in its vectors. So a gain of words over the waveform "
    "alone counts as meaning only where random_vectors gains less, and the topics and similarities of speech are above "
    "chance, too."
)


def section(folders: Sequence[Path]) -> Html | None:
    """One part a folder of ``metrics/<study>/semantics``; None without any."""
    if not folders:
        return None
    return make_section("semantics", 2, TITLE, *(_block(f) for f in folders), tag("p", CAUTION))


def _block(folder: Path) -> Html:
    card = read_json(folder / "diagnostics.json")
    mark = tag("span", " SYNTHETIC data", class_="mark") if card["synthetic"] else None
    body: list[Html | None] = [tag("p", _source(card)), _maps(card), tag("p", verdict(card)), _spaces(card)]
    if (folder / "streams.json").exists():
        body.append(_coverage(folder.name, read_json(folder / "streams.json")))
    if (folder / "spaces.png").exists():
        title = f"{folder.name}: words of text and of speech before and after alignment, in one projection"
        body.append(tag("div", figure(folder / "spaces.png", title, card["synthetic"]), class_="wide"))
    return tag(
        "section", tag("h3", folder.name, mark), *body, id=slug(f"semantics-{folder.name}"), aria_label=folder.name
    )


def _source(card: Mapping[str, Any]) -> str:
    parts = f", partitions {', '.join(card['partitions'])} alone" if card["partitions"] else ""
    tokens, (first, last) = card["tokens"], card["speech2vec_loss"]
    return (
        f"Learnt from {card['spoken_words']:,} spoken words ({card['hours']:.2f} h, {card['speakers']} speakers) of "
        f"{card['corpus']}{parts}, and {card['text_words']:,} words of text. Words with a vector of speech: "
        f"{card['speech_vocabulary']:,}, of text: {card['text_vocabulary']:,}. Word times: {times(card['words_by'])}. "
        f"Loss of Speech2Vec: {first:.3f} in its first epoch, {last:.3f} in its last. The nearest other spoken word is "
        f"the same word in {_share(tokens['same'])} of cases (chance {_share(tokens['chance'])}): so well does the "
        "encoder tell sounds apart."
    )


def times(words_by: str) -> str:
    """How word times were got, in words."""
    known = TIMES.get(words_by.split(" ")[0], words_by)
    return known + (", inside timed sentences" if words_by.endswith("in sentences") else "")


def _maps(card: Mapping[str, Any]) -> Html:
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
        f"out of every dictionary, and all {words[1]} that both have, where only maps told no word are fair. "
        "Hubness: skewness of how often a text word is a neighbour, 0 without hubs"
    )
    return table(caption, header, rows)


def verdict(card: Mapping[str, Any]) -> str:
    """What the precision on the held-out words says of the aligned map, and of any rotation."""
    variants = card["alignment"]
    own, told = (above_chance(variants[name]["held_out"]) for name in ("aligned", "supervised"))
    if own is None or told is None:
        return "What can be concluded: nothing; no word was held out to measure it on."
    held_out = {name: found["held_out"] for name, found in variants.items()}
    n, chance = held_out["aligned"]["words"], _chance(held_out["aligned"])
    counts = ", ".join(f"{name} {_hits(held_out[name])}" for name in ("aligned", "supervised", "random_vectors"))
    if own:
        said = "the map that was told no word finds held-out words again more often than chance"
    elif told:
        said = (
            "the spaces have something in common, as a map that was told the other words finds these again more often "
            "than chance; the one that was told none does not find it"
        )
    else:
        said = (
            "not even a map that was told the other words finds these again more often than chance: nothing here shows "
            "that a rotation brings these vectors of speech to text"
        )
    found = f"found at rank {RANKS[-1]}: {counts}; {chance * n:.1f} by chance; binomial, {LEVEL:.0%} over two maps"
    return f"What can be concluded, from {n} held-out words ({found}): {said}."


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


def _spaces(card: Mapping[str, Any]) -> Html:
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
    header = ["vectors", "same topic among 5 nearest", "chance", "alike where spelt alike"]
    caption = (
        "What the vectors hold (rank correlations). Cosines of two words in speech and in text: "
        f"{_correlation(card['agreement'])}; with the words dealt anew within each speaker "
        f"{_correlation(card['agreement_by_speaker_alone'])}, which is what speakers alone explain"
    )
    return table(caption, [*header, *(["word similarity"] if similar else [])], rows)


def _coverage(name: str, found: Mapping[str, Any]) -> Html:
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
    return table(caption, ("what", "share"), [(what, _share(share)) for what, share in shares])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _correlation(found: Mapping[str, Any]) -> str:
    return "-" if found["spearman"] is None else f"{found['spearman']:.2f}"
