from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.clock import Clock
from memobench.base.errors import MemobenchError
from memobench.base.store import load_arrays, save_arrays, write_json
from memobench.challenge.results import ChallengeIdentity, ChallengeResult
from memobench.provenance import environment
from memobench.results import finished
from memobench.training.acceleration import device_of


@pytest.fixture
def identity() -> ChallengeIdentity:
    return ChallengeIdentity(
        version=1,
        task="xray",
        task_version="1",
        data="phantom",
        shape=(64, 64),
        split_digest="0" * 64,
        detectors={},
        perturbations=(),
        strengths=("medium",),
        count=1,
        preset="smoke",
        seed=0,
    )


def _result(identity: ChallengeIdentity) -> ChallengeResult:
    return ChallengeResult(
        run_id=identity.run_id,
        identity=identity,
        counts={},
        detectors={},
        notes=[],
        environment=environment("cpu"),
        seconds={},
    )


def test_the_clock_says_and_keeps_what_was_done_and_not_what_was_stored_or_failed() -> None:
    said: list[str] = []
    clock = Clock(said.append)
    with clock("done"):
        pass
    with clock("there"):
        clock.stored = True
    with pytest.raises(KeyError), clock("broken"):
        raise KeyError
    with clock("next"):
        assert not clock.stored
    assert [line.split()[0] for line in said] == ["done", "there", "next"]
    assert said[1].split()[1] == "stored"
    assert set(clock.seconds) == {"done", "next"}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"a": rng.random((3, 4)).astype(np.float32).T, "b": np.arange(5), "c": np.zeros((0, 2))}
    save_arrays(tmp_path / "x.safetensors", arrays)
    found = load_arrays(tmp_path / "x.safetensors")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_result_is_found_by_its_identity_alone(tmp_path: Path, identity: ChallengeIdentity) -> None:
    assert finished(tmp_path, identity, ChallengeResult) is None
    result = _result(identity)
    write_json(tmp_path / "result.json", result.model_dump(mode="json"))
    assert finished(tmp_path, identity, ChallengeResult) == result
    assert finished(tmp_path, identity.model_copy(update={"seed": 1}), ChallengeResult) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],  # cut short
        lambda text: text.replace(b'"counts"', b'"amounts"'),  # of another version
        lambda text: b"\xff" + text,
    ],
)
def test_a_result_that_cannot_be_read_is_made_anew(
    tmp_path: Path, identity: ChallengeIdentity, spoil: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "result.json"
    write_json(file, _result(identity).model_dump(mode="json"))
    file.write_bytes(spoil(file.read_bytes()))
    assert finished(tmp_path, identity, ChallengeResult) is None


def test_devices() -> None:
    assert device_of("cpu") == "cpu"
    assert device_of("auto") in ("cpu", "cuda")
    assert environment("cpu")["device"] == "cpu"
    with pytest.raises(MemobenchError, match=r'device "cuda:99" cannot be used.*choose --device cpu or auto'):
        device_of("cuda:99")
