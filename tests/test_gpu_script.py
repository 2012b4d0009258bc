from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "benchmarks" / "gpu.py"


def test_every_part_of_the_gpu_script_runs_with_tiny_sizes() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "MEMOBENCH_BENCHMARK_STEPS": "4"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--tiny"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for pattern in (
        r"ldm smoke 2d: plain float32 \d+ images/s, ours \d+, ratio \d+\.\d\d, \d+\.\d% of a peak",
        r"ldm smoke 3d: ",
        r"detector: \d+ views/s",
        r"matching: \d+\.\d queries/s",
        r"audit: 8 x 40 images of 32 pixels in \d+ s",
        r"ldm smoke at 32 pixels, autoencoder: \d+ ms a step",
    ):
        assert re.search(pattern, done.stdout), done.stdout


def test_a_wrong_word_is_one_line() -> None:
    words = [sys.executable, str(SCRIPT), "--only", "trainig"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--only trainig: the parts are training, detector, standard, audit" in done.stderr
    assert "Traceback" not in done.stderr
