"""An attack made by the command, on the board; and forgeries, one test each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import MemobenchError, UsageError
from memobench.board.build import build_board
from memobench.board.read import frame_of
from memobench.board.site import entry_page
from memobench.data.phantom import scan_count
from memobench.data.samples import samples_digest
from memobench.detection.detectors import DETECTORS
from memobench.images import Images
from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
from memobench.memorization.decide import Threshold
from memobench.results import DetectorScores, Metric
from memobench.submissions.attack import Made, attack, attack_words
from memobench.submissions.attack_rules import attack_command, attack_id
from memobench.submissions.changes import verify_changes
from memobench.submissions.check import Checked, check_submission
from memobench.submissions.older import as_present
from memobench.submissions.records import Submission
from memobench.submissions.scores import decisions_of, pools_of, recomputed
from memobench.submissions.settings import AttackSettings, VerifySettings
from memobench.submissions.verify import verify, write_verification
from memobench.task import TASKS, Splits

DATA = Path(__file__).parents[1] / "fixtures" / "submission"
SCRIPT = "<script>alert(1)</script>"
PLUGIN = '''"""Euclidean distance of pixels, by a third party."""
import hashlib
import numpy as np
from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors.l2 import L2

KNOWN = set()


@DETECTORS.register("NAME")
class Mine(L2):
    def scores(self, queries, pool):
        held = super().scores(queries, pool)
        bonus = np.array([0.05 * (hashlib.sha256(np.asarray(image).tobytes()).hexdigest() in KNOWN) for image in pool])
        return lambda rows: held(rows) + bonus
'''


def decision_of(result: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The decision that agrees with a result and its scores."""
    limit = Threshold(**result["threshold"])
    decisions = decisions_of(arrays, limit.tau)
    evidence = evidence_of_scores(decisions, pools_of(arrays), arrays["null"], limit, blind=True)
    found = run_findings(
        {name: Metric.model_validate(metric) for name, metric in result["metrics"].items()},
        DetectorScores.model_validate(result["challenge"]),
        result["counts"],
        preset=result["preset"],
        data=result["identity"]["data"],
        evidence=evidence,
    )
    decided: dict[str, Any] = decided_samples(found, decisions, evidence).model_dump()
    return decided


def drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 8, 8), np.float32).repeat(8, axis=1).repeat(8, axis=2)


def made_up_splits() -> Splits:
    """Made-up images of the patients of the task, so that nothing has to be drawn."""
    task, first, sides = TASKS.get("xray"), 0, {}
    for side, count in {"train": 96, "holdout": 96, "test": 40, "fresh": 40}.items():
        owners = [(p, s) for p in range(first, first + count) for s in range(scan_count(task.family, p))]
        names = np.array([f"radiograph-{p:06d}" for p, _ in owners])
        sides[side] = Images(drawn(len(owners), first), names, np.array([f"{p}-{s}" for p, s in owners]))
        first += count
    return Splits(**sides, dev=None, digest=task.digest)


@contextmanager
def without_phantom() -> Iterator[Splits]:
    splits = made_up_splits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memobench.data.splits.load_splits", lambda *_, **__: (splits, Path(), True))
        yield splits


@dataclasses.dataclass
class Scene:
    """A listed run, its samples, and an attack on it."""

    root: Path
    made: Made

    @property
    def samples(self) -> Path:
        return self.root / "samples.npz"

    @property
    def listed(self) -> Path:
        return self.root / "submissions" / "xray" / self.made.attacked.result.run_id

    @property
    def folder(self) -> Path:
        return self.root / "submissions" / "xray" / self.made.folder.name

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "submission.json").read_text()))

    def edit(self, change: Callable[[dict[str, Any]], Any], *, stamp: bool = False) -> Path:
        """Change the JSON; with ``stamp``, folder and command agree with it, as a careful forger would see to."""
        value = self.json
        change(value)
        folder = self.folder
        if stamp:
            submission = Submission.model_validate({**value, "result": as_present(value["result"])})
            assert submission.attack is not None
            value["command"] = attack_command(submission)
            folder = self.folder.with_name(attack_id(submission.attack, submission.samples.sha256))
            self.folder.rename(folder)
        (folder / "submission.json").write_text(json.dumps(value))
        return folder

    def rescore(self, change: Callable[[dict[str, np.ndarray]], Any], *, count: bool = False) -> Path:
        """Change the scores and name their digest; with ``count``, all that follows from them agrees with them."""
        import hashlib

        with np.load(self.folder / "scores.npz") as archive:
            arrays = dict(archive)
        change(arrays)
        np.savez_compressed(self.folder / "scores.npz", **arrays)
        digest = hashlib.sha256((self.folder / "scores.npz").read_bytes()).hexdigest()

        def follow(value: dict[str, Any]) -> None:
            value["scores_sha256"] = digest
            if count:
                result = value["result"]
                sensitivity = Metric.model_validate(result["challenge"]["summary"]["sensitivity"])
                metrics, calls = recomputed(arrays, result["threshold"]["tau"], sensitivity)
                result["metrics"].update({name: metric.model_dump() for name, metric in metrics.items()})
                result["notes"] = [calls.words]
                result["decision"] = decision_of(result, arrays)

        return self.edit(follow)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """40 of 48 samples are copies, of which the listed result names fewer."""
    root = tmp_path_factory.mktemp("scene")
    value = json.loads((DATA / "submission.json").read_text())
    listed = root / "submissions" / "xray" / value["result"]["run_id"]
    shutil.copytree(DATA, listed)
    with without_phantom() as splits:
        samples = np.concatenate([splits.train.pixels[:40] * np.float32(0.99), drawn(8, 999)])
        np.savez(root / "samples.npz", samples=samples)
        value["samples"]["sha256"] = samples_digest(samples)
        (listed / "submission.json").write_text(json.dumps(value))
        asked = AttackSettings(listed, "l2", "C", samples=root / "samples.npz", out=root / "runs", device="cpu")
        made = attack(dataclasses.replace(asked, description=SCRIPT), practice=True)
        with pytest.raises(MemobenchError, match="stands already"):
            attack(asked, practice=True)
    return Scene(root, made)


@pytest.fixture
def scene(template: Scene, tmp_path: Path) -> Scene:
    shutil.copytree(template.root, tmp_path / "scene")
    return Scene(tmp_path / "scene", template.made)


@pytest.fixture(autouse=True, scope="module")
def _no_plugin_stays() -> Iterator[None]:
    yield
    for name in ("mine", "knowing"):
        DETECTORS._loaded.pop(name, None)


def check(folder: Path) -> Checked:
    return check_submission(folder, practice=True)


def refused(folder: Path, reason: str) -> None:
    found = check(folder)
    assert not found.passed
    assert reason in " ".join(found.problems), found.problems


def differing(folder: Path) -> set[str]:
    return {row.metric for row in check(folder).differences if not row.agrees}


def rescored(scene: Scene, folder: Path | None = None, **more: Any) -> Any:
    with without_phantom():
        more = {"samples": scene.samples, "out": scene.root / "runs", "device": "cpu", **more}
        return verify(folder or scene.folder, VerifySettings("rescored", **more), practice=True)


def test_a_stronger_attack_changes_the_rate_of_a_row_and_names_its_source(scene: Scene) -> None:
    frame = dataclasses.replace(frame_of("xray"), samples=48)

    def row() -> Any:
        ((board),) = build_board(scene.root / "submissions", frame=lambda _: frame)
        (entry,) = board.entries
        return entry

    own = scene.made.attacked.result.metrics["copy_rate"]
    write_verification(verify(scene.listed, practice=True), scene.listed)
    write_verification(verify(scene.folder, practice=True), scene.folder)
    assert row().row.source == "own detector"  # nobody has measured the attack again
    found = rescored(scene)
    assert found.passed, found
    assert {"tau", "copy_rate", "train_share_of_strangers"} <= {one.metric for one in found.differences}
    write_verification(found, scene.folder)
    assert row().row.source == "l2 by C"
    assert row().row.numbers["copy_rate"].value == pytest.approx(40 / 48)
    assert own.value < 0.7
    page = entry_page(row(), frame)
    assert "83.3%" in page
    assert "l2 (version 1) by C" in page
    assert SCRIPT not in page
    assert "Once it is verified" in attack_words(scene.made)


def test_an_honest_attack_passes_and_every_count_is_compared(scene: Scene) -> None:
    found = check(scene.folder)
    assert found.passed, (found.problems, [row for row in found.differences if not row.agrees])
    assert {"tau", "copy_rate", "copy_rate.low", "copy_evidence.p_value"} <= {row.metric for row in found.differences}


def test_edited_scores(scene: Scene) -> None:
    refused(scene.rescore(lambda arrays: arrays.update(called=np.ones_like(arrays["called"]))), "called does not")


def test_edited_metrics(scene: Scene) -> None:
    folder = scene.edit(lambda value: value["result"]["metrics"]["copy_rate"].update(low=-0.5))
    assert differing(folder) == {"copy_rate.low"}
    refused(
        scene.edit(lambda value: value["result"]["metrics"]["copy_rate"].update(low=0.9)), "outside its own interval"
    )


def test_scores_of_another_run(scene: Scene) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["train_index"] = np.zeros_like(arrays["train_index"])

    assert "memorized_patients" in differing(scene.rescore(change))


def test_other_samples(scene: Scene) -> None:
    refused(
        scene.edit(lambda value: value["samples"].update(sha256="0" * 64), stamp=True), "not those of the attacked run"
    )


def test_a_run_that_is_not_listed(scene: Scene) -> None:
    folder = scene.edit(lambda value: value["attack"].update(against="xray-ldm-0"), stamp=True)
    refused(folder, '"xray-ldm-0" is no listed run')
    folder.rename(scene.folder)
    refused(scene.edit(lambda value: value["attack"].update(against="../../../x")), "is no listed run")


def test_a_run_that_was_taken_off_the_board(scene: Scene) -> None:
    shutil.rmtree(scene.listed)
    refused(scene.folder, "is no listed run")


def test_an_attack_on_an_attack(scene: Scene) -> None:
    against = scene.folder.name
    shutil.copytree(scene.folder, scene.folder.with_name("kept"))
    (scene.folder.with_name("kept")).rename(scene.folder.with_name(f"{against}0"))
    refused(scene.edit(lambda value: value["attack"].update(against=f"{against}0"), stamp=True), "is no listed run")
    with pytest.raises(MemobenchError, match="cannot be attacked"), without_phantom():
        attack(AttackSettings(scene.root / "submissions" / "xray" / f"{against}0", "l2", "C"), practice=True)


@pytest.mark.parametrize("capped", [False, True])
def test_a_lowered_tau(scene: Scene, capped: bool) -> None:
    tau = scene.json["attack"]["tau"] - 0.05

    def change(value: dict[str, Any]) -> None:
        value["attack"]["tau"] = tau
        value["result"]["threshold"].update(tau=tau, capped=capped)
        value["result"]["challenge"]["thresholds"]["tau"] = tau

    scene.edit(change)
    scene.rescore(
        lambda arrays: arrays.update(called=np.maximum(arrays["train_score"], arrays["holdout_score"]) >= tau)
    )
    assert "tau" in differing(scene.folder)


def test_a_tau_of_fewer_null_scores(scene: Scene) -> None:
    refused(scene.rescore(lambda arrays: arrays.update(null=arrays["null"][:20])), "null has 20 values")


def test_two_words_on_tau(scene: Scene) -> None:
    refused(scene.edit(lambda value: value["attack"].update(tau=-1.0)), "tau is not that of its threshold")


def test_a_metric_that_no_score_gives(scene: Scene) -> None:
    refused(
        scene.edit(lambda value: value["result"]["metrics"].update(fd_ssl={"value": 1.0, "better": "lower"})),
        "'fd_ssl' is no metric of an attack",
    )


def test_a_detector_that_knows_members_or_hides_it(scene: Scene) -> None:
    kept = scene.json
    refused(
        scene.edit(lambda value: value["result"]["metrics"]["copy_rate_of_strangers"].update(p_value=0.0001)),
        "prefers train on images of new patients",
    )
    (scene.folder / "submission.json").write_text(json.dumps(kept))
    refused(
        scene.edit(lambda value: value["result"]["metrics"].pop("train_share_of_strangers")),
        "train_share_of_strangers is missing",
    )


def test_the_tasks_own_detector_and_other_code(scene: Scene) -> None:
    folder = scene.edit(lambda value: value["attack"].update(code="0" * 64), stamp=True)
    refused(folder, "the code is not that of the present l2")
    folder.rename(scene.folder)
    folder = scene.edit(lambda value: value["attack"].pop("code"), stamp=True)  # readable, as older records are
    refused(folder, "the code is not that of the present l2")
    folder.rename(scene.folder)
    folder = scene.edit(lambda value: value["attack"].update(detector="verified"), stamp=True)
    refused(folder, "measures every run")
    with pytest.raises(UsageError, match="measures every run"):
        attack(AttackSettings(scene.listed, "verified", "C"), practice=True)


def test_an_edited_decision(scene: Scene) -> None:
    refused(scene.edit(lambda value: value["result"]["decision"].update(rows=["policy"])), "the decision is not")
    refused(scene.edit(lambda value: value["result"]["decision"].update(rows=None, reasons=[])), "the decision is not")
    mild = {"word": "no copies found", "rows": [], "reasons": []}
    refused(scene.edit(lambda value: value["result"]["decision"].update(mild)), "the decision is not")


def test_another_preset_command_and_folder(scene: Scene) -> None:
    refused(scene.edit(lambda value: value["result"].update(preset="quick")), "preset is not that of the attacked run")
    refused(scene.edit(lambda value: value.update(command="curl example.org | sh")), "the command is not")
    refused(scene.folder.rename(scene.folder.with_name("attack")), "but its attack is")


def test_a_run_that_says_that_it_attacks(scene: Scene) -> None:
    value = json.loads((scene.listed / "submission.json").read_text())
    value["attack"] = scene.json["attack"]
    (scene.listed / "submission.json").write_text(json.dumps(value))
    refused(scene.listed, "a run describes an attack")


def all_copies(arrays: dict[str, np.ndarray]) -> None:
    """Scores by which every sample is an exact copy."""
    arrays["train_score"] = np.full_like(arrays["train_score"], 0.0)
    arrays["train_index"] = np.arange(len(arrays["train_index"]))
    arrays["side"][:], arrays["called"][:], arrays["p_value"] = 1, True, np.full(len(arrays["side"]), 1 / 97)


def test_scores_that_agree_with_each_other_are_caught_by_measuring_again(scene: Scene) -> None:
    folder = scene.rescore(all_copies, count=True)
    assert check(folder).problems == []
    found = rescored(scene)
    assert not found.passed
    assert "copy_rate" in {row.metric for row in found.differences if not row.agrees}


def test_null_scores_that_give_a_lower_tau_are_caught_by_measuring_again(scene: Scene) -> None:
    with np.load(scene.folder / "scores.npz") as archive:
        arrays = dict(archive)
    from memobench.measure.blind import exact_limit
    from memobench.memorization.decide import threshold

    arrays["null"] = arrays["null"] - np.float32(0.1)
    found = threshold(arrays["null"], 1.0, highest=exact_limit(arrays["null"], arrays["exact"]))

    def change(value: dict[str, Any]) -> None:
        value["attack"]["tau"] = value["result"]["challenge"]["thresholds"]["tau"] = found.tau
        value["result"]["threshold"] = dataclasses.asdict(found)

    scene.edit(change)
    called = np.maximum(arrays["train_score"], arrays["holdout_score"]) >= found.tau
    scene.rescore(lambda held: held.update(null=arrays["null"], called=called), count=True)
    assert check(scene.folder).passed
    assert "tau" in {row.metric for row in rescored(scene).differences if not row.agrees}


def test_other_samples_are_seen_before_they_are_measured(scene: Scene, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", samples=np.zeros((48, 64, 64), np.float32))
    assert "digest differs" in rescored(scene, samples=tmp_path / "other.npz").problems[0]
    with pytest.raises(MemobenchError, match="digest differs"), without_phantom():
        attack(
            AttackSettings(scene.listed, "correlation", "C", samples=tmp_path / "other.npz", device="cpu"),
            practice=True,
        )


def test_an_attack_has_no_higher_level(scene: Scene) -> None:
    with pytest.raises(UsageError, match="rescored is its highest level"):
        verify(scene.folder, VerifySettings("reproduced"), practice=True)


def test_a_strangers_detector_is_published_and_executed_only_when_asked(scene: Scene) -> None:
    plugin = scene.root / "mine.py"
    plugin.write_text(PLUGIN.replace("NAME", "mine"))
    asked = AttackSettings(scene.listed, "mine", "D", samples=scene.samples, plugin=plugin, device="cpu")
    with without_phantom():
        made = attack(dataclasses.replace(asked, out=scene.root / "runs"), practice=True)
    assert (made.folder / "mine.py").read_text() == plugin.read_text()
    assert "--run-their-code" in attack_words(made)
    assert f"/{made.folder.name}/mine.py" in made.submission.command
    with pytest.raises(UsageError, match="read it, then add --run-their-code"):
        rescored(scene, made.folder)
    assert rescored(scene, made.folder, run_their_code=True).passed
    (made.folder / "mine.py").write_text(plugin.read_text() + "\n")
    refused(made.folder, "mine.py is not the code that ran")


def test_a_strangers_detector_that_knows_the_training_set_is_refused(scene: Scene) -> None:
    import hashlib

    known = [hashlib.sha256(image.tobytes()).hexdigest() for image in made_up_splits().train.pixels]
    plugin = scene.root / "knowing.py"
    plugin.write_text(PLUGIN.replace("NAME", "knowing").replace("KNOWN = set()", f"KNOWN = {set(known)!r}"))
    asked = AttackSettings(scene.listed, "knowing", "D", samples=scene.samples, plugin=plugin, device="cpu")
    with pytest.raises(MemobenchError, match=r"is no attack: the detector prefers train"), without_phantom():
        attack(dataclasses.replace(asked, out=scene.root / "runs"), practice=True)
    assert not [*scene.listed.parent.glob("*knowing*")]


def test_words_are_looked_at_before_anything_is_computed(scene: Scene) -> None:
    with pytest.raises(UsageError, match="link"):
        attack(AttackSettings(scene.listed, "l2", "C", link="javascript:alert(1)"), practice=True)
    with pytest.raises(UsageError, match="shorten it"):
        attack(AttackSettings(scene.listed, "l2", "C", description="x" * 3000), practice=True)
    (scene.root / "_more.py").touch()
    with pytest.raises(UsageError, match="put all into one file"):
        attack(AttackSettings(scene.listed, "mine", "C", plugin=scene.root / "mine.py"), practice=True)


def test_a_change_may_add_an_attack_on_what_stands(scene: Scene, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(scene.listed.parents[1], root / "leaderboard" / "submissions")
    folder = f"leaderboard/submissions/xray/{scene.folder.name}"
    added = f"A\t{folder}/submission.json\nA\t{folder}/scores.npz\n"
    assert all("run with --preset" in one or "run without --samples" in one for one in verify_changes(added, root))
    shutil.rmtree(root / "leaderboard" / "submissions" / "xray" / scene.listed.name)
    assert any("is no listed run" in problem for problem in verify_changes(added, root))


def test_the_board_itself_takes_no_smoke_run(scene: Scene) -> None:
    with pytest.raises(MemobenchError, match=r"cannot be attacked: .* only tests the path"):
        attack(AttackSettings(scene.listed, "l2", "C"))
    assert any("only tests the path" in problem for problem in check_submission(scene.folder).problems)
