"""Players of single utterances, where audio of the corpus may leave the machine and there is room for it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

from ser.layout import Layout
from ser.report.html.markup import Html, slug, tag
from ser.store import Store

LONGEST = 20  # seconds of one clip (ours: longer than any utterance of EMO-DB, RAVDESS; not a whole conversation)
BUDGET = 3_000_000  # bytes of all clips of a report (ours: a page that still opens at once)


@dataclass
class Players:
    """Makes each player once, within the budget; the second time it is a link to the first.

    `said`: why there is none, by corpus, for the reader.
    """

    layout: Layout
    shareable: dict[str, bool]
    spent: int = 0
    said: dict[str, str] = field(default_factory=dict)
    stores: dict[str, Store | None] = field(default_factory=dict)
    made: dict[tuple[str, str], Html] = field(default_factory=dict)

    def player(self, corpus: str, utterance: str) -> Html | None:
        """An audio element, or None; `said` then has the reason."""
        key, name = (corpus, utterance), f"clip-{slug(corpus)}-{slug(utterance)}"
        if key not in self.made:
            clip = self._clip(corpus, utterance)
            if clip is None:
                return None
            if self.spent + len(clip) > BUDGET:
                self.said[corpus] = "some utterances have no player: the page would grow too large"
                return None
            self.spent += len(clip)
            source = f"data:audio/mpeg;base64,{base64.b64encode(clip).decode()}"
            self.made[key] = tag("a", "player above", href=f"#{name}")  # for the next time: a clip stands once
            label = f"utterance {utterance}"
            return tag("audio", id=name, controls="", preload="none", src=source, aria_label=label)
        return self.made[key]

    def _clip(self, corpus: str, utterance: str) -> bytes | None:
        if not self.shareable.get(corpus, False):
            self.said[corpus] = "no players: the licence does not let audio of this corpus leave the machine"
            return None
        if corpus not in self.stores:
            folder = self.layout.audio(corpus)
            self.stores[corpus] = Store(folder) if (folder / "card.json").exists() else None
        store = self.stores[corpus]
        if store is None or utterance not in store:
            self.said[corpus] = "no players: the audio was not here when the report was made"
            return None
        rate = int(store.card["rate"])
        if store.lengths([utterance])[0] > LONGEST * rate:
            self.said[corpus] = f"longer than {LONGEST} s, so without a player"
            return None
        return encode(store.read(utterance), rate)


def encode(signal: object, rate: int) -> bytes:
    """MP3 of a mono signal: every browser plays it, a tenth of the samples' size, and equal input gives equal bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()
