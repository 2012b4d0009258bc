from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import memobench.training.loop as train
import numpy as np
import pytest
import torch
from memobench.base.cost import Trained
from memobench.base.errors import MemobenchError
from memobench.generator import Context
from memobench.training.acceleration import Acceleration, accelerated
from memobench.training.loop import Training, Watch, batch_indices, seeded, step_generator, train_loop
from torch import Tensor, nn


class StoppedError(Exception):
    pass


def stop_after(steps: int) -> Any:
    """Progress that fails once so many steps are done, as a kill would."""

    def track(items: Iterable[int], description: str, total: int | None = None) -> Iterator[int]:
        for done, item in enumerate(items):
            if done == steps:
                raise StoppedError
            yield item

    return track


def network() -> nn.Module:
    with seeded(3):
        return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))


def fit(training: Training, context: Context, identity: str = "") -> tuple[nn.Module, np.ndarray]:
    net = network()
    data = torch.randn(10, 4, generator=step_generator(0, "data"))

    def loss(k: int) -> Tensor:
        chosen = data[batch_indices(10, 3, k, seed=context.seed)]
        noise = torch.randn(chosen.shape, generator=step_generator(context.seed, "noise", k))
        error: Tensor = (net(chosen + 0.1 * noise)[:, 0] - chosen.sum(dim=1)) ** 2
        return error.mean()

    return net, train_loop(net, loss, training, name="line", context=context, identity=identity)


def weights(net: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in net.parameters()]


def test_every_image_comes_once_per_epoch() -> None:
    row = np.concatenate([batch_indices(7, 3, step, seed=1) for step in range(14)])
    assert len(row) == 42
    for epoch in row.reshape(6, 7):
        assert sorted(epoch) == list(range(7))
    assert not np.array_equal(row[:7], row[7:14])


def test_a_batch_may_exceed_the_images() -> None:
    assert np.bincount(batch_indices(3, 6, 4, seed=0)).tolist() == [2, 2, 2]
    assert batch_indices(1, 5, 0, seed=0).tolist() == [0] * 5


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    assert np.array_equal(batch_indices(50, 8, 9, seed=4), batch_indices(50, 8, 9, seed=4))
    assert not np.array_equal(batch_indices(50, 8, 9, seed=4), batch_indices(50, 8, 9, seed=5))
    assert not np.array_equal(batch_indices(50, 8, 9, seed=4), batch_indices(50, 8, 10, seed=4))


def test_the_rate_rises_and_falls_to_zero() -> None:
    training = Training(steps=200, learning_rate=0.5, warm_up=0.1)
    rates = np.array([training.rate(step) for step in range(200)])
    assert rates.argmax() == 19
    assert rates.max() == 0.5
    assert (np.diff(rates[:20]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert 0 <= rates[-1] < 1e-3
    assert Training(steps=1, learning_rate=0.5).rate(0) == 0.5


def test_seeded_gives_the_global_state_back() -> None:
    before = torch.random.get_rng_state()
    with seeded(1):
        first = torch.randn(3)
    with seeded(1):
        assert torch.equal(first, torch.randn(3))
    assert torch.equal(before, torch.random.get_rng_state())


def test_training_learns_and_is_frozen_afterwards() -> None:
    net, losses = fit(Training(steps=300, learning_rate=0.03, ema=0.9), Context(seed=1))
    assert losses.shape == (300,)
    assert losses[-20:].mean() < 0.2 * losses[:20].mean()
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_result_is_the_average_of_the_weights() -> None:
    last, _ = fit(Training(steps=20, learning_rate=0.03, ema=0.0), Context(seed=1))
    mean, _ = fit(Training(steps=20, learning_rate=0.03, ema=0.99), Context(seed=1))
    start = network()
    path = np.linalg.norm(weights(last)[0] - weights(start)[0])
    assert 0 < np.linalg.norm(weights(mean)[0] - weights(last)[0]) < path


def test_accumulation_equals_one_large_batch() -> None:
    net, losses = fit(Training(steps=5, learning_rate=0.01, accumulate=4), Context(seed=1))
    other = network()
    data = torch.randn(10, 4, generator=step_generator(0, "data"))

    def loss(k: int) -> Tensor:  # four minibatches in one
        parts = []
        for part in range(4 * k, 4 * k + 4):
            chosen = data[batch_indices(10, 3, part, seed=1)]
            noise = torch.randn(chosen.shape, generator=step_generator(1, "noise", part))
            parts.append((other(chosen + 0.1 * noise)[:, 0] - chosen.sum(dim=1)) ** 2)
        return torch.cat(parts).mean()

    wanted = train_loop(other, loss, Training(steps=5, learning_rate=0.01), name="line", context=Context(seed=1))
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    for one, two in zip(weights(net), weights(other), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resume_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    training = Training(steps=12, learning_rate=0.03, weight_decay=0.1, ema=0.9, accumulate=accumulate)
    whole, losses = fit(training, Context(seed=1))
    for stop in (5, 4):  # twice, so that a resumed training is interrupted too
        with pytest.raises(StoppedError):
            fit(training, Context(seed=1, checkpoints=tmp_path, track=stop_after(stop)))
    counted: list[int] = []

    def count(items: Iterable[int], description: str) -> Iterator[int]:
        for item in items:
            counted.append(item)
            yield item

    resumed, again = fit(training, Context(seed=1, checkpoints=tmp_path, track=count))
    assert counted == [9, 10, 11]
    assert np.array_equal(losses, again)
    for one, two in zip(weights(whole), weights(resumed), strict=True):
        assert np.array_equal(one, two)
    assert [file.name for file in tmp_path.iterdir()] == ["line.safetensors"]


class Counting(nn.Module):
    """A line that centres its input by a moving mean (a buffer) and scales it by a weight that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 1)
        self.scale = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.mean(dim=0))
            self.scale.mul_(0.9).add_(0.1 / (0.1 + x.std(dim=0)))
        made: Tensor = self.line((x - self.mean) * self.scale)
        return made


def test_what_the_network_changes_by_itself_is_resumed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)

    def trained(context: Context) -> dict[str, Tensor]:
        with seeded(3):
            net = Counting()

        def loss(k: int) -> Tensor:
            x = torch.randn(5, 4, generator=step_generator(0, "x", k)) + 2
            error: Tensor = (net(x)[:, 0] - x.sum(dim=1)) ** 2
            return error.mean()

        train_loop(net, loss, Training(steps=9, learning_rate=0.03), name="line", context=context)
        return net.state_dict()

    whole = trained(Context(seed=1))
    with pytest.raises(StoppedError):
        trained(Context(seed=1, checkpoints=tmp_path, track=stop_after(4)))
    resumed = trained(Context(seed=1, checkpoints=tmp_path))
    assert whole.keys() == resumed.keys() == {"line.weight", "line.bias", "scale", "mean"}
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not torch.equal(whole["scale"], torch.ones(4))
    assert (whole["mean"] > 0.5).all()


def test_a_finished_training_is_taken_from_its_checkpoint(tmp_path: Path) -> None:
    training = Training(steps=3, learning_rate=0.03)
    whole, losses = fit(training, Context(seed=1, checkpoints=tmp_path))
    again, same = fit(training, Context(seed=1, checkpoints=tmp_path, track=stop_after(0)))
    assert np.array_equal(losses, same)
    for one, two in zip(weights(whole), weights(again), strict=True):
        assert np.array_equal(one, two)


def test_a_broken_checkpoint_is_named_with_the_fix(tmp_path: Path) -> None:
    training = Training(steps=3, learning_rate=0.03)
    context = Context(seed=1, checkpoints=tmp_path)
    fit(training, context)
    file = tmp_path / "line.safetensors"
    whole = file.read_bytes()
    for content in (b"", b"junk" * 10, whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(MemobenchError, match=r"line\.safetensors cannot be read .*delete it"):
            fit(training, context)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    training = Training(steps=3, learning_rate=0.03)
    fit(training, Context(seed=1, checkpoints=tmp_path), identity="a")
    for other, seed, identity in (
        (training, 2, "a"),
        (training, 1, "b"),
        (Training(steps=4, learning_rate=0.03), 1, "a"),
    ):
        with pytest.raises(MemobenchError, match="of another training; delete it"):
            fit(other, Context(seed=seed, checkpoints=tmp_path), identity=identity)


def test_a_checkpoint_of_another_version_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, context = Training(steps=3, learning_rate=0.03), Context(seed=1, checkpoints=tmp_path)
    monkeypatch.setattr("memobench.training.loop.FORMAT", "0")
    first, _ = fit(training, context)
    monkeypatch.undo()
    again, losses = fit(training, context)  # from the beginning, to the same end
    assert len(losses) == 3
    assert all(np.array_equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    net = network()

    def loss(k: int) -> Tensor:
        value: Tensor = net(torch.zeros(1, 4)).sum() * float("nan")
        return value

    with pytest.raises(MemobenchError, match="lower its learning rate"):
        train_loop(net, loss, Training(steps=2, learning_rate=1.0), name="line", context=Context(seed=0))


def watched(net: nn.Module, at: list[float], context: Context, patience: int) -> np.ndarray:
    """Train towards ones and pretend that the loss on other images goes as ``at`` says."""
    looks = iter(at)

    def loss(k: int) -> Tensor:
        error: Tensor = (net(torch.ones(2, 4)) - 1) ** 2
        return error.mean()

    watch = Watch(lambda step: next(looks), every=2, patience=patience)
    return train_loop(
        net, loss, Training(steps=12, learning_rate=0.03, ema=0.0), name="line", context=context, watch=watch
    )


def test_early_stopping_keeps_the_weights_of_the_lowest_loss(tmp_path: Path) -> None:
    stopped, whole = network(), network()
    assert len(watched(stopped, [3, 2, 2.5, 2], Context(seed=1), patience=2)) == 8
    assert len(watched(whole, [3, 2, 2.5, 1, 2, 3], Context(seed=1), patience=3)) == 12
    best = network()
    # the rate of a step depends on the number of steps, so the same training is cut short, not a shorter one run
    context = Context(seed=1, track=stop_after(4), checkpoints=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(StoppedError):
            watched(best, [3, 2], context, patience=2)
    for one, two in zip(weights(stopped), weights(best), strict=True):
        assert np.array_equal(one, two)
    assert not np.array_equal(weights(stopped)[0], weights(whole)[0])
    assert not stopped.training


def test_early_stopping_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    whole, resumed = network(), network()
    losses = watched(whole, [3, 2, 2.5, 2], Context(seed=1), patience=2)
    with pytest.raises(StoppedError):
        watched(network(), [3, 2], Context(seed=1, checkpoints=tmp_path, track=stop_after(5)), patience=2)
    again = watched(resumed, [2.5, 2], Context(seed=1, checkpoints=tmp_path), patience=2)
    assert np.array_equal(losses, again)
    finished = network()
    watched(finished, [], Context(seed=1, checkpoints=tmp_path), patience=2)  # it does not look again
    for one, two, three in zip(weights(whole), weights(resumed), weights(finished), strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)


def test_what_a_training_cost_is_reported_across_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    told: list[Trained] = []

    def go(**more: Any) -> None:
        net = network()
        context = Context(seed=1, checkpoints=tmp_path, report=told.append, **more)
        training = Training(steps=4, learning_rate=0.01, accumulate=3)
        train_loop(net, lambda k: net(torch.ones(5, 4)).mean(), training, name="line", context=context, batch=5)

    with pytest.raises(StoppedError):
        go(track=stop_after(2))
    assert told == []
    go()
    go()  # from its checkpoint: the same cost
    assert [(one.name, one.images, len(one.losses)) for one in told] == [("line", 60, 4)] * 2
    assert told[0].seconds == told[1].seconds > 0


def test_compiled_networks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: asked.append(self))
    net = network()
    for choice in (Acceleration(), Acceleration(compile=True)):
        with accelerated(choice):
            train_loop(
                net.requires_grad_(True),
                lambda k: net(torch.ones(1, 4)).mean(),
                Training(steps=1, learning_rate=0.01),
                name="line",
                context=Context(seed=1),
                compiled=[net],
            )
    assert asked == [net]


def test_a_log_holds_each_step_once_across_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    training = Training(steps=6, learning_rate=0.03)
    context = Context(seed=1, checkpoints=tmp_path / "a", log=tmp_path / "log")
    with pytest.raises(StoppedError):
        fit(training, replace(context, track=stop_after(3)))
    _, losses = fit(training, context)
    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    scalars = log.Scalars("loss/line")
    assert [scalar.step for scalar in scalars] == list(range(6))
    np.testing.assert_allclose([scalar.value for scalar in scalars], losses, rtol=1e-6)
