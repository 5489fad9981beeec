"""The model card of a package: README.md in the form that Hugging Face reads, with what such cards usually lack."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser.corpora import Card
from ser.evaluation import metrics, pooling, results
from ser.evaluation.predictions import Predictions
from ser.evaluation.results import Result
from ser.packages.contents import Contents

METRICS = {"wa": ("accuracy", "WA (accuracy)"), "ua": ("recall", "UA (mean recall of the classes)"), "f1": ("f1", "F1")}
OPENSMILE = (
    "openSMILE, which computes the functionals, is free for private, academic and other non-commercial use only "
    "(audEERING GmbH)"
)


def text(
    contents: Contents, trained: Sequence[Mapping[str, Any]], result: Result, predictions: Predictions, corpus: Card
) -> str:
    """The whole of README.md. `trained`: the cards of the experiments in the package, several of an ensemble;
    `corpus`: the card of the corpus that they were trained on.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    pretrained = [next(iter(card["notes"].values())).get("pretrained") for card in trained]
    return environment.get_template("card.md").render(
        metadata=_metadata(contents, result, corpus),
        contents=contents,
        about=result.description,
        scores={results.label(name): results.text(score) for name, score in result.scores.items()},
        interval=result.interval,
        calibration=result.calibration,
        half=next((row for row in contents.coverage if row[0] == 0.5), None),
        spread=_spread(predictions, result),
        notes=result.notes,
        corpus=corpus,
        encoders=[encoder for encoder in pretrained if isinstance(encoder, Mapping)],
        licences=_licences(contents, corpus),
        continuous=contents.kind == "continuous",
    )


def _metadata(contents: Contents, result: Result, corpus: Card) -> str:
    """The YAML at the head of the card."""
    from ruamel.yaml import YAML

    about, found = result.description, []
    for name, score in result.scores.items():
        kind, title = METRICS.get(name, ("ccc", results.label(name)))
        if score.value is not None:
            found.append({"type": kind, "name": title, "value": score.value})
    dataset = {"name": corpus.title, "type": corpus.name, "split": f"{about.protocol}, pooled test parts"}
    if contents.synthetic:
        dataset["name"] += " (SYNTHETIC look-alike)"
    task = {"type": "audio-classification", "name": "speech emotion recognition"}
    values = {
        "library_name": "ser",
        "pipeline_tag": "audio-classification",
        "license": "other",
        "license_name": "see-licences-below",
        "language": [corpus.language],
        "tags": ["speech-emotion-recognition", contents.model],
        "model-index": [{"name": contents.name, "results": [{"task": task, "dataset": dataset, "metrics": found}]}],
    }
    stream, yaml = io.StringIO(), YAML()
    yaml.default_flow_style, yaml.width = False, 1000
    yaml.dump(values, stream)
    return stream.getvalue()


def _spread(predictions: Predictions, result: Result) -> dict[str, Any]:
    """The headline metric by speaker (recording): the lowest, the median and the highest, and their number."""
    scored = pooling.labelled(predictions)[0]
    if scored.table.empty:
        return {}
    unit, headline = pooling.unit_of(scored), result.description.headline
    summaries, statistics = pooling.toolbox(scored)
    values = metrics.mean(statistics[headline](summaries(scored, unit)), axis=0)
    low, middle, high = (float(f(values)) for f in (np.nanmin, np.nanmedian, np.nanmax))
    return {
        "metric": results.label(headline),
        "unit": pooling.noun(unit),
        "n": len(values),
        "low": low,
        "median": middle,
        "high": high,
    }


def _licences(contents: Contents, corpus: Card) -> list[str]:
    found = [f"{corpus.title}: {corpus.licence}" + (" (here its synthetic look-alike)" if contents.synthetic else "")]
    if any(f.feature == "functionals" for f in contents.features.values()):
        found.append(OPENSMILE)
    return [*found, "the code of ser: MIT"]
