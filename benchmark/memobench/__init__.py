"""memobench: how good a generative model's medical images are, and how many of them are copies of patients.

Hospitals share synthetic images instead of patients' images, but the models that make them often store patients. Two
questions, one call each:

Are these synthetic images safe to share? Compare them with the images that their generator learned from, and with
images of other patients, drawn in the same way, which it never saw::

    report = memobench.audit(synthetic, train, holdout)     # arrays, tensors, lists of PIL images; or folders
    report.result.decision.word                             # "no copies found", "review" or "do not release"

How good is my generator, and how much does it copy? Train it on a task's images, draw samples, measure them::

    task = memobench.load_task("xray")                      # task.train.pixels: (N, H, W) float32 in [0, 1]
    run = memobench.measure(samples, task="xray", trained_on="task")
    print(run)                                              # every metric with interval, null and p-value
    run = memobench.measure(samples, train=a, holdout=b, test=c)    # or on images of your own
    memobench.load("runs/xray-ldm-...")                     # a run of the command line

Parts of it, on arrays::

    detector = memobench.CopyDetector().fit(train, holdout)
    detector.match(images).is_copy                          # of which training image, and how strongly
    memobench.copy_rate(images, train, holdout)             # with its interval
    memobench.frechet_distance(a, b)                        # features (N, F), or images and features=
    memobench.kernel_distance(a, b)
    memobench.precision_recall(a, b)

While a model is trained, an alarm that looking often does not make falser::

    monitor = memobench.MemorizationMonitor(every=1000).fit(train, holdout)
    stop = monitor.look(step, lambda n: model.sample(n))    # in the training loop

Whatever an array does not say by itself is asked for in one line: ``axes="NCHW"``, ``value_range=(-1, 1)``. Errors are
:class:`memobench.base.errors.MemobenchError`. The command line is ``bench``; ``bench --help`` shows what it does.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memobench.base.startup import settle
from memobench.base.version import VERSION as __version__

if TYPE_CHECKING:
    from memobench.audit.run import audit
    from memobench.face.copies import CopyDetector, copy_rate
    from memobench.face.distances import frechet_distance, kernel_distance, precision_recall
    from memobench.face.measured import load, measure
    from memobench.face.monitor import MemorizationMonitor
    from memobench.face.tasks import load_task

__all__ = [
    "CopyDetector",
    "MemorizationMonitor",
    "__version__",
    "audit",
    "copy_rate",
    "frechet_distance",
    "kernel_distance",
    "load",
    "load_task",
    "measure",
    "precision_recall",
]

settle()  # before torch is imported, which reads these settings once

# In a checkout the content folders (baselines/, tasks/, leaderboard/) stand at its root; in a wheel they lie inside
# this package. Mounting the root here makes both `memobench.baselines`.
_root = Path(__file__).resolve().parents[2]
if (_root / "benchmark" / "memobench").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))


_CALLED = ("audit", "measure")  # packages that can be called
_PLACES = {
    "CopyDetector": "memobench.face.copies",
    "MemorizationMonitor": "memobench.face.monitor",
    "copy_rate": "memobench.face.copies",
    "frechet_distance": "memobench.face.distances",
    "kernel_distance": "memobench.face.distances",
    "load": "memobench.face.measured",
    "load_task": "memobench.face.tasks",
    "precision_recall": "memobench.face.distances",
}


def __getattr__(name: str) -> Any:
    """What stands in ``__all__``, imported when it is asked for: torch takes seconds to load."""
    if name in _CALLED:
        return import_module(f"memobench.{name}")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What can be asked for."""
    return sorted({*globals(), *__all__})
