"""Sentences from frames and topic vocabularies, so that co-occurrence carries meaning and word choice carries affect.

All content words of a sentence belong to one topic, and a paragraph stays on its topic. A skip-gram model finds 93 % of
a word's neighbours in its own topic after 10 000 tokens and 98 % after 20 000 (chance 6 %). Vocabulary and frames are
ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ser_synth.generators import generator

Pools = Mapping[str, Sequence[str]]

_TOPIC_SLOTS = ("agent", "thing", "handled", "moved", "quality", "place")
_TOPICS = {
    "sea": """captain sailor pilot fisherman crew | ship anchor sail mast rope net wave tide oar cargo
        | steered loaded hauled sighted | sailed drifted sank floated | salty stormy western deep
        | harbour shore island bay""",
    "kitchen": """cook baker maid butler waiter | bread kettle soup butter spoon oven cheese apple pie dish
        | baked stirred tasted served | dined boiled supped cooled | hot sweet fresh hungry
        | kitchen pantry cellar tavern""",
    "war": """soldier general colonel sergeant scout | sword cannon rifle banner trench powder helmet drum fort bullet
        | attacked commanded defended captured | marched fought retreated fell | brave wounded loyal fierce
        | camp battlefield border garrison""",
    "garden": """gardener widow neighbour shepherd florist | rose hedge lily seed spade blossom orchard bee ivy violet
        | planted watered trimmed gathered | grew bloomed ripened withered | green fragrant leafy tender
        | garden meadow lawn greenhouse""",
    "trade": """merchant banker clerk lawyer tailor | coin ledger silk debt purse bargain contract parcel profit loan
        | sold counted weighed purchased | traded prospered bargained failed | wealthy costly honest shrewd
        | market office warehouse counter""",
    "music": """singer fiddler organist poet dancer | violin melody song harp chorus flute ballad waltz piano verse
        | played sang composed rehearsed | danced hummed whistled performed | lively melodious graceful famous
        | theatre ballroom stage concert""",
    "school": """teacher scholar pupil professor student | book lesson slate essay grammar latin chalk pen map riddle
        | studied copied recited explained | lectured graduated read argued | clever learned diligent curious
        | school library college classroom""",
    "forest": """hunter woodcutter ranger wolf fox | oak bear deer trail bow pine axe feather antler brook
        | chased tracked trapped felled | roamed howled leaped hid | wild mossy silent swift
        | forest valley thicket cave""",
    "medicine": """doctor nurse surgeon patient chemist | fever bandage pulse pill cough wound remedy lancet tonic
        splint | cured examined nursed dosed | recovered coughed fainted suffered | sick pale feverish weak
        | hospital ward bedside clinic""",
    "church": """priest bishop monk vicar pilgrim | prayer altar candle bell sermon psalm hymn relic choir cross
        | blessed baptized preached confessed | prayed knelt fasted repented | holy devout sacred humble
        | church abbey chapel cloister""",
    "rail": """driver guard porter engineer traveller
        | train engine ticket carriage bridge signal whistle luggage tunnel coal | fuelled repaired boarded missed
        | departed arrived halted rattled | punctual crowded iron distant | station platform junction depot""",
    "sky": """astronomer farmer stargazer watchman aviator
        | cloud rain thunder snow lightning breeze frost sunrise rainbow star | darkened soaked froze lit
        | rained thundered snowed shone | cloudy windy frosty misty | sky horizon hilltop plain""",
}
_MOOD_SLOTS = ("feeling", "quality", "verb", "degree")
# quadrants of (arousal, valence): joy (+, +), peace (-, +), gloom (-, -), rage (+, -)
_MOODS = {
    "joy": """delight triumph laughter wonder rapture | wonderful brilliant exciting amazing fantastic
        | love adore enjoy celebrate | really absolutely truly""",
    "peace": """comfort calm ease kindness trust | pleasant gentle nice lovely friendly
        | like appreciate welcome prefer | quite rather fairly""",
    "gloom": """sorrow boredom grief regret emptiness | dull sad boring tired lonely
        | miss mourn doubt pity | somewhat slowly hardly""",
    "rage": """anger horror disgust outrage fury | awful terrible horrible stupid annoying
        | hate despise resent fear | utterly completely totally""",
}
NARRATIVE = (
    "the {quality} {agent} {handled} the {thing} in the {place}",
    "a {agent} of the {place} {handled} the {thing} and the {thing}",
    "every {agent} {moved} near the {place} with a {thing}",
    "when the {agent} {moved} the {quality} {thing} was left in the {place}",
    "there was a {thing} and a {quality} {thing} before the {agent}",
    "the {agent} and the {agent} {moved} by the {quality} {place}",
    "he {handled} the {thing} that the {quality} {agent} {handled} at the {place}",
    "she {moved} from the {place} to the {place} with the {agent}",
    "no {agent} {handled} a {thing} without a {quality} {thing}",
    "upon the {place} the {agent} {handled} his {quality} {thing}",
)
MOODY = (
    "it gave him {feeling} and {feeling} for the day was {quality}",
    "they spoke of {feeling} and it was {degree} {quality}",
    "a {quality} hour of {feeling} and {feeling}",
    "she felt {feeling} and called it {degree} {quality}",
    "so {quality} and so {quality} was their {feeling}",
    "i {verb} it he said it is {degree} {quality}",
)
TALK = (
    "i {verb} this advert it is {degree} {quality}",
    "well i think the picture was {degree} {quality}",
    "to me it was {quality} and {quality}",
    "the music gave me {feeling}",
    "yes i {verb} the story because it is {quality}",
    "you know that part was {degree} {quality}",
    "i felt {feeling} and some {feeling} when i saw it",
    "it is {degree} {quality} and i {verb} it",
)
PARTNER = (
    "what do you think of it",
    "and the people in it",
    "do you mean the end",
    "tell me more about the story",
    "i see",
    "and would you buy it",
    "yes go on",
)
_FUNCTION_WORDS = {
    "en": """the a an and or of to in on at is are was were be i you he she it we they my your his her its our their
        this that with for from as but not so do does did have has had will would can could there here me him them us
        """,
    "de": """der die das den dem des ein eine einen einem einer und oder von zu in im auf an am ist sind war waren ich
        du er sie es wir ihr mich mir ihm ihn sich mit für dass aber nicht so hat haben wird werden kann als wie da denn
        """,
}
RARITY = 0.6  # Zipf-like exponent: word k of a pool is drawn in proportion to k ** -RARITY
STRAY = 0.15  # share of sentences off their paragraph's topic
SENTENCES = (3, 6)  # sentences in a paragraph


def _pools(slots: Sequence[str], text: str) -> Pools:
    return {slot: tuple(words.split()) for slot, words in zip(slots, text.split("|"), strict=True)}


TOPICS: Mapping[str, Pools] = {name: _pools(_TOPIC_SLOTS, text) for name, text in _TOPICS.items()}
MOODS: Mapping[str, Pools] = {name: _pools(_MOOD_SLOTS, text) for name, text in _MOODS.items()}
FUNCTION_WORDS = {language: frozenset(text.split()) for language, text in _FUNCTION_WORDS.items()}


def bare(token: str) -> str:
    """A token without its punctuation, in lower case."""
    return token.strip(".,!?;:").lower()


def is_content(token: str, language: str) -> bool:
    """Whether a token can be stressed; `language` is a code such as "de" or "en-us"."""
    return bare(token) not in FUNCTION_WORDS[language.split("-")[0]]


def pick(items: Sequence[str], rng: np.random.Generator, rarity: float = 0.0) -> str:
    """One of the items, item k with a probability proportional to ``k ** -rarity``."""
    weights = np.arange(1, len(items) + 1) ** -float(rarity)
    return items[int(rng.choice(len(items), p=weights / weights.sum()))]


def fill(frame: str, pools: Pools, rng: np.random.Generator) -> list[str]:
    """The tokens of a frame with each {slot} replaced by a word of its pool."""
    return [pick(pools[w[1:-1]], rng, RARITY) if w.startswith("{") else w for w in frame.split()]


def story(topic: str, rng: np.random.Generator) -> list[str]:
    """One narrative sentence about a topic or in a mood."""
    if topic in TOPICS:
        return fill(pick(NARRATIVE, rng), TOPICS[topic], rng)
    return fill(pick(MOODY, rng), MOODS[topic], rng)


def sentences(rng: np.random.Generator) -> Iterator[list[str]]:
    """Endless sentences, in paragraphs that are mostly on one topic."""
    names = (*TOPICS, *MOODS)
    while True:
        topic = pick(names, rng)
        for _ in range(int(rng.integers(SENTENCES[0], SENTENCES[1] + 1))):
            yield story(pick(names, rng) if rng.random() < STRAY else topic, rng)


def punctuate(tokens: Sequence[str]) -> list[str]:
    """A sentence of lower-case tokens with its capital and full stop."""
    words = [*tokens[:-1], tokens[-1] + "."]
    return [words[0].capitalize(), *words[1:]]


def lines(count: int, seed: str) -> Iterator[str]:
    """At least `count` words of the narrative that the corpora speak, one sentence per line; 40 000 are enough for
    skip-gram vectors to separate the topics."""
    for tokens in sentences(generator(seed, "text")):
        yield " ".join(tokens)
        count -= len(tokens)
        if count <= 0:
            return


def word_topics() -> dict[str, str]:
    """Word -> topic or mood, for words of only one: the expected answer when word vectors are tested."""
    found: dict[str, set[str]] = {}
    for name, pools in {**TOPICS, **MOODS}.items():
        for word in (w for pool in pools.values() for w in pool):
            found.setdefault(word, set()).add(name)
    return {word: names.pop() for word, names in sorted(found.items()) if len(names) == 1}
