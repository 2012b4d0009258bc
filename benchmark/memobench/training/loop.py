"""A seeded training loop that can be interrupted at any step and resumed bit for bit.

Everything that step k uses is a function of the seed and of k (:func:`batch_indices`, :func:`step_generator`), so the
only state is the weights, what the network itself keeps (frozen weights and buffers, for example a codebook), the
optimizer's moments and the moving average, which one checkpoint file holds.

Several processes (:mod:`memobench.training.processes`) share the minibatches of each step. What is learned depends on
the number of minibatches per step and not on which process computed them, except for the rounding of a sum and for what
a network changes by itself, which is averaged.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from memobench.base.cost import Trained, write_scalars
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.seeds import derive_seed, generator_for
from memobench.generator import Context
from memobench.training import acceleration, processes

CHECKPOINT_SECONDS = 30.0  # time between checkpoints; a kill costs at most this much work
FORMAT = "2"


@dataclass(frozen=True)
class Training:
    """How a network is trained: AdamW, linear warm-up, cosine decay to zero, clipped gradients, averaged weights.

    Attributes:
        steps: Optimizer steps, at least 1.
        learning_rate: The highest learning rate, reached after the warm-up.
        weight_decay: AdamW's decoupled weight decay (Loshchilov & Hutter, ICLR 2019).
        warm_up: Share of the steps, in [0, 1], over which the learning rate rises from zero.
        clip: The largest norm that the gradient of one step may have.
        ema: Decay per step of the exponential moving average of the weights, in [0, 1).
        accumulate: Minibatches whose gradients are averaged into one step.
        betas: Decays of AdamW's two moments, each in [0, 1).
    """

    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    warm_up: float = 0.05
    clip: float = 1.0
    ema: float = 0.995
    accumulate: int = 1
    betas: tuple[float, float] = (0.9, 0.999)

    def rate(self, step: int) -> float:
        """The learning rate of a step, 0 <= step < steps.

        >>> training = Training(steps=100, learning_rate=1.0, warm_up=0.1)
        >>> [round(training.rate(step), 3) for step in (0, 9, 54, 99)]
        [0.1, 1.0, 0.509, 0.0]
        """
        rising = max(1, round(self.warm_up * self.steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising + 1) / (self.steps - rising + 1)))


def batch_indices(count: int, batch: int, step: int, *, seed: int) -> NDArray[np.int64]:
    """Which images make up minibatch number ``step``: a window on an endless row of shuffled epochs.

    Args:
        count: Number of images, at least 1.
        batch: Images per minibatch; may exceed ``count``.
        step: Number of the minibatch, from 0.
        seed: Seed of the shuffling.

    Returns:
        (batch,) indices below ``count``. Any ``count`` consecutive places of the row that begin an epoch hold each
        image once.

    >>> sorted(int(i) for step in range(3) for i in batch_indices(6, 2, step, seed=0))
    [0, 1, 2, 3, 4, 5]
    """
    first, last = step * batch, (step + 1) * batch
    epochs = range(first // count, -(-last // count))
    row = np.concatenate([generator_for(seed, "epoch", epoch).permutation(count) for epoch in epochs])
    offset = first - epochs.start * count
    return row[offset : offset + batch]


def step_generator(seed: int, *names: str | int) -> torch.Generator:
    """A torch random generator, on the CPU, for one role and step; a CPU stream is the same for every device."""
    return torch.Generator().manual_seed(derive_seed(seed, *names))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global random state within the block and give the old state back: for weight initialisation."""
    with torch.random.fork_rng(devices=[]):  # weights are made on the CPU
        # Not torch.manual_seed, which would reseed accelerators as well.
        torch.default_generator.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Watch:
    """Early stopping: of the averaged weights at regular places, keep those with the lowest loss on other images.

    Attributes:
        loss: ``loss(k)`` is the mean loss on images that are not trained on, or another number that is to be low, with
            the network as it stands after k steps. Its randomness must be the same wherever training was interrupted.
        every: Steps from one evaluation to the next.
        patience: Evaluations without a new lowest loss after which training stops.
    """

    loss: Callable[[int], float]
    every: int
    patience: int


def train_loop(  # noqa: C901, PLR0913  one loop, to be read from top to bottom; what is optional has a default
    model: nn.Module,
    loss: Callable[[int], Tensor],
    training: Training,
    *,
    name: str,
    context: Context,
    identity: str = "",
    batch: int | None = None,
    compiled: Sequence[nn.Module] = (),
    watch: Watch | None = None,
) -> NDArray[np.float32]:
    """Train a network, or go on where the checkpoint of an interrupted training ends.

    Args:
        model: The network, on its device; afterwards it holds the averaged weights and is in evaluation mode. What it
            changes by itself, frozen weights and buffers, is as the last step left it.
        loss: ``loss(k)`` is the mean loss, a scalar, on minibatch k; all its randomness must come from k.
        training: Steps, learning rate and the like.
        name: What is trained, for example "autoencoder"; names the progress bar and the checkpoint.
        context: Gives progress and, where it has a folder for them, keeps checkpoints.
        identity: A digest of everything else the training depends on, for example of the images.
        batch: Images per minibatch, for the throughput that ``context.report`` is given; None: report nothing.
        compiled: Parts of the model, called as such, that torch.compile may take where it was asked for.
        watch: When to stop early; None: do all steps. With it the model keeps the best weights instead of the last.

    Returns:
        (steps done,) the loss of each step.

    Raises:
        UsageError: The minibatches of a step cannot be shared evenly by the processes.
        MemobenchError: The loss is no longer finite, or a checkpoint cannot be used.
    """
    group = processes.current()
    if training.accumulate % group.count:
        raise UsageError(
            f"{group.count} processes cannot share {training.accumulate} minibatches per step of the {name}; give "
            f"--set accumulate={group.count} (and, for the same images per step, smaller batches)"
        )
    if acceleration.current().compile:
        for part in compiled:
            part.compile()
    parameters = _trained(model)
    device = parameters[0].device
    optimizer = torch.optim.AdamW(
        parameters, lr=training.learning_rate, betas=training.betas, weight_decay=training.weight_decay
    )
    average = EMAModel(parameters, decay=training.ema, foreach=True)
    losses = torch.zeros(training.steps, device=device)
    progress = _Progress()
    file = context.checkpoints / f"{name}.safetensors" if context.checkpoints else None
    identity = f"{identity} {name} {training} {context.seed}"
    if file and file.exists():
        progress = _load(file, identity, model, optimizer, average, losses)

    model.train()
    saved, logged = time.monotonic(), progress.step
    begun = saved - progress.seconds
    steps = range(progress.step, progress.step if watch and progress.waited >= watch.patience else training.steps)
    for step in context.track(steps, f"training the {name}"):
        for settings in optimizer.param_groups:
            settings["lr"] = training.rate(step)
        optimizer.zero_grad(set_to_none=True)
        for part_number in processes.shard(range(training.accumulate)):
            value = loss(step * training.accumulate + part_number) / training.accumulate
            value.backward()  # type: ignore[no-untyped-call]
            losses[step] += value.detach()
        if group.count > 1:
            _share(model, parameters, losses[step : step + 1], group.count)
        nn.utils.clip_grad_norm_(parameters, training.clip)
        optimizer.step()
        average.step(parameters)
        progress.step = step + 1
        if watch and (progress.step % watch.every == 0 or progress.step == training.steps):
            progress.look(model, parameters, average, watch)
        last = progress.step == training.steps or bool(watch and progress.waited >= watch.patience)
        if last or time.monotonic() - saved >= CHECKPOINT_SECONDS:
            # Here and not at each step, because reading the loss makes an accelerator wait.
            if not torch.isfinite(losses[: step + 1]).all():
                raise MemobenchError(
                    f"the loss of the {name} is not finite at step {step}; lower its learning rate "
                    f"(now {training.learning_rate:g})"
                )
            progress.seconds = time.monotonic() - begun
            if context.log and group.main:
                write_scalars(context.log, name, losses[logged : step + 1].cpu().numpy(), logged)
            if file and group.main:
                _save(file, identity, progress, model, optimizer, average, losses)
            saved, logged = time.monotonic(), progress.step
        if last:
            break
    if progress.best:
        _copy(progress.best, parameters)
    else:
        average.copy_to(parameters)
    model.requires_grad_(False).eval()
    found = losses[: progress.step].cpu().numpy()
    if batch is not None:
        images = progress.step * training.accumulate * batch
        context.report(Trained(name, found, images, max(progress.seconds, 1e-9)))  # clocks have ticks
    return found


@dataclass
class _Progress:
    """How far a training is.

    Attributes:
        step: Steps done.
        seconds: What they took.
        best: The averaged weights with the lowest loss on other images, where that is watched; else none.
        lowest: That loss.
        waited: Evaluations since then.
    """

    step: int = 0
    seconds: float = 0.0
    best: list[Tensor] = field(default_factory=list)
    lowest: float | None = None
    waited: int = 0

    @torch.no_grad()
    def look(self, model: nn.Module, parameters: Sequence[nn.Parameter], average: EMAModel, watch: Watch) -> None:
        """Judge the averaged weights by other images."""
        own = [parameter.detach().clone() for parameter in parameters]
        average.copy_to(parameters)
        model.eval()
        value = watch.loss(self.step)
        model.train()
        if self.lowest is None or value < self.lowest:
            self.best = [parameter.detach().clone() for parameter in parameters]
            self.lowest, self.waited = value, 0
        else:
            self.waited += 1
        _copy(own, parameters)


@torch.no_grad()
def _copy(values: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> None:
    for value, parameter in zip(values, parameters, strict=True):
        parameter.copy_(value)


@torch.no_grad()
def _share(model: nn.Module, parameters: Sequence[nn.Parameter], loss: Tensor, count: int) -> None:
    """Add up gradients and loss over the processes; average what the network changes by itself."""
    processes.sum_in_place([loss, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
    kept = [tensor for tensor in _kept(model).values() if tensor.is_floating_point()]
    processes.sum_in_place(kept)
    for tensor in kept:
        tensor.div_(count)


def _trained(model: nn.Module) -> list[nn.Parameter]:
    """The weights that the optimizer changes."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """What only the network itself changes: frozen weights and buffers."""
    frozen = {name: value.detach() for name, value in model.named_parameters() if not value.requires_grad}
    return {**frozen, **dict(model.named_buffers())}


def _save(  # noqa: PLR0913  all that the next step depends on
    file: Path,
    identity: str,
    progress: _Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: EMAModel,
    losses: Tensor,
) -> None:
    """Write everything that the next step depends on into one file, which is whole or not there."""
    tensors = {"losses": losses, **{f"kept.{name}": tensor for name, tensor in _kept(model).items()}}
    for index, (parameter, mean) in enumerate(zip(_trained(model), average.shadow_params, strict=True)):
        tensors[f"weight.{index}"] = parameter.detach()
        tensors[f"average.{index}"] = mean
        for key, moment in optimizer.state[parameter].items():
            tensors[f"optimizer.{index}.{key}"] = moment
    tensors |= {f"best.{index}": tensor for index, tensor in enumerate(progress.best)}
    numbers = {"step": progress.step, "seconds": progress.seconds, "lowest": progress.lowest, "waited": progress.waited}
    metadata = {"format": FORMAT, "identity": identity, "progress": json.dumps(numbers)}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part, metadata=metadata)
    os.replace(part, file)  # noqa: PTH105  # atomic on every platform, over an older file too


def _load(
    file: Path,
    identity: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: EMAModel,
    losses: Tensor,
) -> _Progress:
    """Take up what :func:`_save` wrote; start again where another version wrote it."""
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError) as error:
        raise MemobenchError(f"checkpoint {file} cannot be read ({error}); delete it to train again") from error
    if metadata.get("format") != FORMAT:  # of another version of this program, with which training cannot continue
        return _Progress()
    if metadata.get("identity") != identity:
        raise MemobenchError(f"checkpoint {file} is of another training; delete it to train again")
    try:
        progress = _Progress(**json.loads(metadata["progress"]))
        if progress.lowest is not None:
            progress.best = [tensors[f"best.{i}"].to(losses.device) for i in range(len(_trained(model)))]
        with torch.no_grad():
            losses.copy_(tensors["losses"])
            for name, tensor in _kept(model).items():
                tensor.copy_(tensors[f"kept.{name}"])
            for index, (parameter, mean) in enumerate(zip(_trained(model), average.shadow_params, strict=True)):
                parameter.copy_(tensors[f"weight.{index}"])
                mean.copy_(tensors[f"average.{index}"])
                keys = ("step", "exp_avg", "exp_avg_sq")
                moments = {key: tensors[f"optimizer.{index}.{key}"] for key in keys}
                # As AdamW keeps them: the moments beside the parameter, the step count on the CPU.
                optimizer.state[parameter] = {
                    key: value if key == "step" else torch.empty_like(parameter).copy_(value)
                    for key, value in moments.items()
                }
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MemobenchError(f"checkpoint {file} is incomplete ({error}); delete it to train again") from error
    average.optimization_step = progress.step
    return progress
