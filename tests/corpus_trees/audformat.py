"""A small database in audformat, written by the library itself: whole files, segments, splits, a scheme of speakers."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound


def tree(root: Path, name: str = "mini") -> Path:
    import audformat
    import pandas as pd

    for file in ("a.wav", "b.wav", "c.wav"):
        sound(root / "wav" / file, seconds=0.4)
    db = audformat.Database(name, source="", usage="unrestricted", languages=["deu"])
    db.schemes["emotion"] = audformat.Scheme(labels=["joy", "fear"])
    db.schemes["speaker"] = audformat.Scheme(labels={"s1": {"gender": "female"}, "s2": {"gender": "male"}})
    db.schemes["transcription"] = audformat.Scheme("str")
    db.splits["train"] = audformat.Split(audformat.define.SplitType.TRAIN)
    db.splits["test"] = audformat.Split(audformat.define.SplitType.TEST)
    files = [f"wav/{f}.wav" for f in "abc"]
    db["files"] = audformat.Table(audformat.filewise_index(files))
    db["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["files"]["speaker"].set(["s1", "s1", "s2"])
    db["files"]["transcription"] = audformat.Column(scheme_id="transcription")
    db["files"]["transcription"].set(["Ja, ja.", None, "Nein."])
    db["emotion.train"] = audformat.Table(audformat.filewise_index(files[:2]), split_id="train")
    starts, ends = (pd.to_timedelta(seconds, unit="s") for seconds in ([0.0, 0.2], [0.2, 0.4]))
    segments = audformat.segmented_index([files[2], files[2]], starts, ends)
    db["emotion.test"] = audformat.Table(segments, split_id="test")
    for table, values in (("emotion.train", ["joy", None]), ("emotion.test", ["fear", "joy"])):
        db[table]["emotion"] = audformat.Column(scheme_id="emotion")
        db[table]["emotion"].set(values)
    db.save(str(root), storage_format="csv")
    return root
