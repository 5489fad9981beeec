"""Players of single utterances, where audio of the corpus may be part of the report and there is room for it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from ser.core.layout import Layout
from ser.core.store import Store
from ser.report import spectrogram
from ser.report.tables import Cell, slug

LONGEST = 20  # seconds of one clip (ours: longer than any utterance of EMO-DB, RAVDESS; not a whole conversation)
PICTURES = 150  # spectrograms of a report (ours: about 0.6 MB)
BUDGET = 3_000_000  # bytes of all clips of a report (ours: a page that still opens at once)


@dataclass
class Players:
    """Makes each player once, within the budget; the second time it is a link to the first.

    `reasons` says for each corpus why some utterances have no player.
    """

    layout: Layout
    refused: Mapping[str, str]  # corpus -> why its audio may not be part of the report
    withheld: Mapping[str, str] = field(default_factory=dict)  # corpus -> why not even pictures of its audio may be
    spent: int = 0
    full: bool = False  # a clip did not fit
    drawn: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    stores: dict[str, Store | None] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def player(self, corpus: str, utterance: str) -> Cell | None:
        """A cell with a player, or None; `reasons` then says why."""
        name = f"clip-{slug(corpus)}-{slug(utterance)}"
        if name in self.made:
            return Cell("player above", href=name)
        source = self._source(corpus, utterance)
        if not source:
            return None
        self.made.add(name)
        audio = Markup('<audio id="{}" controls="" preload="none" src="{}" aria-label="utterance {}"></audio>')
        return Cell(inner=audio.format(name, source, utterance))

    def picture(self, corpus: str, utterance: str) -> Cell | None:
        """A cell with the spectrogram, or None where the licence forbids it, the audio is not here, or there are
        `PICTURES` already."""
        source = self.spectrogram(corpus, utterance)
        if not source:
            return None
        image = Markup('<img id="{}" class="spectrogram" src="{}" alt="spectrogram of {}" width="220" height="64">')
        return Cell(inner=image.format(f"picture-{slug(corpus)}-{slug(utterance)}", source, utterance))

    def spectrogram(self, corpus: str, utterance: str) -> str:
        """Its data URI; empty as above."""
        if corpus in self.withheld or self.drawn >= PICTURES:
            return ""
        store = self._store(corpus)
        if store is None or utterance not in store:
            return ""
        rate = int(store.card["rate"])
        if store.lengths([utterance])[0] > LONGEST * rate:
            return ""
        self.drawn += 1
        return spectrogram.picture(store.read(utterance), rate)

    def media(self, utterances: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """Clip and spectrogram of each of these that has no element on the page yet, as long as there is room:
        ``corpus-utterance`` -> their data URIs, empty where there is none."""
        found = {}
        for corpus, utterance in utterances:
            name = f"{slug(corpus)}-{slug(utterance)}"
            sound = "" if f"clip-{name}" in self.made else self._source(corpus, utterance)
            picture = "" if f"clip-{name}" in self.made else self.spectrogram(corpus, utterance)
            if sound or picture:
                found[name] = [sound, picture]
        return found

    def _source(self, corpus: str, utterance: str) -> str:
        """Data URI of the clip, counted in the budget; empty where there is none."""
        clip = self._clip(corpus, utterance)
        return "" if clip is None else f"data:audio/mpeg;base64,{base64.b64encode(clip).decode()}"

    def _store(self, corpus: str) -> Store | None:
        if corpus not in self.stores:
            folder = self.layout.audio(corpus)
            self.stores[corpus] = Store(folder) if (folder / "card.json").exists() else None
        return self.stores[corpus]

    def _clip(self, corpus: str, utterance: str) -> bytes | None:
        if corpus in self.refused:
            self.reasons[corpus] = f"no players: {self.refused[corpus]}"
            return None
        store = self._store(corpus)
        if store is None or utterance not in store:
            self.reasons[corpus] = "no players: the audio was not on the machine where the report was made"
            return None
        rate = int(store.card["rate"])
        if store.lengths([utterance])[0] > LONGEST * rate:
            self.reasons[corpus] = f"longer than {LONGEST} s, so without a player"
            return None
        clip = None if self.full else encode(store.read(utterance), rate)
        if clip is None or self.spent + len(clip) > BUDGET:
            self.full = True  # a shorter one might still fit, but to know that, all others would have to be encoded
            self.reasons[corpus] = "some utterances have no player: the page would grow too large"
            return None
        self.spent += len(clip)
        return clip


def encode(signal: object, rate: int) -> bytes:
    """MP3 of a mono signal: every browser plays it, a tenth of the samples' size, and equal input gives equal bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()
