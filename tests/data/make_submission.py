"""Make ``tests/data/submission`` anew: ``python tests/data/make_submission.py``, after a version has changed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from memobench.run import RunSettings, run
from memobench.submitting.submit import SubmitSettings, submit


def main() -> None:
    """Run ``replay`` in preset smoke, submit it as practice, and keep the submission."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        settings = RunSettings(
            model="replay", task="xray", preset="smoke", settings={"share": "0.5"}, samples=48, out=out, device="cpu"
        )
        _, folder = run(settings)
        (folder / "gallery.png").unlink()  # too large to be kept for each version; tests add one of their own
        asked = SubmitSettings(run=folder, name="N", into=out / "submissions")
        _, made = submit(asked, practice=True)
        target = Path(__file__).parent / "submission"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)


if __name__ == "__main__":
    main()
