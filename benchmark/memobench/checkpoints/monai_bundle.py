"""MONAI bundles: ``configs/inference.json`` and ``models/*.safetensors``, as a folder or a zip.

A bundle's configuration is a program: ``$`` marks Python to be evaluated, and ``_target_`` names whatever is to be
called. So it is read here without MONAI's parser, and only what can run no code of the bundle is accepted: a network, a
noise scheduler and, for latent diffusion, an autoencoder, each of MONAI's own classes, with plain values, references
(``@name``) and expressions that are literals. Noise is drawn and denoised as MONAI's ``DiffusionInferer`` and
``LatentDiffusionInferer`` do. Whatever else the configuration holds is not looked at.

With ``--run-their-code`` the bundle's own configuration is evaluated by MONAI instead, and what stands under ``sample``
is taken for images.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.seeds import derive_seed
from memobench.checkpoints.checkpoint import as_images, refuse_pickles, seed_everything
from memobench.checkpoints.diffusers_folder import MOST_BYTES, read_json

NETWORKS = ("diffusion_def", "network_def", "unet_def", "diffusion", "network", "unet")
AUTOENCODERS = ("autoencoder_def", "autoencoder", "vae")
SCHEDULERS = ("noise_scheduler", "scheduler")
NETWORK_FILES = ("diffusion", "model_diffusion", "diffusion_model", "unet", "network", "model")
AUTOENCODER_FILES = ("autoencoder", "model_autoencoder", "autoencoder_model", "vae")
SIDES = ("latent_shape", "noise_shape")
OUTPUTS = ("sample", "samples", "sampled_images", "generated_images", "images")
NETS, STEPPERS = "monai.networks.nets", "monai.networks.schedulers"
# what is made from a configuration; others of MONAI's classes may load pickles or fetch weights when they are made
KNOWN = {
    "DiffusionModelUNet": NETS,
    "AutoencoderKL": NETS,
    "VQVAE": NETS,
    "DDPMScheduler": STEPPERS,
    "DDIMScheduler": STEPPERS,
    "PNDMScheduler": STEPPERS,
    "RFlowScheduler": STEPPERS,
}
HOW = 'safetensors.torch.save_file(network.state_dict(), "models/model.safetensors")'
STEPS = 50


@dataclass
class BundleSampler:
    """Denoises with the bundle's own network and scheduler, or runs its configuration.

    Attributes:
        config: Name of the configuration in ``configs``.
        steps: Network evaluations per image; 0 for all steps of DDPM, and 50 of others.
        noise_shape: Channels and sides of the noise; empty for the configuration's ``latent_shape``, or what follows
            from the task's shape.
        scale_factor: By which latents were multiplied; 0 for the configuration's own, or 1.
        output: With --run-their-code: the key of the images; empty for the first of ``sample``, ``samples``, ...
        black: The value of black in what the bundle gives.
        white: The value of white.
        batch: Images drawn at once.
    """

    config: str = "inference"
    steps: int = 0
    noise_shape: tuple[int, ...] = ()
    scale_factor: float = 0.0
    output: str = ""
    black: float = 0.0
    white: float = 1.0
    batch: int = 8

    def at(self, folder: Path, *, run_their_code: bool) -> None:
        """Look at a folder.

        Raises:
            UsageError: It is no bundle, or what is needed of it would run code of its own.
        """
        named = [folder / "configs" / f"{self.config}{ending}" for ending in (".json", ".yaml", ".yml")]
        found = [file for file in named if file.is_file()]
        if not found:
            raise UsageError(
                f"{folder} holds no configs/{self.config}.json or .yaml; give the folder of a MONAI bundle"
            )
        self._folder, self._file, self._run = folder, found[0], run_their_code
        self._values = read_config(found[0])
        self._shape: tuple[int, ...] = ()
        if not run_their_code:
            self._scheduler_of(self._values)  # refused now, before any work is done
            self._network_of(NETWORKS, "network")
            self._network_of(AUTOENCODERS, "autoencoder")

    def files(self) -> list[Path]:
        """All of the bundle that samples can depend on."""
        every = [file for file in sorted(self._folder.rglob("*")) if file.is_file()]
        endings = (".json", ".yaml", ".yml", ".safetensors", *((".py", ".pt", ".ts") if self._run else ()))
        return [file for file in every if file.suffix in endings]

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """Keeps the shape, from which that of the noise may follow."""
        self._shape = shape
        return None

    def load(self, device: str) -> None:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        self._device = device
        if self._run:
            return
        self._network = self._network_of(NETWORKS, "network", NETWORK_FILES, device)
        self._autoencoder = self._network_of(AUTOENCODERS, "autoencoder", AUTOENCODER_FILES, device)
        self._scheduler = self._scheduler_of(self._values)

    def draw(self, members: range, seed: int) -> NDArray[np.float32]:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        if self._run:
            return self._run_config(members, seed)
        import torch
        from monai.inferers import DiffusionInferer, LatentDiffusionInferer

        scheduler = self._scheduler
        whole = int(scheduler.num_train_timesteps)
        usual = whole if type(scheduler).__name__ == "DDPMScheduler" else min(STEPS, whole)
        scheduler.set_timesteps(self.steps or usual)
        made = []
        shape = self._noise_shape()
        for k in members:  # one by one, since schedulers draw noise for all of a batch from one stream
            seed_everything(derive_seed(seed, "image", k))
            noise = torch.randn((1, *shape)).to(self._device)
            with torch.no_grad():
                if self._autoencoder is None:
                    image = DiffusionInferer(scheduler).sample(noise, self._network, scheduler, verbose=False)
                else:
                    inferer = LatentDiffusionInferer(scheduler, scale_factor=self._scale())
                    image = inferer.sample(noise, self._autoencoder, self._network, scheduler, verbose=False)
            made.append(image)
        return as_images(torch.cat(made), self.black, self.white, len(shape) - 1)

    def _noise_shape(self) -> tuple[int, ...]:
        if self.noise_shape:
            return self.noise_shape
        for key in SIDES:
            value = resolved(self._values, self._values.get(key), key) if key in self._values else None
            if isinstance(value, list | tuple) and all(isinstance(side, int) for side in value):
                return tuple(value)
        channels = getattr(self._network, "in_channels", None)
        if channels is None:
            raise UsageError("the shape of the noise is not known; say it with --set noise_shape=CHANNELS,SIDE,SIDE")
        smaller = 1
        if self._autoencoder is not None:  # each level but the last halves the sides
            levels = resolved(self._values, self._values[self._key(AUTOENCODERS)], "autoencoder").get("channels", [1])
            smaller = 2 ** (len(levels) - 1)
        return (int(channels), *(max(side // smaller, 1) for side in self._shape))

    def _scale(self) -> float:
        if self.scale_factor:
            return self.scale_factor
        value = self._values.get("scale_factor", 1.0)
        return float(resolved(self._values, value, "scale_factor"))

    def _key(self, keys: tuple[str, ...]) -> str:
        return next((key for key in keys if isinstance(self._values.get(key), dict)), "")

    def _scheduler_of(self, values: Mapping[str, Any]) -> Any:
        key = self._key(SCHEDULERS)
        if not key:
            raise UsageError(f"{self._file} names no noise_scheduler; with --run-their-code its own sampling is run")
        return made_of_monai(values, key)

    def _network_of(self, keys: tuple[str, ...], what: str, stems: tuple[str, ...] = (), device: str = "meta") -> Any:
        """A network with its weights; without ``stems`` it is only looked at. None where no autoencoder is named."""
        key = self._key(keys)
        if not key:
            if what == "autoencoder":
                return None
            raise UsageError(
                f"{self._file} names no {', '.join(keys[:2])}; with --run-their-code its own sampling is run"
            )
        if not stems:
            return checked_target(self._values, key)
        models = self._folder / "models"
        files = [models / f"{stem}.safetensors" for stem in stems]
        file = next((one for one in files if one.is_file()), None)
        if file is None:
            refuse_pickles(models, files[0], HOW.replace("network", what).replace("model.", f"{stems[0]}."))
        return with_weights(made_of_monai(self._values, key), file).to(device).eval()

    def _run_config(self, members: range, seed: int) -> NDArray[np.float32]:
        """Evaluate the bundle's own configuration, as often as images are lacking."""
        from monai.bundle import ConfigParser

        sys.path.insert(0, str(self._folder))
        parts: list[NDArray[np.float32]] = []
        try:
            while sum(map(len, parts)) < len(members):
                seed_everything(derive_seed(seed, "their code", members.start, len(parts)))
                parser = ConfigParser()
                parser.read_config(str(self._file))
                parser["bundle_root"] = str(self._folder)
                keys = [self.output] if self.output else [key for key in OUTPUTS if key in self._values]
                if not keys or keys[0] not in self._values:
                    raise UsageError(
                        f"{self._file} has no key {' or '.join(keys or OUTPUTS[:2])}; say --set output=KEY"
                    )
                given = parser.get_parsed_content(keys[0])
                parts.append(as_images(given, self.black, self.white, None))
        except MemobenchError:
            raise
        except Exception as error:  # whatever their code raises
            reason = " ".join(str(error).split())[:200]
            raise MemobenchError(f"{self._file}: its code raised {type(error).__name__}: {reason}") from error
        finally:
            sys.path.remove(str(self._folder))
        return np.concatenate(parts)[: len(members)]


def read_config(file: Path) -> dict[str, Any]:
    """A bundle's configuration as plain values; nothing is evaluated.

    Raises:
        UsageError: It is no JSON or YAML.
    """
    if file.suffix == ".json":
        return read_json(file)
    try:
        import yaml
    except ImportError as error:
        raise UsageError(f"{file} needs PyYAML to be read; pip install pyyaml") from error
    if file.stat().st_size > MOST_BYTES:
        raise UsageError(f"{file} has {file.stat().st_size} bytes, more than a configuration needs")
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is no YAML ({' '.join(str(error).split())[:80]})") from error
    if not isinstance(value, dict):
        raise UsageError(f"{file} holds no mapping; give the configuration of a bundle")
    return value


def resolved(values: Mapping[str, Any], value: Any, where: str, depth: int = 20) -> Any:
    """A value with its references resolved.

    Args:
        values: The whole configuration.
        value: What is to be resolved.
        where: Its place, for messages.
        depth: How deep references may lead.

    Raises:
        UsageError: It would have to be evaluated, or leads nowhere.

    >>> resolved({"a": 3}, ["@a", "$(1, 2)", "$@a"], "x")
    [3, (1, 2), 3]
    """
    if depth == 0:
        raise UsageError(f"{where}: its references lead in a circle")
    if isinstance(value, dict):
        return {key: resolved(values, one, f"{where}#{key}", depth - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(values, one, f"{where}#{k}", depth - 1) for k, one in enumerate(value)]
    if not isinstance(value, str) or value[:1] not in ("$", "@", "%"):
        return value
    inner = value.removeprefix("$").strip()
    if inner[:1] == "@" and inner[1:].replace("#", "").replace("::", "").replace("_", "").isalnum():
        found: Any = values
        for part in inner[1:].replace("::", "#").split("#"):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise UsageError(f"{where}: {value} leads nowhere in the configuration") from error
        return resolved(values, found, where, depth - 1)
    if value.startswith("$"):
        try:
            return ast.literal_eval(inner)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            pass
    raise UsageError(
        f"{where} is {value[:80]!r}, which would have to be executed; read the bundle, then add --run-their-code"
    )


def checked_target(values: Mapping[str, Any], key: str) -> tuple[type, dict[str, Any]]:
    """The class of MONAI that a component names, and its arguments.

    Raises:
        UsageError: It is another class, or an argument would have to be evaluated.
    """
    from importlib import import_module

    held = values[key]
    target = str(held.get("_target_", ""))
    name = target.rpartition(".")[2]
    place = KNOWN.get(name, "")
    if not place or not (target == name or target.startswith(f"{place}.")):
        raise UsageError(
            f"{key} is made by {target[:80]!r}, and known are {', '.join(KNOWN)} of MONAI; read the bundle, then add "
            "--run-their-code"
        )
    arguments = {word: one for word, one in held.items() if not word.startswith("_")}
    return getattr(import_module(place), name), resolved(values, arguments, key)


def made_of_monai(values: Mapping[str, Any], key: str) -> Any:
    """The object that a component describes.

    Raises:
        UsageError: See :func:`checked_target`.
        MemobenchError: MONAI refuses the arguments.
    """
    kind, arguments = checked_target(values, key)
    try:
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MemobenchError(f"{key}: {kind.__name__} cannot be made with its arguments ({reason})") from error


def with_weights(network: Any, file: Path | None) -> Any:
    """A network that has taken its weights from a safetensors file.

    Raises:
        MemobenchError: The file cannot be read, or holds other weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(str(file)))
    except (SafetensorError, OSError) as error:
        raise MemobenchError(f"{file} cannot be read ({' '.join(str(error).split())[:120]})") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise MemobenchError(f"{file} holds no weights of {type(network).__name__} ({reason})") from error
    return network
