from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memobench
import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.face import measured
from memobench.outside import measure_samples
from memobench.settings import MeasureSettings
from scipy import ndimage


def _patients(count: int, seed: int, size: int = 32) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def test_a_task_from_python_gives_the_run_of_the_command_line(
    write_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, made, out = str(write_folder()), _patients(24, 9), tmp_path / "runs"
    words: dict[str, Any] = {"data": data, "size": 32, "preset": "smoke", "out": out, "device": "cpu"}
    run = memobench.measure(made, task="xray", name="mine", trained_on="task", **words)
    np.savez(tmp_path / "made.npz", samples=made)
    settings = MeasureSettings("xray", str(tmp_path / "made.npz"), "mine", "task", **words)
    again, folder = measure_samples(settings)
    assert (again.run_id, folder) == (run.result.run_id, run.folder)
    assert run.decision in ("no copies found", "review", "do not release")
    assert np.array_equal(run.samples, made.astype(np.float32) / np.float32(255))
    assert set(run.scores) >= {"train_score", "called", "p_value"}
    assert "MEMORIZATION" in str(run)
    assert "MEMORIZATION" in run._repr_html_()
    loaded = memobench.load(run.folder)
    assert loaded.result == run.result
    assert memobench.load(run.folder / "result.json").metrics == run.metrics
    task = memobench.load_task("xray", data, size=32, out=out)
    assert task.train.pixels.shape[1:] == (32, 32)


def test_own_images_are_a_task_of_their_own(tmp_path: Path) -> None:
    train, holdout, test = (_patients(24, seed) for seed in range(3))
    words: dict[str, Any] = {"preset": "smoke", "out": tmp_path / "runs", "device": "cpu"}
    run = memobench.measure(
        np.concatenate([train[:12], _patients(12, 5)]), train=train, holdout=holdout, test=test, **words
    )
    assert run.result.identity.task == "own"
    assert run.result.identity.data == "folder"
    assert run.metrics["copy_rate"].value == pytest.approx(0.5, abs=0.1)
    assert run.decision == "do not release"
    assert "fd_ssl" in run.metrics
    assert run.result.identity.origin is not None
    assert run.result.identity.origin.elsewhere is None
    assert (run.folder / "gallery.png").is_file()


def test_own_images_that_differ_are_told_and_their_exact_tests_are_not_used(tmp_path: Path) -> None:
    train, test = _patients(24, 0), _patients(24, 2)
    holdout = _patients(24, 1) // 4 + 10  # of another scanner: dark and flat
    words: dict[str, Any] = {"preset": "smoke", "out": tmp_path / "runs", "device": "cpu"}
    run = memobench.measure(_patients(24, 5), train=train, holdout=holdout, test=test, **words)
    assert any("Train and held-out patients differ" in reason for reason in run.result.decision.reasons)
    assert "p-value not valid" in (run.metrics["train_share"].note or "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "give a task"),
        ({"task": "xray", "train": _patients(4, 0)}, "give a task"),
        ({"train": _patients(4, 0)}, "holdout is not given"),
        ({"task": "xry"}, "did you mean"),
        ({"train": _patients(4, 0), "holdout": _patients(4, 1), "test": _patients(4, 2, 16)}, "of 16x16"),
        (
            {
                "train": _patients(4, 0),
                "holdout": _patients(4, 1),
                "test": _patients(4, 2),
                "patients": {"train": list("abcd"), "test": list("dxyz")},
            },
            "patient 'd' is in train and in test",
        ),
        (
            {
                "train": _patients(4, 0),
                "holdout": _patients(4, 1),
                "test": _patients(4, 2),
                "patients": {"train": ["P 1", "b", "c", "d"], "holdout": ["p1", "x", "y", "z"]},
            },
            "patient 'P 1' is in train and in holdout",
        ),
        (
            {
                "train": _patients(4, 0),
                "holdout": np.concatenate([_patients(4, 1), _patients(4, 0)[:1]]),
                "test": _patients(4, 2),
            },
            "1 image stands in train and in holdout",
        ),
    ],
)
def test_what_is_lacking_is_said_in_a_line(words: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message) as caught:
        memobench.measure(_patients(4, 3), **words)
    assert "\n" not in str(caught.value)


def test_a_result_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(DataError, match="the schema version"):
        memobench.load(tmp_path)


def test_importing_is_quick_and_everything_that_is_offered_is_there() -> None:
    code = (
        "import sys, memobench\n"
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules), sorted(sys.modules)\n"
        "assert set(memobench.__all__) <= set(dir(memobench))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in memobench.__all__:
        assert getattr(memobench, name), name
        if name != "__version__":
            assert (getattr(memobench, name).__doc__ or "").strip(), name
    assert callable(memobench.audit)
    assert callable(memobench.measure)
    with pytest.raises(AttributeError, match="nothing"):
        _ = memobench.nothing


def test_the_manuals_first_page_names_everything() -> None:
    assert memobench.__doc__ is not None
    for name in set(memobench.__all__) - {"__version__"}:
        assert f"memobench.{name}(" in memobench.__doc__, name


def test_own_images_of_one_person_under_two_ids_are_told() -> None:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(60, 32, 32)), (0, 2, 2))
    people = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    holdout = np.concatenate([people[20:40], np.clip(people[:2] * 0.95 + 0.02, 0, 1)])
    splits = measured._own({"train": people[:20], "holdout": holdout, "test": people[40:]}, {}, None, None)
    assert splits.holdout.patient_count == 20
    assert splits.notes[0].startswith("2 HELD-OUT PATIENTS HAVE AN IMAGE THAT IS NEARLY THE SAME")
