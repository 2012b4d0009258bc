"""A real submission (48 samples of ``replay``, preset smoke), and the means to forge it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.generator import GENERATORS
from memobench.provenance import code_digest, source_digest
from memobench.results import Identity, Metric, Result
from memobench.submissions.check import decided_of
from memobench.submissions.older import as_present
from memobench.submissions.rules import command_of
from memobench.submissions.scores import claimed_threshold, decisions_of, p_values_of, recomputed

DATA = Path(__file__).parents[1] / "fixtures"

BOARD = Path(__file__).parents[2] / "leaderboard" / "submissions"
REPLAY = Path(__file__).parents[2] / "baselines" / "replay.py"


@dataclass
class Forgery:
    """A copy of the submission that a test changes."""

    folder: Path

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "submission.json").read_text()))

    def write(self, value: dict[str, Any]) -> None:
        (self.folder / "submission.json").write_text(json.dumps(value))

    def edit(self, change: Callable[[dict[str, Any]], None]) -> Path:
        """Change the JSON and leave the rest as it stands."""
        value = self.json
        change(value)
        self.write(value)
        return self.folder

    def stamp(self, change: Callable[[dict[str, Any]], None]) -> Path:
        """Change the JSON, and make run_id, command and folder agree with it, as a careful forger would."""
        value = self.json
        change(value)
        result = value["result"]
        result["run_id"] = Identity.model_validate(result["identity"]).run_id
        value["command"] = command_of(Result.model_validate(as_present(result)))
        self.write(value)
        moved = self.folder.parent / result["run_id"]
        if moved != self.folder:
            self.folder = self.folder.rename(moved)
        return self.folder

    def rescore(self, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
        """Change the scores, and name the new file's digest."""
        with np.load(self.folder / "scores.npz") as archive:
            arrays = dict(archive)
        change(arrays)
        np.savez_compressed(self.folder / "scores.npz", **arrays)
        return self.seal()

    def seal(self) -> Path:
        digest = hashlib.sha256((self.folder / "scores.npz").read_bytes()).hexdigest()
        return self.edit(lambda value: value.update(scores_sha256=digest))

    def recount(self, change: Callable[[dict[str, np.ndarray]], None], **threshold: Any) -> Path:
        """Change the scores or the threshold, and compute every other number, note and word from them, as a careful
        forger would."""
        value = self.json
        result = value["result"]
        result["threshold"].update(threshold)
        tau = result["threshold"]["tau"]

        def changed(arrays: dict[str, np.ndarray]) -> None:
            change(arrays)
            decisions = decisions_of(arrays, tau)
            arrays["side"], arrays["called"] = decisions.side, decisions.called
            sensitivity = Metric.model_validate(result["challenge"]["summary"]["sensitivity"])
            metrics, calls = recomputed(arrays, tau, sensitivity)
            result["metrics"].update({name: metric.model_dump() for name, metric in metrics.items()})
            result["notes"] = [calls.words] if calls.patients else []
            if "tau" in result["challenge"]["thresholds"]:
                result["challenge"]["thresholds"]["tau"] = tau
            shown = Result.model_validate(as_present(result))
            result["decision"] = decided_of(shown, metrics, arrays, claimed_threshold(result["threshold"])).model_dump()

        self.rescore(changed)
        digest = self.json["scores_sha256"]
        return self.edit(lambda held: held.update(value, scores_sha256=digest))

    def without_copies(self) -> Path:
        """Scores by which nothing was copied, with every metric, note and word computed from them."""
        tau, tail = (self.json["result"]["threshold"][name] for name in ("tau", "tail"))

        def change(arrays: dict[str, np.ndarray]) -> None:
            random = np.random.default_rng(0)
            n = len(arrays["side"])
            for side in ("train", "holdout"):
                arrays[f"{side}_score"] = (tau - 1 - random.random(n)).astype(np.float32)
            known = p_values_of(arrays, tail)
            arrays["p_value"] = np.full(n, 0.5) if known is None else known

        return self.recount(change)


@pytest.fixture
def forgery(tmp_path: Path) -> Forgery:
    """The submission as it was made, with the present code's digest."""
    value = json.loads((DATA / "submission" / "submission.json").read_text())
    folder = tmp_path / "submissions" / "xray" / value["result"]["run_id"]
    shutil.copytree(DATA / "submission", folder)
    made = Forgery(folder)
    made.stamp(lambda value: value["result"]["identity"].update(generator_code=source_digest(REPLAY)))
    return made


@pytest.fixture
def listed(tmp_path: Path) -> Forgery:
    """The submission of ``replay`` on xray that stands on the board: 256 samples, all of them copies."""
    (stands,) = BOARD.glob("xray/xray-replay-*")
    folder = tmp_path / "submissions" / "xray" / stands.name
    shutil.copytree(stands, folder)
    made = Forgery(folder)
    made.stamp(lambda value: value["result"]["identity"].update(generator_code=code_digest(GENERATORS.get("replay"))))
    return made
