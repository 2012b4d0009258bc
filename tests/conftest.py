# ruff: noqa: E402  threads are set before anything imports torch
from __future__ import annotations

import os

# The workers of a test run share the cores, one thread each. They inherit the environment of the process that starts
# them, which reads this file too, so what the user asked for is kept apart.
ASKED = os.environ.setdefault("MEMOBENCH_TEST_THREADS", os.environ.get("OMP_NUM_THREADS", ""))
os.environ["OMP_NUM_THREADS"] = ASKED or ("1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

import csv
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from memobench.base.store import Store
from memobench.data import phantom
from memobench.images import Images
from memobench.task import TaskInfo
from PIL import Image

KITS = Path(os.environ.get("MEMOBENCH_KITS") or Path(__file__).parents[2] / "shared" / "kits")
DIGEST = re.compile("[0-9a-f]{16}")  # the name of a detector that is a stored stage


@pytest.fixture(scope="session", autouse=True)
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Draw the phantom's patients once for all tests and all workers, though each test has a store of its own."""
    folder = tmp_path_factory.getbasetemp().parent / "phantoms"
    folder.mkdir(exist_ok=True)
    drawn = phantom.draw_sides

    def draw_sides(task: TaskInfo, shape: tuple[int, ...], *track: Any) -> tuple[dict[str, Images | None], list[str]]:
        key = hashlib.sha256(repr((phantom.key(task, shape), task.split)).encode()).hexdigest()[:16]
        file = folder / f"{key}.npz"
        with FileLock(f"{file}.lock"):
            if not file.is_file():
                sides, notes = drawn(task, shape, *track)
                assert not notes
                assert None not in sides.values()
                partial = file.with_suffix(".part.npz")
                fields = {
                    f"{side}.{name}": getattr(images, name)
                    for side, images in sides.items()
                    for name in ("pixels", "patients", "scans")
                }
                np.savez(partial, **fields)
                partial.replace(file)
        with np.load(file) as archive:
            names = dict.fromkeys(name.split(".")[0] for name in archive.files)
            return {
                side: Images(*(archive[f"{side}.{name}"] for name in ("pixels", "patients", "scans"))) for side in names
            }, []

    phantom.draw_sides = draw_sides
    yield
    phantom.draw_sides = drawn


@pytest.fixture(scope="session", autouse=True)
def matched_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """What depends on a detector and real images alone is made once for all tests and workers.

    Each test still has a store of its own, whose stages are filled with copies. Processes that a test starts share
    nothing, and neither do detectors that a test names itself. The fixture is ``Store._build`` as it was.
    """
    folder = tmp_path_factory.getbasetemp().parent / "matches"
    folder.mkdir(exist_ok=True)
    built = Store._build

    def build(store: Store, final: Path, key: Mapping[str, Any], make: Callable[[Path, Path], None]) -> None:
        stage, shared = final.parent.name, folder / f"{final.parent.name}-{final.name}"
        if stage not in ("match", "regions-real") or not DIGEST.fullmatch(str(key["detector"])):
            built(store, final, key, make)
            return

        def copied(into: Path, scratch: Path) -> None:
            with FileLock(f"{shared}.lock"):
                if not shared.is_dir():
                    make(into, scratch)
                    shutil.copytree(into, partial := shared.with_suffix(".part"), dirs_exist_ok=True)
                    partial.replace(shared)
                else:
                    shutil.copytree(shared, into, dirs_exist_ok=True)

        built(store, final, key, copied)

    Store._build = build  # type: ignore[method-assign]
    yield built
    Store._build = built  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def kits() -> Path:
    if not KITS.is_dir():
        pytest.skip(f"no real image kits at {KITS} (MEMOBENCH_KITS)")
    return KITS


@pytest.fixture
def make_images() -> Callable[..., Images]:
    """Smooth random images of distinct patients."""

    def make(patients: int = 12, shape: tuple[int, ...] = (32, 32), scans: int = 1, seed: int = 0) -> Images:
        rng = np.random.default_rng(seed)
        coarse = rng.random((patients * scans, *[side // 4 for side in shape]))
        for axis in range(1, coarse.ndim):
            coarse = coarse.repeat(4, axis=axis)
        names = np.repeat([f"{seed}-p{i:03d}" for i in range(patients)], scans)
        return Images(coarse.astype(np.float32), names, np.array([f"s{i}" for i in range(len(names))]))

    return make


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder source: PNG files (or NPZ volumes) of made-up patients with a manifest."""

    def write(patients: int = 16, shape: tuple[int, ...] = (40, 36), scans: int = 2, name: str = "data") -> Path:
        root = tmp_path / name
        root.mkdir()
        rng = np.random.default_rng(0)
        rows = []
        for patient in range(patients):
            for scan in range(scans):
                coarse = rng.integers(0, 256, size=[-(-side // 4) for side in shape], dtype=np.uint8)
                for axis in range(coarse.ndim):
                    coarse = coarse.repeat(4, axis=axis)
                pixels = coarse[tuple(slice(side) for side in shape)]
                if len(shape) == 2:
                    file = f"p{patient}_{scan}.png"
                    Image.fromarray(pixels).save(root / file)
                else:
                    file = f"p{patient}_{scan}.npz"
                    np.savez(root / file, vol=pixels)
                rows.append({"file": file, "patient_id": f"p{patient}", "scan_id": f"p{patient}-{scan}"})
        with (root / "manifest.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["file", "patient_id", "scan_id"])
            writer.writeheader()
            writer.writerows(rows)
        return root

    return write
