"""Results to the trackers of experiments that people have: MLflow, Weights & Biases, TensorBoard.

Numbers, the word of the decision and the losses of the training go there; never an image, and no name of a patient or
file, since a tracker may belong to somebody else. Where a run is logged is for the tracker's own settings to say
(``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, ...); TensorBoard's log lies in the run's folder.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memobench.base.cost import LOSSES
from memobench.base.errors import MemobenchError
from memobench.results import Result

PROJECT = "memobench"
BATCH = 1000  # the most entries that MLflow takes at once
LIBRARIES = {"mlflow": "mlflow", "wandb": "wandb", "tensorboard": "tensorboard"}


@dataclass(frozen=True)
class Record:
    """What a tracker is given of a run.

    Attributes:
        name: The run's id.
        config: What it depends on, flat.
        numbers: Each metric, and the ends of its interval as ``<name>_low`` and ``<name>_high``.
        decision: Its word.
        losses: By network, the loss of each step.
        folder: The run's own.
    """

    name: str
    config: Mapping[str, str | int | float]
    numbers: Mapping[str, float]
    decision: str
    losses: Mapping[str, Sequence[float]]
    folder: Path


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that is not installed, before hours of work.

    Raises:
        MemobenchError: One is not installed.
    """
    for name in names:
        if importlib.util.find_spec(LIBRARIES[name]) is None:
            raise MemobenchError(f"--log {name} needs {name}, which is not installed: pip install 'memobench[{name}]'")


def log_run(result: Result, folder: Path, names: Sequence[str]) -> None:
    """Give a finished run to each tracker.

    Args:
        result: What was measured.
        folder: The run's folder; the losses lie there, where there are any.
        names: Of :data:`TRACKERS`.

    Raises:
        MemobenchError: A tracker refused; the result itself is complete.
    """
    record = record_of(result, folder)
    for name in names:
        try:
            TRACKERS[name](record)
        except Exception as error:  # whatever a tracker raises, the run is done and its files are there
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MemobenchError(
                f"--log {name} did not take the run ({reason[:200]}); its files are complete, and the same command "
                "logs it again without measuring"
            ) from error


def record_of(result: Result, folder: Path) -> Record:
    """What is logged of a run."""
    identity = result.identity
    config: dict[str, str | int | float] = {
        "task": identity.task,
        "task_version": identity.task_version,
        "data": identity.data,
        "shape": "x".join(map(str, identity.shape)),
        "model": identity.model,
        "preset": result.preset,
        "seed": identity.seed,
        "samples": identity.samples,
        "detector_version": identity.detector_version,
        "measure_version": identity.measure_version,
    }
    for name, value in identity.parameters.items():
        config[f"model.{name}"] = value if isinstance(value, str | int | float) else str(value)
    numbers: dict[str, float] = {}
    for name, metric in result.metrics.items():
        ends = {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        numbers |= {label: float(value) for label, value in ends.items() if value is not None}
    return Record(result.run_id, config, numbers, result.decision.word, _losses(folder / LOSSES), folder)


def _losses(file: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                found[row["network"].replace(" ", "_")].append(float(row["loss"]))
    return dict(found)


def _to_mlflow(record: Record) -> None:
    import mlflow
    from mlflow.entities import Metric

    if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
        mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=record.name) as run:
        mlflow.log_params(dict(record.config))
        mlflow.log_metrics(dict(record.numbers))
        mlflow.set_tag("decision", record.decision)
        client, now = mlflow.MlflowClient(), int(1000 * time.time())
        for network, losses in record.losses.items():
            entries = [Metric(f"loss/{network}", loss, now, step) for step, loss in enumerate(losses)]
            for start in range(0, len(entries), BATCH):
                client.log_batch(run.info.run_id, entries[start : start + BATCH])


def _to_wandb(record: Record) -> None:
    import wandb

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    with wandb.init(project=project, name=record.name, config=dict(record.config)) as run:
        for network, losses in record.losses.items():
            run.define_metric(f"loss/{network}", step_metric=f"step/{network}")
            for step, loss in enumerate(losses):
                run.log({f"loss/{network}": loss, f"step/{network}": step})
        run.summary.update({**record.numbers, "decision": record.decision})


def _to_tensorboard(record: Record) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(record.folder / "tensorboard")) as writer:
        for name, value in record.numbers.items():
            writer.add_scalar(f"measured/{name}", value, 0)
        writer.add_text("decision", record.decision)
        for network, losses in record.losses.items():
            for step, loss in enumerate(losses):
                writer.add_scalar(f"loss/{network}", loss, step)


TRACKERS: Mapping[str, Callable[[Record], None]] = {
    "mlflow": _to_mlflow,
    "wandb": _to_wandb,
    "tensorboard": _to_tensorboard,
}
