"""``ser.yaml``: what a package holds, and whether its weights are those that it was made with."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import file_name, replacing
from ser.core.tasks import Task

FORMAT = 1  # of the folder; a change that older code cannot read raises it
WEIGHTS, ABOUT, CARD, GRAPH = "weights.safetensors", "ser.yaml", "README.md", "model.onnx"
ENSEMBLE = "ensemble"  # in place of a module of ser.models
OPTIONAL = ("parts", "onnx")  # keys of ser.yaml that most packages do not have
AGAIN = "Get the package again, or make it again: dvc repro"


@dataclass(frozen=True)
class Feature:
    """An input of the model."""

    feature: str  # a module of ser.features
    values: dict[str, Any]  # all its parameters
    level: Literal["frame", "utterance"]
    dim: int  # columns


@dataclass(frozen=True)
class Graph:
    """``model.onnx``: the networks of all folds and seeds as one graph, whose scores are those of the package."""

    inputs: dict[str, tuple[str | int, ...]]  # name -> shape; float32, the features as they are extracted
    outputs: dict[str, tuple[str | int, ...]]  # name -> shape; float32
    includes: str  # what the graph does besides the networks
    digest: str  # SHA-256 of the file


@dataclass(frozen=True)
class Contents:
    """The whole of ``ser.yaml`` except for the number of its format."""

    name: str
    study: str
    experiment: str
    fingerprint: str  # of all that the weights were made from
    synthetic: bool  # whether the model was trained on synthetic speech
    model: str  # a module of ser.models, or `ENSEMBLE`
    kind: Literal["classification", "continuous"]
    outputs: tuple[str, ...]  # classes or dimensions
    rate: int  # Hz, of the audio that the features are made from
    features: dict[str, Feature]  # name of the input -> its feature, in the order of the model
    config: dict[str, Any]  # values of the model
    training: dict[str, Any]  # values of its training, of which the windows count here
    precision: str  # of the training, as in ser.settings.schema.Run; predictions are float32
    members: tuple[str, ...]  # fold and seed of each part of the weights; of an ensemble the folds
    temperature: float | None  # of the scores of each member; None: not calibrated
    coverage: tuple[tuple[float, float, float], ...]  # share answered, accuracy on it, least confidence
    digest: str  # SHA-256 of the file of the weights; of an ensemble that of the digests of its parts
    versions: dict[str, str]  # of the libraries that made the weights
    on: Literal["folds", "all"] = "folds"  # what each part of the weights was trained on: its fold, or all utterances
    parts: tuple[str, ...] = ()  # of an ensemble: its experiments; each has a folder, which is a package itself
    onnx: Graph | None = None

    @property
    def task(self) -> Task:
        columns = {name: f.dim for name, f in self.features.items()}
        return Task(self.kind, self.outputs, columns, {name: f.level for name, f in self.features.items()})


def write(folder: Path, contents: Contents) -> None:
    """Writes ``ser.yaml`` into `folder`."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    values = {"format": FORMAT, **_plain(dataclasses.asdict(contents))}
    values = {key: value for key, value in values.items() if key not in OPTIONAL or value}
    with replacing(folder / ABOUT) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def read(folder: str | Path) -> Contents:
    """The contents of a package. Raises `SerError` when it is none, of an unknown format, or has other weights than it
    was made with.
    """
    from ruamel.yaml import YAML, YAMLError

    folder = Path(folder)
    path = folder / ABOUT
    if not path.is_file():
        raise SerError(f"not a package: it has no {ABOUT}", folder, "Name a folder data/STUDY/packages/NAME")
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise SerError("not valid YAML", path, AGAIN) from error
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, Mapping) else None
        hint = "Install the version of ser that made it" if isinstance(found, int) and found > FORMAT else AGAIN
        raise SerError(f"package format {found!r} is unknown; this version of ser reads {FORMAT}", path, hint)
    contents = plugins.build(Contents, {k: v for k, v in values.items() if k != "format"}, str(path))
    _check_weights(folder, contents)
    return contents


def _check_weights(folder: Path, contents: Contents) -> None:
    weights = folder / WEIGHTS
    if contents.parts:  # their own files are checked as each of them is read
        weights, found = folder, together(read(folder / file_name(part)) for part in contents.parts)
    elif weights.is_file():
        found = digest(weights)
    else:
        raise SerError("the package has no weights", weights, AGAIN)
    if found != contents.digest:
        raise SerError("the weights are not those that the package was made with", weights, AGAIN)


def together(parts: Iterable[Contents]) -> str:
    """The digest of an ensemble."""
    return hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
