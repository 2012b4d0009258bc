"""Unconditional pipelines of diffusers, as ``save_pretrained`` writes them: DDPM and the like, and latent ones.

A folder holds ``model_index.json`` and the components ``unet`` (UNet2DModel), ``scheduler`` and, for latent diffusion,
``vqvae`` or ``vae``. Weights are read as safetensors alone, and no code of the folder is run. Sampling follows
``DDPMPipeline`` and ``LDMPipeline``; each image starts from noise of its own, so that it does not depend on how many
are drawn at once. With ``--set finetune=STEPS`` the network learns from the training images first.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.seeds import derive_seed
from memobench.checkpoints.checkpoint import as_images, digest_of_files, refuse_pickles
from memobench.generator import Context
from memobench.images import Images

INDEX = "model_index.json"
UNETS = ("UNet2DModel",)
DECODERS = {"vqvae": ("VQModel", "AutoencoderKL"), "vae": ("AutoencoderKL", "AutoencoderTiny", "VQModel")}
STEPS = 50  # as in diffusers' own pipelines; DDPMPipeline takes every step of the training
HOW = "pipeline.save_pretrained(DIR, safe_serialization=True)"
MOST_BYTES = 1_000_000  # of a configuration


@dataclass
class DiffusersSampler:
    """Denoises with the pipeline's own scheduler.

    Attributes:
        steps: Network evaluations per image; 0 for what the pipeline's class takes by default.
        batch: Images drawn at once, and learned from in a step.
        finetune: Steps for which it learns from the training images before it is sampled; 0 for a checkpoint as it is.
        learning_rate: The highest, of these steps.
    """

    steps: int = 0
    batch: int = 16
    finetune: int = 0
    learning_rate: float = 1e-4

    def at(self, folder: Path) -> None:
        """Look at a folder.

        Raises:
            UsageError: It holds no pipeline, or one that is not read.
        """
        file = folder / INDEX
        if not file.is_file():
            raise UsageError(f"{folder} holds no {INDEX}; give the folder that pipeline.save_pretrained wrote")
        index = read_json(file)
        self._folder, self._class = folder, str(index.get("_class_name"))
        parts = {
            name: value for name, value in index.items() if isinstance(value, list) and value and value[0] is not None
        }
        decoders = [name for name in parts if name in DECODERS]
        known = {"unet", "scheduler", *decoders[:1]}
        odd = sorted(set(parts) - known)
        fits = {"unet", "scheduler"} <= set(parts) and not odd and parts["unet"][1] in UNETS
        if not fits or any(value[0] != "diffusers" for value in parts.values()):
            what = f"with {', '.join(odd)}" if odd else f"of {', '.join(str(one[-1]) for one in parts.values())}"
            raise UsageError(
                f"{folder} is a {self._class} {what}; unconditional pipelines are read: unet (UNet2DModel), scheduler "
                "and for latent ones vqvae or vae, all of diffusers. Draw samples yourself and give --samples"
            )
        self._decoder = decoders[0] if decoders else ""
        if self._decoder and parts[self._decoder][1] not in DECODERS[self._decoder]:
            raise UsageError(f"{folder}: {parts[self._decoder][1]} is no decoder that is read")
        self._names = {name: str(value[1]) for name, value in parts.items()}

    def files(self) -> list[Path]:
        """Configurations and weights."""
        return [self._folder / INDEX] + [
            file
            for name in self._names
            for file in (self._folder / name).glob("*")
            if file.suffix in (".json", ".safetensors")
        ]

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """UNet2DModel draws images."""
        return None if len(shape) == 2 else "its pipelines draw 2D images"

    def load(self, device: str) -> None:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        import diffusers

        self._unet = self._part("unet").to(device).eval()
        self._vae = self._part(self._decoder).to(device).eval() if self._decoder else None
        kind = getattr(diffusers, self._names["scheduler"], None)
        if not (inspect.isclass(kind) and issubclass(kind, diffusers.SchedulerMixin)):
            raise UsageError(f"{self._names['scheduler']} is no scheduler of diffusers")
        made: Any = kind
        self._scheduler: Any = made.from_pretrained(self._folder, subfolder="scheduler", local_files_only=True)
        self._device = device
        takes = inspect.signature(self._scheduler.set_timesteps).parameters
        if "num_inference_steps" not in takes or "step" not in dir(self._scheduler):
            raise UsageError(f"{self._names['scheduler']} does not denoise step by step; draw samples yourself")

    def learn(self, images: Images, context: Context) -> dict[str, NDArray[Any]]:
        """Go on training the network on images, and give its weights.

        Args:
            images: 2D.
            context: Of the fit.

        Raises:
            MemobenchError: The weights or the scheduler cannot be trained.
        """
        from memobench.checkpoints.fine_tune import Parts, Tuning, fine_tune

        self.load(context.device)
        sides = self._sides()
        if self._vae is not None:
            factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
            sides = (sides[0] * factor, sides[1] * factor)
        parts = Parts(self._unet, self._scheduler, self._vae, sides)
        tuning = Tuning(self.finetune, self.learning_rate, self.batch)
        fine_tune(parts, images, tuning, context, identity=digest_of_files(self._folder, self.files()))
        return {name: value.detach().cpu().numpy() for name, value in self._unet.state_dict().items()}

    def recall(self, learned: Mapping[str, NDArray[Any]]) -> None:
        """Take up weights that :meth:`learn` gave, after :meth:`load`."""
        import torch

        self._unet.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in learned.items()})

    def _sides(self) -> tuple[int, int]:
        """Height and width of what the network denoises."""
        size = self._unet.config.sample_size
        if size is None:
            raise MemobenchError("the unet's config names no sample_size; add it")
        return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))

    def draw(self, members: range, seed: int) -> NDArray[np.float32]:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        import torch

        config = self._unet.config
        sides = self._sides()
        generators = [torch.Generator().manual_seed(derive_seed(seed, "image", k)) for k in members]
        noise = [torch.randn((config.in_channels, *sides), generator=one) for one in generators]
        scheduler, image = self._scheduler, torch.stack(noise).to(self._device)
        scheduler.set_timesteps(self.steps or self._usual_steps())
        image = image * getattr(scheduler, "init_noise_sigma", 1.0)
        more = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
        with torch.no_grad():
            for time in scheduler.timesteps:
                taken = scheduler.scale_model_input(image, time) if hasattr(scheduler, "scale_model_input") else image
                image = scheduler.step(self._unet(taken, time).sample, time, image, **more).prev_sample
            if self._vae is not None:
                image = self._vae.decode(image / getattr(self._vae.config, "scaling_factor", 1.0)).sample
        return as_images(image.clamp(-1, 1), -1.0, 1.0, 2)

    def _usual_steps(self) -> int:
        whole = int(self._scheduler.config.num_train_timesteps)
        return whole if self._class == "DDPMPipeline" else min(STEPS, whole)

    def _part(self, name: str) -> Any:
        import diffusers

        folder = self._folder / name
        if not any(folder.glob("*.safetensors")):
            refuse_pickles(folder, folder / "diffusion_pytorch_model.safetensors", HOW)
        try:
            return getattr(diffusers, self._names[name]).from_pretrained(
                self._folder, subfolder=name, use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise MemobenchError(f"{folder} cannot be loaded ({reason}); save it again: {HOW}") from error


def read_json(file: Path) -> dict[str, Any]:
    """A configuration.

    Raises:
        UsageError: It is too long, or no JSON object.
    """
    if file.stat().st_size > MOST_BYTES:
        raise UsageError(f"{file} has {file.stat().st_size} bytes, more than a configuration needs")
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON ({str(error)[:80]}); save the checkpoint again") from error
    if not isinstance(value, dict):
        raise UsageError(f"{file} holds no JSON object; save the checkpoint again")
    return value
