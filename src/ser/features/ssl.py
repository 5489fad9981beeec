"""Hidden layers of a self-supervised encoder (wav2vec 2.0, HuBERT, WavLM, VoxPopuli), by the bundles of torchaudio.

The encoder is not trained here: it is read as it was published, in evaluation mode. Its weights are the file of the
bundle, looked for in a folder. Nothing is downloaded unless `download` is true; otherwise the error says which file to
put where. The file's SHA-256 is recorded with the feature, and `sha256` makes it a condition.

``TINY`` is an encoder of ours with two small layers of random weights. It was trained on nothing, needs no file, and
goes through the same code: it is for tests and for stepping through a study.

Dimension letters: N samples, T frames, L layers, D columns of a layer.
"""

from __future__ import annotations

import functools
import hashlib
import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ser.core.compute import device as device_named
from ser.core.errors import SerError
from ser.core.files import reading
from ser.core.plugins import nearest
from ser.corpora import raw_folder
from ser.features import spectrum

TINY = "TINY"
SHORTEST = 400  # samples that one frame needs; shorter signals are padded with zeros
URL = "https://download.pytorch.org/torchaudio/models/"
PRETRAINED_ON = {  # beginning of a bundle's name -> the corpora that it was trained on, the longest beginning first
    "WAV2VEC2_ASR_LARGE_LV60K": ("librilight", "librispeech"),
    "WAV2VEC2_LARGE_LV60K": ("librilight",),
    "WAV2VEC2_XLSR53": ("mls", "commonvoice", "babel"),
    "WAV2VEC2_XLSR": ("voxpopuli", "mls", "commonvoice", "voxlingua107", "babel"),
    "WAV2VEC2": ("librispeech",),
    "HUBERT_ASR": ("librilight", "librispeech"),
    "HUBERT_BASE": ("librispeech",),
    "HUBERT": ("librilight",),
    "WAVLM_BASE_PLUS": ("librilight", "gigaspeech", "voxpopuli"),
    "WAVLM_LARGE": ("librilight", "gigaspeech", "voxpopuli"),
    "WAVLM": ("librispeech",),
    "VOXPOPULI": ("voxpopuli",),
}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Feature:
    """Frames (50 per second) or statistics of an encoder.

    `layer`: the number of a layer, from 1; ``mean`` of all layers; ``all``: the layers side by side, for a model that
    learns their weights. `pool`: ``statistics`` gives one row per utterance, mean and standard deviation over time, of
    ``all`` layer by layer; ``none`` gives the frames. `weights`: the folder of the weights (empty: data/raw/encoders).
    `sha256`: the digest that the file must have (empty: any).
    """

    rate: ClassVar[int] = 16000  # Hz, of every bundle

    bundle: str = TINY
    layer: int | Literal["mean", "all"] = "mean"
    pool: Literal["statistics", "none"] = "statistics"
    weights: str = ""
    sha256: str = ""
    download: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA when there is one

    def __post_init__(self) -> None:
        if self.bundle not in bundles():
            raise ValueError(f"unknown bundle {self.bundle!r}. {nearest(self.bundle, bundles())}")
        if isinstance(self.layer, int) and not 1 <= self.layer <= self.layers:
            raise ValueError(f"{self.bundle} has the layers 1 to {self.layers}, not {self.layer}")

    @property
    def layers(self) -> int:
        return int(bundles()[self.bundle]._params["encoder_num_layers"])

    @property
    def level(self) -> str:
        return "frame" if self.pool == "none" else "utterance"

    @property
    def frame_rate(self) -> float | None:
        return 50.0 if self.pool == "none" else None

    @property
    def dim(self) -> int:
        columns = int(bundles()[self.bundle]._params["encoder_embed_dim"])
        return columns * (self.layers if self.layer == "all" else 1) * (1 if self.pool == "none" else 2)

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (T, dim) or (dim,) float32. Raises `SerError` for an empty signal, another rate, and without the
        weights."""
        import torch

        signal = spectrum.checked(signal, rate, self.rate)
        with _LOCK:  # one encoder serves all threads
            model, device = _encoder(self)
        x = torch.from_numpy(np.pad(signal, (0, max(0, SHORTEST - len(signal)))).astype(np.float32)).to(device)
        with torch.inference_mode():
            if bundles()[self.bundle]._normalize_waveform:
                x = torch.nn.functional.layer_norm(x, x.shape)
            layers = torch.cat(model.extract_features(x[None])[0])  # (L, T, D)
            if self.layer == "mean":
                layers = layers.mean(0, keepdim=True)
            elif self.layer != "all":
                layers = layers[self.layer - 1 : self.layer]
            if self.pool == "statistics":
                layers = torch.cat([layers.mean(1), layers.std(1, correction=0)], 1)  # (L, 2 D)
                return layers.reshape(-1).cpu().numpy()
            return layers.permute(1, 0, 2).flatten(1).cpu().numpy()

    def about(self) -> dict[str, Any]:
        """What is recorded with the feature: the encoder, its weights, and the corpora that it was pretrained on."""
        content = _content(self)
        digest = "random" if self.bundle == TINY and isinstance(content, bytes) else _digest(content)
        return {"encoder": {"bundle": self.bundle, "sha256": digest, "pretrained_on": list(pretrained_on(self.bundle))}}


def pretrained_on(bundle: str) -> tuple[str, ...]:
    """The corpora that a bundle was trained on, as its paper names them; empty for `TINY`."""
    return next((corpora for start, corpora in PRETRAINED_ON.items() if bundle.startswith(start)), ())


@functools.cache
def bundles() -> dict[str, Any]:
    """The encoders of torchaudio by name, and `TINY`."""
    from torchaudio import pipelines

    made = {n: b for n in dir(pipelines) if isinstance(b := getattr(pipelines, n), pipelines.Wav2Vec2Bundle)}
    known = {name: bundle for name, bundle in made.items() if name != "MMS_FA"}  # an aligner, no encoder
    base = made["WAV2VEC2_BASE"]
    small: dict[str, Any] = {
        "extractor_conv_layer_config": [(8, k, s) for _, k, s in base._params["extractor_conv_layer_config"]]
    }
    small |= {"encoder_embed_dim": 16, "encoder_num_layers": 2, "encoder_num_heads": 2}
    small |= {"encoder_ff_interm_features": 32, "encoder_pos_conv_kernel": 8, "encoder_pos_conv_groups": 4}
    tiny = pipelines.Wav2Vec2Bundle("ser_tiny.pth", {**base._params, **small}, 16000, False, "Wav2Vec2")
    return {TINY: tiny, **known}


def file(feature: Feature) -> Path:
    """Where the weights of a feature's encoder are looked for."""
    folder = Path(feature.weights) if feature.weights else raw_folder() / "encoders"
    return folder / Path(bundles()[feature.bundle]._path).name


def random_weights(bundle: str, seed: int = 1) -> bytes:
    """A file of random weights for a bundle's architecture, the same for the same seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = _architecture(bundle).state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _content(feature: Feature) -> Path | bytes:
    """The file of the weights; of `TINY` without a file, random weights. Raises `SerError` when there is none."""
    path = file(feature)
    if path.is_file():
        return path
    if feature.bundle == TINY:
        return random_weights(TINY)
    name = bundles()[feature.bundle]._path
    url = name if name.startswith("https") else URL + name
    if not feature.download:
        hint = f"Download {url} into that folder, or set download: true"
        raise SerError(f"the weights of {feature.bundle} are not here", path, hint)
    import pooch

    try:
        known = f"sha256:{feature.sha256}" if feature.sha256 else None
        return Path(pooch.retrieve(url, known, fname=path.name, path=path.parent, progressbar=True))
    except (OSError, ValueError) as error:  # no connection (requests' errors are OSErrors), or a wrong checksum
        hint = f"Check the network, or download the file by hand into {path.parent}"
        raise SerError(f"the weights of {feature.bundle} could not be downloaded: {error}", url, hint) from error


@functools.cache
def _encoder(feature: Feature) -> tuple[Any, str]:
    """The encoder of a feature with its weights, and its device."""
    import torch

    content, device = _content(feature), device_named(feature.device)
    if feature.sha256 and (found := _digest(content)) != feature.sha256.lower():
        what = f"the weights of {feature.bundle} have the SHA-256 {found}, not {feature.sha256}"
        raise SerError(what, file(feature), "Get the file again, or correct sha256")
    with reading(file(feature), "Get the file again"):
        source = content if isinstance(content, Path) else io.BytesIO(content)
        state = torch.load(source, map_location="cpu", weights_only=True)
        model = _architecture(feature.bundle)
        # bundles for recognition also have a classifier of letters, which is not read
        torch.set_num_threads(1)  # sums are then the same on every machine; utterances are computed in parallel
        model.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("aux.")})
    return model.eval().to(device), device


def _architecture(bundle: str) -> Any:
    from torchaudio import models

    known = bundles()[bundle]
    make = models.wavlm_model if known._model_type == "WavLM" else models.wav2vec2_model
    return make(**{**known._params, "aux_num_out": None})


@functools.cache
def _digest(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
