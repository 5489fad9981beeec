"""The synthesizer and what is drawn around it: repeatable takes, one interval per token, plausible acoustics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ser_synth import affect, espeak, texts, timing
from ser_synth.errors import SynthError
from ser_synth.espeak import Engine
from ser_synth.generators import generator
from ser_synth.rendering import Recording, Speech, render
from ser_synth.voice import STYLES, Style, draw_speaker, perform

PAIRS = ["I", "am", "of", "the", "sea", "and", "in", "the", "end", "it", "is", "to", "be", "a", "song."]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with espeak.engine() as voice:
        yield voice


def say(engine: Engine, tokens: list[str], seed: int = 1, rate: int = 175) -> espeak.Take:
    return engine.speak(tokens, "en-us", "pitch 90 150\n", ["\x0150P"] * len(tokens), rate, seed)


def test_a_take_does_not_depend_on_earlier_ones(engine: Engine) -> None:
    sentences = [PAIRS, ["Dogs", "are", "sitting", "by", "the", "door."], ["Stop."]]
    first = [say(engine, s).pcm for s in sentences]
    second = [say(engine, s).pcm for s in reversed(sentences)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_takes_survive_a_new_data_folder() -> None:
    with espeak.engine() as voice:
        before = say(voice, PAIRS)
    with espeak.engine() as same:  # the folder was removed in between
        assert same is voice
        assert np.array_equal(say(same, PAIRS).pcm, before.pcm)


def test_every_token_has_one_interval_even_where_words_share_an_event(engine: Engine) -> None:
    take = say(engine, PAIRS)
    assert len(take.words) == len(PAIRS)
    assert all(a < b for a, b in take.words)
    assert all(b <= c for (_, b), (c, _) in pairwise(take.words))
    loud = np.abs(take.pcm.astype(float))
    inside = np.zeros(len(loud), bool)
    for a, b in take.words:
        inside[a:b] = True
    assert (loud[inside] ** 2).mean() > 100 * (loud[~inside] ** 2).mean()  # words are 20 dB above what is between them


def test_every_sentence_the_corpora_can_say_is_aligned(engine: Engine) -> None:
    rng = generator("test", "frames")
    frames = [*texts.TALK, *texts.MOODY]
    spoken = [texts.fill(f, texts.MOODS[m], rng) for f in frames for m in texts.MOODS]
    spoken += [texts.fill(f, texts.TOPICS[t], rng) for f in texts.NARRATIVE for t in texts.TOPICS]
    spoken += [p.split() for p in texts.PARTNER]
    for tokens in spoken:
        assert len(say(engine, tokens, rate=400).words) == len(tokens)


def test_shared_word_event_is_cut_by_phones() -> None:
    # "of the cat": one event for the first two words (2 + 2 phones), one for the third
    events = [timing.Event(True, 100, 0)]
    events += [timing.Event(False, 100 + 50 * i, 0, "x") for i in range(4)]
    events += [timing.Event(False, 300, 0, ""), timing.Event(True, 340, 7)]  # a pause, then cat
    events += [timing.Event(False, 340 + 50 * i, 7, "x") for i in range(3)]
    words = timing.word_intervals(events, [(0, 2), (3, 6), (7, 10)], 490, lambda i: (2, 2, 3)[i])
    assert words == [(100, 200), (200, 300), (340, 490)]


def test_a_glide_between_vowels_belongs_to_the_second_word() -> None:
    events = [timing.Event(True, 0, 0), timing.Event(False, 0, 0, "i")]
    events += [timing.Event(False, 200, 0, ""), timing.Event(True, 250, 3), timing.Event(False, 300, 3, "x")]
    assert timing.word_intervals(events, [(0, 2), (3, 6)], 400, lambda i: 1) == [(0, 200), (250, 400)]


def test_lost_words_are_an_error() -> None:
    events = [timing.Event(True, 0, 0), timing.Event(False, 0, 0, "x")]
    with pytest.raises(SynthError, match="lost a word"):
        timing.word_intervals(events, [(0, 2), (3, 6)], 100, lambda i: 1)
    with pytest.raises(SynthError, match="no word"):
        timing.word_intervals([], [(0, 2)], 100, lambda i: 1)


def test_a_long_or_spaced_tmpdir_works(tmp_path: Path) -> None:
    deep = tmp_path / "with space" / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    code = "from ser_synth import espeak\nwith espeak.engine() as e: print(e.version, espeak.short_path())"
    for folder in (deep, tmp_path / "with space"):
        run = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        version, home = run.stdout.split(maxsplit=1)
        assert version == "1.52.0"
        assert not Path(home.strip()).exists()  # cleared up


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SynthError, match=r"pip install espeakng-loader"):
        espeak.locate()


def test_silence_outside_the_block_is_an_error() -> None:
    with espeak.engine() as voice:
        pass
    with pytest.raises(RuntimeError, match="running"):
        say(voice, ["Stop."])


def speech(engine: Engine, emotion: str, recording: Recording, sex: str = "m") -> Speech:
    speaker = draw_speaker("test", sex, sex, 0)
    style = STYLES[emotion]
    tokens = ["This", "is", "what", "I", "say", "now."]
    return render(engine, tokens, "en-us", speaker, style, recording, generator("test", "x"))


def test_rendered_words_are_where_the_sound_is(engine: Engine) -> None:
    made = speech(engine, "neutral", Recording(noise_db=-90, lead=(0.3, 0.3), tail=(0.3, 0.3)))
    inside = np.zeros(len(made.samples), bool)
    for start, end in made.words:
        inside[round(start * made.rate) : round(end * made.rate)] = True
    power = made.samples**2
    assert power[inside].mean() > 30 * power[~inside].mean()
    assert made.words[0][0] == pytest.approx(0.3, abs=0.05)


def autocorrelation_f0(samples: np.ndarray, rate: int) -> float:
    """Median F0 in Hz of the loud frames, from the highest peak of the autocorrelation between 60 and 500 Hz."""
    n = rate // 20
    frames = samples[: len(samples) // n * n].reshape(-1, n)
    frames = frames[frames.std(1) > 0.5 * frames.std(1).max()]
    spectra = np.abs(np.fft.rfft(frames - frames.mean(1, keepdims=True), 4 * n)) ** 2
    r = np.fft.irfft(spectra)[:, rate // 500 : rate // 60]
    return float(np.median(rate / (rate // 500 + r.argmax(1))))


def test_emotions_move_pitch_tempo_and_level_as_the_literature_says(engine: Engine) -> None:
    recording = Recording(noise_db=-90, gain_db=-12)
    anger, sadness, neutral = (speech(engine, e, recording) for e in ("anger", "sadness", "neutral"))
    f0 = {n: autocorrelation_f0(s.samples, s.rate) for n, s in (("a", anger), ("s", sadness), ("n", neutral))}
    assert f0["a"] > 1.2 * f0["n"] > 1.2 * 0.8 * f0["s"]
    assert sadness.duration > 1.25 * neutral.duration > 1.25 * 0.9 * anger.duration
    assert anger.samples.std() > 2 * sadness.samples.std()


def test_men_and_women_differ_in_pitch(engine: Engine) -> None:
    man, woman = (speech(engine, "neutral", Recording(), sex) for sex in "mf")
    assert autocorrelation_f0(woman.samples, woman.rate) > 1.3 * autocorrelation_f0(man.samples, man.rate)


def test_takes_spread_by_within_and_speakers_by_personal() -> None:
    speaker = draw_speaker("test", "1", "f", 1)
    flat = perform(speaker, "neutral", generator("test", "a"), 1, within=0, personal=0)
    assert flat == Style()  # neutral without chance changes nothing
    a, b = (perform(speaker, "anger", generator("test", "a"), 1, w, personal=0).vector() for w in (0, 2))
    c = perform(speaker, "anger", generator("test", "a"), 1, within=1, personal=0).vector()
    assert np.allclose(c, (a + b) / 2)  # linear in `within`, with the same draws


def test_peak_is_normalised_when_asked(engine: Engine) -> None:
    made = speech(engine, "anger", Recording(peak=0.8, noise_db=-90))
    assert np.abs(made.samples).max() == pytest.approx(0.8, abs=0.01)


def test_words_have_one_topic() -> None:
    words = [w for pools in (*texts.TOPICS.values(), *texts.MOODS.values()) for p in pools.values() for w in p]
    assert len(words) == len(set(words))
    assert len(words) > 400


def test_paragraphs_stay_on_a_topic() -> None:
    topic = {w: t for t, pools in {**texts.TOPICS, **texts.MOODS}.items() for p in pools.values() for w in p}
    source = texts.sentences(generator("test", "text"))
    subjects = []
    for _ in range(400):
        found = {topic[w] for w in next(source) if w in topic}
        assert len(found) == 1
        subjects += found
    same = np.mean([a == b for a, b in pairwise(subjects)])
    # paragraphs of 3..6 (mean 4.5): 7 of 9 neighbours share one, both of them on its topic with 0.85 ** 2
    assert same == pytest.approx(7 / 9 * 0.85**2, abs=0.1)
    assert set(subjects) == {*texts.TOPICS, *texts.MOODS}


def ccc(x: np.ndarray, y: np.ndarray) -> float:
    return float(2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def test_gold_standard_recovers_the_latent_affect_better_than_a_rater() -> None:
    rng = generator("test", "affect")
    truth = [affect.contours(rng, 900, affect.Contours()) for _ in range(8)]
    raters = [affect.annotate(rng, t, affect.Raters()) for t in truth]
    gold = np.concatenate([affect.gold_standard(r, affect.Raters()) for r in raters])
    all_truth, one = np.concatenate(truth), np.concatenate([r[0] for r in raters])
    for d in range(3):
        assert ccc(gold[:, d], all_truth[:, d]) > max(0.75, ccc(one[:, d], all_truth[:, d]))


def test_gold_standard_of_agreeing_raters_is_their_contour_moved_back_by_the_lag() -> None:
    truth = np.sin(np.arange(300) / 20)[:, None] * [0.5, 0.3, 0.2]
    raters = affect.Raters(lag=(2.0, 2.0))
    late = np.concatenate([np.zeros((20, 3)), truth])[:300]  # 2 s at 10 Hz
    gold = affect.gold_standard(np.stack([late] * 3), raters)
    assert np.allclose(gold[:280], truth[:280])


def test_contours_have_the_asked_spread_and_correlation() -> None:
    c = affect.Contours(mean_sd=(0, 0, 0), mean=(0, 0, 0))
    x = affect.contours(generator("test", "long"), 200_000, c)
    assert np.allclose(x.std(0), c.sd, atol=0.02)
    assert np.corrcoef(x.T)[0, 1] == pytest.approx(c.arousal_valence, abs=0.08)
