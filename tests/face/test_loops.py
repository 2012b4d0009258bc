from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import memobench
import numpy as np
import pytest
import torch
from memobench.base.errors import UsageError
from memobench.face.loops import accelerate_look, lightning_callback

from .conftest import HOLDOUT, TRAIN, patients


def test_a_loop_of_accelerate_stops_on_every_process(detector: Any) -> None:
    from accelerate import Accelerator

    monitor = memobench.MemorizationMonitor(every=4, samples=12, detector=detector).fit(TRAIN, HOLDOUT)
    accelerator, asked = Accelerator(cpu=True), []

    def draw(n: int) -> np.ndarray:
        asked.append(n)
        return TRAIN[:n] if len(asked) > 1 else patients(n, 10)

    stopped = next(step for step in range(40) if accelerate_look(monitor, accelerator, step, draw))
    assert stopped + 1 == 4 * len(asked)
    assert monitor.alarm
    assert 2 <= len(asked) <= 3


def test_a_process_that_is_not_the_main_one_draws_nothing_and_hears_of_it(detector: Any) -> None:
    class Other:
        is_main_process = False

        def check_trigger(self) -> bool:
            return True  # what the main process has set

    def draw(n: int) -> np.ndarray:
        raise AssertionError("only the main process draws")

    monitor = memobench.MemorizationMonitor(every=2)
    assert not accelerate_look(monitor, Other(), 0, draw)
    assert accelerate_look(monitor, Other(), 1, draw)


def test_a_lightning_training_is_stopped(detector: Any, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.modes = torch.nn.Linear(1, 1), []

        def training_step(self, batch: Any, index: int) -> Any:
            return self.layer(batch).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    monitor = memobench.MemorizationMonitor(every=3, samples=12, detector=detector).fit(TRAIN, HOLDOUT)

    def draw(module: Any, n: int) -> np.ndarray:
        module.modes.append(module.training)
        return TRAIN[:n] if len(module.modes) > 1 else patients(n, 10)

    net, logged = Net(), lightning.loggers.CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_steps=60,
        accelerator="cpu",
        logger=logged,
        callbacks=[lightning_callback(monitor, draw)],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(net, torch.utils.data.DataLoader(torch.zeros(64, 1), batch_size=2))
    assert monitor.alarm
    assert trainer.global_step == 3 * len(net.modes) < 60
    assert not any(net.modes)
    assert "memorization/train_share" in (Path(logged.log_dir) / "metrics.csv").read_text()


def test_without_lightning_it_is_said(monkeypatch: pytest.MonkeyPatch, detector: Any) -> None:
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="Lightning is not installed"):
        lightning_callback(memobench.MemorizationMonitor(detector=detector), lambda module, n: TRAIN[:n])
