from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from memobench.data.phantom import _draw_many

print(_draw_many("radiograph", [(0, 0)] * 20, (16, 16), lambda items, *_: items).shape)
"""


def test_a_script_without_a_main_guard_draws_patients(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    path = str(Path(__file__).parents[2] / "benchmark")
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(20, 16, 16)\n", "")
