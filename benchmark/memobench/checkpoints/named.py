"""``KIND:WHERE``: which checkpoint is meant, and where its files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memobench.base.errors import UsageError, suggest
from memobench.checkpoints.checkpoint import Checkpoint, Sampler, digest_of_files
from memobench.checkpoints.diffusers_folder import DiffusersSampler
from memobench.checkpoints.monai_bundle import BundleSampler
from memobench.checkpoints.torch_class import TorchSampler
from memobench.data.files.archives import folder_of
from memobench.data.hub import PREFIX, from_hub
from memobench.generator import made_of

KINDS = ("diffusers", "monai", "torch")
EXAMPLES = "diffusers:DIR, monai:DIR or torch:FILE.py:CLASS"


@dataclass(frozen=True)
class Found:
    """A checkpoint.

    Attributes:
        generator: Ready to be sampled.
        digest: SHA-256 of its files.
        name: A name that is made of where it lies.
    """

    generator: Checkpoint
    digest: str
    name: str


def is_checkpoint(model: str) -> bool:
    """Whether a word means a checkpoint, and not a model by its name.

    >>> is_checkpoint("diffusers:made"), is_checkpoint("ldm")
    (True, False)
    """
    return ":" in model


def find_checkpoint(
    model: str,
    settings: Mapping[str, str],
    shape: tuple[int, ...],
    *,
    weights: Path | None = None,
    run_their_code: bool = False,
) -> Found:
    """Look at a checkpoint; its weights are loaded when it is sampled.

    Args:
        model: ``diffusers:WHERE``, ``monai:WHERE`` (a folder, a zip, or ``hub:OWNER/NAME``), or
            ``torch:FILE.py:CLASS``.
        settings: ``--set`` words: fields of the kind's sampler.
        shape: Of the task's images.
        weights: Of ``torch:`` alone.
        run_their_code: Of ``monai:`` alone: evaluate the bundle's own configuration.

    Raises:
        UsageError: It is no such word, or the checkpoint is not of a kind that is read.
        MemobenchError: The Hub cannot be reached.
    """
    kind, _, where = model.partition(":")
    if kind not in KINDS or not where:
        raise UsageError(f'unknown model "{model}"; give {EXAMPLES}, or a name; {suggest(kind, KINDS)}')
    if weights is not None and kind != "torch":
        raise UsageError(f"--weights is for torch:FILE.py:CLASS; {kind} reads the weights that lie in its folder")
    if run_their_code and kind != "monai":
        raise UsageError("--run-their-code is for monai:; nothing else would execute what a checkpoint holds")
    sampler: Any
    if kind == "torch":
        file, _, name = where.rpartition(":")
        if not file or not name.isidentifier():
            raise UsageError(f'"{model}" names no class; give torch:FILE.py:CLASS')
        sampler = made_of(TorchSampler, kind, {}, settings)
        sampler.at(Path(file), name, weights)
        root = Path(file).parent
        named = name
    else:
        root = from_hub(where, "model") if where.startswith(PREFIX) else folder_of(Path(where))
        if not root.is_dir():
            raise UsageError(f"there is no folder {where}; give one, a zip, or hub:OWNER/NAME")
        named = where.removeprefix(PREFIX).partition("@")[0].rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        if kind == "diffusers":
            sampler = made_of(DiffusersSampler, kind, {}, settings)
            sampler.at(root)
        else:
            sampler = made_of(BundleSampler, kind, {}, settings)
            sampler.at(root, run_their_code=run_their_code)
    return _found(sampler, root, named, shape)


def _found(sampler: Sampler, root: Path, named: str, shape: tuple[int, ...]) -> Found:
    if sampler.batch < 1:
        raise UsageError("--set batch=N takes 1 or more")
    if getattr(sampler, "finetune", 0) < 0:
        raise UsageError("--set finetune=STEPS takes 0 or more")
    if reason := sampler.refuses(shape):
        raise UsageError(f"the checkpoint cannot model images of {'x'.join(map(str, shape))}: {reason}")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", named).strip("-.") or "checkpoint"
    return Found(Checkpoint(sampler), digest_of_files(root, sampler.files()), name[:64])
