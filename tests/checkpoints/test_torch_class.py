from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError, UsageError
from memobench.checkpoints.checkpoint import Checkpoint
from memobench.checkpoints.named import find_checkpoint
from memobench.generator import Context
from memobench.images import Images
from safetensors.torch import save_file

NET = """
import random
import numpy as np
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(1))

    def sample(self, n):
        shift = random.random() + np.random.rand()
        return (self.level + 0.2 * torch.rand(n, 1, 16, 16) + 0.1 * shift).clamp(0, 1)

class Told(Net):
    def sample(self, n, generator, seed):
        return torch.rand(n, 16, 16, generator=generator)

class Needs(Net):
    def __init__(self, width):
        super().__init__()

class Fails(Net):
    def sample(self, n):
        raise RuntimeError("no\\nluck")

class Silent(torch.nn.Module):
    pass
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    save_file({"level": torch.full((1,), 0.5)}, tmp_path / "w.safetensors")
    return tmp_path / "net.py"


def _ready(net: Path, name: str = "Net", *, weights: bool = True, **settings: str) -> Checkpoint:
    file = net.parent / "w.safetensors" if weights else None
    found = find_checkpoint(f"torch:{net}:{name}", settings, (16, 16), weights=file)
    names = np.array(["a"])
    return found.generator.fit(Images(np.zeros((1, 16, 16), np.float32), names, names), context=Context(0))


def test_an_ordinary_class_is_seeded_and_leaves_no_trace(net: Path) -> None:
    generator = _ready(net)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist())  # noqa: NPY002
    drawn = generator.sample(5, seed=1)
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist())  # noqa: NPY002
    assert before == after
    assert drawn.shape == (5, 16, 16)
    assert drawn.min() > 0.49  # the weights were loaded
    assert np.array_equal(drawn, generator.sample(5, seed=1))
    assert not np.array_equal(drawn, generator.sample(5, seed=2))


def test_a_class_may_take_generator_and_seed(net: Path) -> None:
    generator = _ready(net, "Told", batch="3")
    assert np.array_equal(generator.sample(5, seed=1), generator.sample(5, seed=1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "has no class Nothing; its classes are"),
        ("Needs", "give them defaults"),
        ("Silent", "holds no weights of Silent"),
        ("Fails", "sample raised RuntimeError: no luck"),
    ],
)
def test_what_is_wrong_with_a_class_is_one_line(name: str, message: str, net: Path) -> None:
    with pytest.raises(MemobenchError, match=message) as caught:
        _ready(net, name).sample(1, seed=0)
    assert "\n" not in str(caught.value)


def test_a_class_without_sample_and_pickled_weights_are_named(net: Path) -> None:
    with pytest.raises(UsageError, match=r"no method sample\(n\)"):
        _ready(net, "Silent", weights=False).sample(1, seed=0)
    torch.save({}, net.parent / "w.pt")
    with pytest.raises(UsageError, match="no safetensors file; save the weights again"):
        find_checkpoint(f"torch:{net}:Net", {}, (16, 16), weights=net.parent / "w.pt")
    with pytest.raises(MemobenchError, match="is a pickle"):
        find_checkpoint(f"torch:{net}:Net", {}, (16, 16), weights=net.parent / "x.safetensors")
    with pytest.raises(UsageError, match="names no class"):
        find_checkpoint(f"torch:{net}", {}, (16, 16))
    with pytest.raises(UsageError, match="there is no Python file"):
        find_checkpoint("torch:nowhere.py:Net", {}, (16, 16))
