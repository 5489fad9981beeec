"""The first screen of the report and what its script works on: the answer, the forest plot, utterances, comparisons."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from ser.core.layout import Layout
from ser.evaluation import intervals, metrics, notes
from ser.report import answer, charts, explorer, forest, sections, sound, spectrogram, systems
from ser.report.study import load
from tests.evaluation.conftest import classification_table
from tests.report.test_page import make

__all__ = ["make"]


@pytest.fixture
def emotions():
    """Predictions of two seeds with one truth, as a corpus has it."""
    table = classification_table()
    first = table[table["seed"] == 1].set_index("utterance")["truth"]
    return table.assign(truth=first.loc[table["utterance"]].to_numpy())


@pytest.fixture
def study(make):
    make()
    return load(Layout("s"))


def about(experiment, **changes):
    result = experiment.result
    return replace(experiment, result=replace(result, description=replace(result.description, **changes)))


def answers(study):
    tests = {(c.a, c.b): c for family in sections.families(study) for c in family.tests}
    return answer.answers(study, tests)


def test_one_sentence_names_the_best_system_its_interval_and_what_it_beats(study):
    first, second = answers(study)
    score = study.experiments["good"].result.headline
    interval = f"UA {score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
    expected = f"The best speaker-independent system on emodb is good: {interval}, better than 1 of 1 other system."
    assert first.sentence == expected
    assert first.remark.startswith("95% interval over 6 speakers; paired tests by speaker")
    assert second.sentence.startswith("The best speaker-independent system on sewa is affect: CCC ")
    assert second.sentence.endswith("with no other system to compare it with.")


def test_a_speaker_dependent_system_never_answers_beside_independent_ones(study):
    good, bad = study.experiments["good"], study.experiments["bad-<b>"]
    mixed = replace(study, experiments={"good": about(good, speaker_independent=False), "bad-<b>": bad})
    (only,) = answers(mixed)
    assert only.sentence.startswith("The best speaker-independent system on emodb is bad-<b>: ")
    alone = replace(study, experiments={"good": about(good, speaker_independent=False, transductive=True)})
    (only,) = answers(alone)
    assert only.sentence.startswith("The best system, its test speakers in training, on emodb is good†: ")
    assert "† It uses statistics of the test speakers' audio" in only.remark


def test_a_system_whose_epoch_the_test_part_chose_never_answers(study):
    good, bad = study.experiments["good"], study.experiments["bad-<b>"]
    (only,) = answers(replace(study, experiments={"good": about(good, selection="test_oracle"), "bad-<b>": bad}))
    assert only.sentence.startswith("The best speaker-independent system on emodb is bad-<b>: ")
    assert not answers(replace(study, experiments={"good": about(good, selection="dev, test_oracle")}))


def test_a_system_that_uses_the_audio_of_test_speakers_is_named_after_the_best(study):
    good, bad = study.experiments["good"], study.experiments["bad-<b>"]
    (only,) = answers(replace(study, experiments={"good": about(good, transductive=True), "bad-<b>": bad}))
    assert only.sentence.startswith("The best speaker-independent system on emodb is bad-<b>: ")
    assert "With statistics of the test speakers' audio, without labels, good† reaches " in only.remark


def test_three_numbers_are_those_of_the_files(study):
    best, chance, published = answer.numbers(study, None)
    assert best.value == f"{study.experiments['good'].result.headline.value:.2f}"
    assert chance.value == "0.25"
    assert re.fullmatch(r"0 of \d+", published.value)
    own = replace(study, experiments={"bad-<b>": study.experiments["bad-<b>"]})
    assert answer.numbers(own, (3, 120))[2].value == "3 of 120"


def test_the_forest_has_every_system_with_its_interval_and_the_published_value(study):
    drawn = forest.panels(study.results)
    assert [(p.metric, [b.corpus for b in p.blocks]) for p in drawn] == [("UA", ["emodb"]), ("CCC", ["sewa"])]
    rows = drawn[0].blocks[0].rows
    assert [r.name for r in rows] == ["good", "bad-<b>"]
    assert (rows[0].printed, rows[1].printed) == (0.7812, None)
    assert rows[0].reason.startswith("not comparable")
    for narrow in (False, True):
        drawing = forest.svg(drawn, "title", narrow)
        assert drawing.count('class="at') == 3
        assert drawing.count('class="hollow"') == 1
        assert "bad-&lt;b&gt;" in drawing
    dependent = {n: about(e, speaker_independent=False).result for n, e in study.experiments.items()}
    assert all(p.title.startswith("Speaker-dependent") for p in forest.panels(dependent))
    (remark,) = forest.remarks(drawn)
    assert remark.startswith("good: UA 0.781 published; not comparable")


def test_a_forest_of_its_own_names_its_colours_and_asks_for_nothing(study):
    drawing = forest.standalone(forest.panels(study.results), "title", "dark")
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    assert "var(" not in drawing
    assert "href" not in drawing


def test_utterances_for_the_script_have_the_confusions_of_the_predictions(study):
    (group,) = explorer.groups(study)
    assert [s.experiment.name for s in group.systems] == ["good", "bad-<b>"]
    (found,) = json.loads(explorer.data([group]))
    system, K = found["systems"][0], len(found["classes"])
    counts = np.zeros((K, K), int)
    for run in system["runs"]:
        for true, predicted in zip(found["truth"], run, strict=True):
            counts[ord(true) - 97, ord(predicted) - 97] += 1
    scored = study.experiments["good"].scored
    assert (counts == intervals.confusions(scored, "corpus").sum(axis=(0, 1))).all()
    n = len(found["ids"])
    assert len(system["scores"]) == 2 * n * K
    first = [int(system["scores"][2 * k : 2 * k + 2]) / 100 for k in range(K)]
    own = scored.table[scored.table["utterance"] == found["ids"][0]]
    mean = own[[f"score_{c}" for c in found["classes"]]].mean().to_numpy()
    assert first == pytest.approx(mean.clip(max=0.99), abs=0.0051)


def test_no_name_ends_the_script_early(study):
    named = replace(study, experiments={"</script>": study.experiments["good"]})
    assert "<" not in explorer.data(explorer.groups(named))


def test_utterances_that_all_miss_are_wrong_in_every_system(study):
    (group,) = explorer.groups(study)
    found = group.misses()
    for system in group.systems:
        assert (system.scores[found].argmax(axis=1) != group.truth[found]).all()
    others = np.setdiff1d(np.arange(len(group.table)), found)
    right = np.stack([s.scores[others].argmax(axis=1) == group.truth[others] for s in group.systems])
    assert right.any(axis=0).all()
    made = systems.missed(group, sound.Players(study.layout, {}))
    assert f"{len(found)} (" in made.sentence


def test_the_table_of_speakers_has_their_ua(study):
    (group,) = explorer.groups(study)
    table = systems.speakers(group)
    scored = study.experiments["good"].scored
    expected = metrics.ua(intervals.confusions(scored, "speaker")).mean(axis=0)
    assert [float(cell.text) for cell in table.rows[0][1:]] == pytest.approx(expected, abs=0.0051)


def test_the_curve_of_cost_is_the_best_score_so_far():
    points = [charts.Point(1, 0.5, "1", "a"), charts.Point(10, 0.4, "2", "b"), charts.Point(100, 0.8, "3", "c")]
    drawn = charts.frontier("t", points, "minutes", "UA")
    (line,) = re.findall(r'<path d="(M[^"]*)" class="line', drawn)
    assert line.count("V") == 1  # one step up: b is dearer and worse than a
    assert drawn.count("<circle") == 3


def test_a_spectrogram_is_louder_where_the_tone_is():
    rate = 16000
    tone = np.sin(2 * np.pi * 2000 * np.arange(rate) / rate)
    levels = spectrogram._levels(tone, rate)
    assert levels.shape == (spectrogram.BANDS, levels.shape[1])
    assert abs(int(levels.mean(axis=1).argmax()) - 16) <= 1  # 2 kHz of 8 kHz over 64 bands
    assert spectrogram.picture(tone, rate) == spectrogram.picture(tone, rate)
    assert spectrogram.picture(np.zeros(3), rate).startswith("data:image/png;base64,")


def test_an_ensemble_with_a_member_whose_epoch_the_test_part_chose_is_biased_too(study):
    member = about(study.experiments["good"], selection="dev, test_oracle")
    assert "selected on test: biased upwards" in notes.of_settings(member.about)
    assert "selected on test: biased upwards" not in notes.of_settings(about(member, selection="dev, last").about)
