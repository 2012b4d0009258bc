from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.cli.main import main
from memobench.data.files.check import check_folder
from PIL import Image

Draw = Callable[..., np.ndarray]


def _folder(root: Path, draw: Draw, count: int = 3) -> Path:
    for seed in range(count):
        Image.fromarray(draw((40 + seed, 48), seed=seed)).save(root / f"p{seed // 2}_{seed}.png")
    return root


def _check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["data", "check", *words])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_what_is_found(tmp_path: Path, draw: Draw) -> None:
    text, usable = check_folder(_folder(tmp_path, draw), patient_regex="(p[0-9])")
    assert usable
    first, *lines = text.splitlines()
    assert first.endswith(": 3 images (2D), 2 patients, 3 scans")
    assert lines == [
        "Patients: from the pattern (p[0-9]) on file names",
        "Shapes: 40x48 (1), 41x48 (1), 42x48 (1)",
        "Values: 3 PNG, 0 to 255, scaled by the 0.5 to 99.5 percentile range of each",
    ]


def test_many_shapes_are_summed_up(tmp_path: Path, draw: Draw) -> None:
    text, _ = check_folder(_folder(tmp_path, draw, count=7))
    assert "Shapes: 7 different, from 40x48 to 46x48, median 43x48" in text


def test_the_command_ends_with_0_1_or_2(tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(_folder(tmp_path, draw))
    assert _check(capsys, root)[0] == 0
    (tmp_path / "evil\x1b[2J.png").write_bytes(b"MZ")
    Image.fromarray(np.full((9, 9), 3, np.uint8)).save(tmp_path / "flat.png")
    status, out, _ = _check(capsys, root)
    assert status == 1
    assert "  evil\\x1b[2J.png is a program for Windows, not an image\n" in out
    assert "  flat.png is constant (every value is 3)\n" in out
    assert "Cannot be used (2 files" in out
    assert _check(capsys, root, "--skip-unreadable")[0] == 0
    assert _check(capsys, root, "--dim", "5")[0] == 2
    assert _check(capsys, root, "--patient-regex", "(")[0] == 2
    assert _check(capsys)[0] == 2
    status, _, err = _check(capsys, str(tmp_path / "none"))
    assert status == 1
    assert "there is no folder" in err


def test_nothing_that_can_be_used_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.png").write_bytes(b"%PDF")
    status, out, _ = _check(capsys, str(tmp_path), "--skip-unreadable")
    assert status == 1
    assert "x.png is a PDF document" in out


def test_no_model_library_is_loaded(tmp_path: Path, draw: Draw) -> None:
    root = _folder(tmp_path, draw)
    path = str(Path(__file__).parents[3] / "benchmark")
    code = (
        f"import sys; sys.path.insert(0, {path!r})\nfrom memobench.cli.main import main\ntry:\n"
        f"    main(['data', 'check', {str(root)!r}])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not [name for name in ('torch', 'monai', 'sklearn') if name in sys.modules]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 images" in done.stdout
