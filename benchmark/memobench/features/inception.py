"""Inception features: the 2048 numbers that the FID and KID of the literature are computed on.

The network is torch-fidelity's port of the TensorFlow graph of 2015 ("inception-v3-compat"), with its resizing. It was
trained on photographs; its use here is comparison with published numbers.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, MemobenchError
from memobench.base.home import home
from memobench.features import FEATURES

NAME = "inception-v3-compat"
DIMENSION = 2048


@FEATURES.register("inception")
class InceptionFeatures:
    """Features of grey images by the Inception network of the FID.

    Weights are looked for in this order: the file given; ``MEMOBENCH_HOME/weights/`` (default
    ``~/.cache/memobench``); torch's hub cache; the network. Found under the published name, or downloaded, they must
    have the published hash. They are read without pickle.

    Args:
        weights: A state dict in torch's format; any of the right architecture.
        device: A torch device name.
        batch: Images per pass.

    Raises:
        MemobenchError: No weights anywhere and no network, or a file that is not these weights.
    """

    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, weights: Path | None = None, *, device: str = "cpu", batch: int = 32) -> None:
        self.device = device
        self.batch = batch
        self._network = _network(_state(weights)).to(device)

    def features(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """The features of the network's last pooling.

        Args:
            pixels: (N, H, W) grey images in [0, 1]; rounded to 8 bits and repeated to three channels.

        Returns:
            (N, 2048) float32.

        Raises:
            DataError: The images are not two-dimensional, or hold values outside [0, 1] or NaN.
        """
        import torch

        if pixels.ndim != 3:
            raise DataError(f"Inception sees (N, H, W) images, not {pixels.shape}; take slices of a volume first")
        rows = np.empty((len(pixels), DIMENSION), dtype=np.float32)
        for start in range(0, len(pixels), self.batch):
            part = np.asarray(pixels[start : start + self.batch], dtype=np.float32)
            if not (part.min() >= 0 and part.max() <= 1):  # written so that NaN fails too
                raise DataError(f"pixels span {part.min()} to {part.max()}; bring them to [0, 1] and replace NaN first")
            grey = torch.from_numpy(np.rint(part * 255).astype(np.uint8)).to(self.device)
            with torch.no_grad():
                (values,) = self._network(grey[:, None].repeat(1, 3, 1, 1))
            rows[start : start + len(part)] = values.cpu().numpy()
        return rows


def _url() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _state(weights: Path | None) -> dict[str, Any]:
    """The network's weights from where they can be had."""
    import torch

    if weights is not None:
        return _read(weights)
    url = _url()
    name = url.rsplit("/", 1)[1]
    places = [home() / "weights" / name, Path(torch.hub.get_dir()) / "checkpoints" / name]
    for place in places:
        if place.is_file():
            _check(place)
            return _read(place)
    try:
        places[0].parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(places[0]), hash_prefix=_hash_prefix(name), progress=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
        raise MemobenchError(
            f"the weights of Inception are not here and cannot be fetched ({_one_line(error)}); "
            f"download {url} elsewhere and put it at {places[0]}"
        ) from error
    return _read(places[0])


def _hash_prefix(name: str) -> str:
    """The start of the file's SHA-256, which its name ends with."""
    return name.rsplit("-", 1)[1].split(".")[0]


def _check(path: Path) -> None:
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if not found.startswith(_hash_prefix(path.name)):
        raise MemobenchError(
            f"{path} has SHA-256 {found[:8]}..., not {_hash_prefix(path.name)}...: "
            f"broken or another network; delete it and download {_url()}"
        )


def _read(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise MemobenchError(f"{path} cannot be read as weights ({_one_line(error)}); download {_url()}") from error
    if not isinstance(state, dict):
        raise MemobenchError(f"{path} holds a {type(state).__name__}, not a state dict; download {_url()}")
    return state


def _network(state: dict[str, Any]) -> Any:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles whatever file it is given; these bytes are our own, of tensors that were read safely.
    own = io.BytesIO()
    torch.save(state, own)
    own.seek(0)
    try:
        return FeatureExtractorInceptionV3(NAME, [str(DIMENSION)], feature_extractor_weights_path=own)
    except RuntimeError as error:
        raise MemobenchError(f"the weights do not fit Inception ({_one_line(error)}); download {_url()}") from error


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
