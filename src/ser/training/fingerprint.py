"""What a finished fold is filed under: settings, folds, labels, features, weights, sources, library versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.evaluation import metrics
from ser.files import digest
from ser.store import Store
from ser.training import controls


def fingerprint(
    settings: Mapping[str, Any], manifest: Path, folds: Path, features: Mapping[str, Path], device: str
) -> str:
    """A digest of all that an experiment's numbers depend on; its folds are filed under it."""
    code = controls.sources(settings)
    code += [*sorted(Path(__file__).parent.glob("*.py")), Path(metrics.__file__)]  # metrics decide the selection on dev
    contents = {name: Store(path).content for name, path in features.items()}
    pretrained = Path(settings["config"].get("pretrained") or "")
    weights = sorted(p for p in pretrained.glob("*") if p.is_file()) if pretrained.name else []
    labels = [p for p in sorted(manifest.glob("*.*")) if p.name != "words.csv"]  # not the folder `audio`
    return digest(
        dict(settings),
        contents,
        device,
        [_version(m) for m in ("numpy", "scikit-learn", "torch")],
        folds.read_bytes(),
        *[p.read_bytes() for p in labels],
        *[p.read_bytes() for p in (*code, *weights)],
    )


def _version(module: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{module}=={version(module)}"
    except PackageNotFoundError:
        return module
