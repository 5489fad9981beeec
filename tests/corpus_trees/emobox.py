"""A few files of a corpus in EmoBox's metadata, with a map in another case, a key with a space, and a segment."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpus_trees import sound, write

ROWS = {  # key -> file, label, speaker, start and end
    "mini-a1": ("a1.wav", "neutral", "male_03", None),
    "mini-a2": ("a2.wav", "happy", "male_03", None),
    "mini-b1": ("b1.wav", "neutral", "RÖTTIG S", None),
    "mini-b 2": ("b2.wav", "happy", "RÖTTIG S", (0.1, 0.3)),
}
FOLDS = {"1": {"train": ("mini-a1", "mini-b 2"), "test": ("mini-a2", "mini-b1")}}
FOLDS["2"] = {"train": FOLDS["1"]["test"], "valid": ("mini-b 2",), "test": ("mini-a1",)}


def tree(root: Path) -> Path:
    folder = root / "data/mini"
    for file, *_ in ROWS.values():
        sound(root / "downloads/mini" / file, seconds=0.4)
    write(folder / "mini.jsonl", "".join(line(key) for key in ROWS))
    write(folder / "label_map.json", '{"Neutral": "Neutral", "happy": "Happy"}')
    stm = (f"{k} 1 {s} 0 1.0 <id={k},lang=en,spk={s},emotion={e}> {e}\n" for k, (_, e, s, _) in ROWS.items())
    write(folder / "data.seg.wrd.stm", "".join(stm))
    for number, parts in FOLDS.items():
        for part, keys in parts.items():
            write(folder / f"fold_{number}/mini_{part}_fold_{number}.jsonl", "".join(map(line, keys)))
    return root


def line(key: str) -> str:
    file, emotion, _, span = ROWS[key]
    row = {"key": key, "dataset": "mini", "wav": f"downloads/mini/{file}", "type": "raw", "sample_rate": 16000}
    row |= {"num_frame": 6400.0, "task": "category", "length": 0.4, "emo": emotion, "channel": 1}
    return json.dumps(row | (dict(zip(("start_time", "end_time"), span, strict=True)) if span else {})) + "\n"
