"""The monitor in other people's training loops: Hugging Face accelerate, and Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memobench.base.errors import UsageError
from memobench.face.monitor import MemorizationMonitor

__all__ = ["accelerate_look", "lightning_callback"]


def accelerate_look(monitor: MemorizationMonitor, accelerator: Any, step: int, draw: Callable[[int], Any]) -> bool:
    """:meth:`MemorizationMonitor.look` in a loop of accelerate: the main process draws and looks, and all hear of it.

    Every process calls it at every step. The monitor need be fitted on the main process alone::

        if accelerate_look(monitor, accelerator, step, lambda n: sample(accelerator.unwrap_model(model), n)):
            break

    Args:
        monitor: Says how often to look, and how many samples to draw.
        accelerator: The loop's ``accelerate.Accelerator``.
        step: Of the training, from 0.
        draw: Gives so many samples of the generator as it stands; asked on the main process alone.

    Returns:
        Whether this look, or an earlier one, raised the alarm; False between looks.

    Raises:
        DataError: The monitor is not fitted on the main process, or the samples cannot be used.
    """
    if (step + 1) % monitor.every:
        return False
    if accelerator.is_main_process and monitor.look(step, draw):
        accelerator.set_trigger()
    return bool(accelerator.check_trigger())


def lightning_callback(monitor: MemorizationMonitor, draw: Callable[[Any, int], Any]) -> Any:
    """A callback for Lightning's Trainer that looks every so many optimizer steps, and stops the training on an alarm.

    Each look is logged: ``memorization/train_share``, ``memorization/copy_rate`` and ``memorization/p_value``::

        trainer = Trainer(callbacks=[lightning_callback(monitor, lambda module, n: module.sample(n))])

    Args:
        monitor: Says how often to look, and how many samples to draw; fitted on the main process.
        draw: ``draw(module, n)`` gives n samples of the module, which is in evaluation mode; without gradients.

    Raises:
        UsageError: Neither lightning nor pytorch_lightning is installed.
    """
    import torch

    kind: Any = _callback_class()

    class Watch(kind):  # type: ignore[misc]  # the class is known only where Lightning is installed
        """Looks after the optimizer steps at which the monitor wants to look."""

        seen = -1

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            """Look, log, and stop all processes where the alarm is raised."""
            step = int(trainer.global_step) - 1
            if step < 0 or step == self.seen or (step + 1) % monitor.every:
                return
            self.seen = step  # of several batches of one optimizer step the first
            stop = False
            if trainer.is_global_zero:
                was_training = module.training
                module.eval()
                with torch.no_grad():
                    stop = monitor.look(step, lambda n: draw(module, n))
                module.train(was_training)
                self._log(trainer, step)
            stop = bool(trainer.strategy.reduce_boolean_decision(stop, all=False))
            trainer.should_stop = trainer.should_stop or stop

        def _log(self, trainer: Any, step: int) -> None:
            last = monitor.history_[-1]
            found = {name: getattr(last, name) for name in ("train_share", "copy_rate", "p_value")}
            for logger in trainer.loggers:
                logger.log_metrics({f"memorization/{name}": value for name, value in found.items()}, step=step)

    return Watch()


def _callback_class() -> Any:
    try:
        from lightning.pytorch import Callback
    except ImportError:
        try:
            from pytorch_lightning import Callback
        except ImportError as error:
            raise UsageError("Lightning is not installed; pip install lightning, or call monitor.look") from error
    return Callback
