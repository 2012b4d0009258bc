from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memobench.base.errors import MemobenchError
from memobench.board.local import local_results
from memobench.challenge.perturb import perturbations_for
from memobench.challenge.results import ChallengeResult
from memobench.challenge.run import run_challenge, table
from memobench.challenge.settings import ChallengeSettings
from memobench.cli.main import main
from memobench.detection.detectors import DETECTORS
from memobench.execution.settings import Execution

Write = Callable[..., Path]


def _bench(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def _timeless(result: ChallengeResult) -> dict[str, Any]:
    return {name: value for name, value in result.model_dump().items() if name not in ("seconds", "checksum")}


def settings(data: Path, out: Path, *detectors: str, **more: Any) -> ChallengeSettings:
    return ChallengeSettings(
        "xray", str(data), 32, detectors or ("l2", "correlation"), count=6, preset="smoke", out=out, **more
    )


@pytest.mark.smoke
def test_a_challenge_is_written_and_found_again(write_folder: Write, tmp_path: Path) -> None:
    asked = settings(write_folder(), tmp_path / "runs")
    said: list[str] = []
    result, folder = run_challenge(asked, say=said.append)
    assert ChallengeResult.model_validate_json((folder / "result.json").read_text()) == result
    assert folder.name == result.run_id
    assert folder.name.startswith("challenge-xray-")
    assert [line.split()[0] for line in said] == ["data", "ask", "ask"]  # neither learns
    assert set(result.detectors) == {"l2", "correlation"}
    for scores in result.detectors.values():
        assert [row.perturbation for row in scores.rows] == ["unchanged", *perturbations_for(2)]
        assert scores.rows[0].metrics["tpr_at_1"].value == 1
        assert set(scores.thresholds) == {"at_1", "at_5", "tau"}
        assert {"sensitivity", "false_positive_rate", "other_scans_at_tau", "reidentified"} <= set(scores.summary)
    again, _ = run_challenge(asked, say=said.append)
    assert again == result
    assert "nothing to do" in said[-1]
    fresh, _ = run_challenge(settings(Path(asked.data), asked.out, again=True))
    assert _timeless(fresh) == _timeless(result)
    elsewhere, _ = run_challenge(settings(Path(asked.data), tmp_path / "two"), execution=Execution(jobs=2))
    assert _timeless(elsewhere) == _timeless(result)


def test_only_a_new_detector_is_asked(write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_folder()
    first, _ = run_challenge(settings(data, tmp_path, "l2"))
    said: list[str] = []
    both, _ = run_challenge(settings(data, tmp_path, "l2", "correlation"), say=said.append)
    assert both.run_id != first.run_id
    assert both.detectors["l2"] == first.detectors["l2"]
    assert [line.split()[-1] for line in said if "ask l2" in line] == ["stored"]
    assert [line.split()[-1] for line in said if "ask correlation" in line] != ["stored"]


def test_what_is_finished_survives_a_failure(
    write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_folder()
    whole, _ = run_challenge(settings(data, tmp_path / "whole"))

    def fail(self: object, *arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DETECTORS.get("correlation"), "match", fail)
        with pytest.raises(KeyboardInterrupt):
            run_challenge(settings(data, tmp_path / "cut"))
    assert not list((tmp_path / "cut").glob("challenge-*"))
    said: list[str] = []
    resumed, _ = run_challenge(settings(data, tmp_path / "cut"), say=said.append)
    assert [line.split()[-1] for line in said if "ask l2" in line] == ["stored"]
    assert _timeless(resumed) == _timeless(whole)


@pytest.mark.parametrize(
    "change", [{"strength": "strong"}, {"seed": 1}, {"preset": "quick"}, {"count": 5}, {"detectors": ("l2",)}]
)
def test_what_changes_the_numbers_changes_the_name(change: dict[str, Any], write_folder: Write, tmp_path: Path) -> None:
    base = {"task": "xray", "data": str(write_folder()), "size": 32, "detectors": ("l2", "correlation")}
    base |= {"count": 6, "preset": "smoke", "out": tmp_path}
    first, _ = run_challenge(ChallengeSettings(**base))
    second, _ = run_challenge(ChallengeSettings(**{**base, **change}))
    assert first.run_id != second.run_id


def test_the_table_has_a_row_per_perturbation_and_a_column_per_detector(write_folder: Write, tmp_path: Path) -> None:
    result, _ = run_challenge(settings(write_folder(), tmp_path))
    text = table(result)
    header = next(line for line in text.splitlines() if line.startswith("%"))
    assert header.split()[-2:] == ["l2", "correlation"]
    flip = next(line for line in text.splitlines() if line.startswith("flip"))
    row = result.detectors["l2"].rows[[r.perturbation for r in result.detectors["l2"].rows].index("flip")]
    assert flip.split()[1] == f"{100 * row.metrics['tpr_at_1'].value:.1f}"
    for label in ("mean", "right source", "other scans flagged"):
        assert any(line.startswith(label) for line in text.splitlines())


def test_a_challenge_is_no_run_of_the_board(write_folder: Write, tmp_path: Path) -> None:
    run_challenge(settings(write_folder(), tmp_path, "l2"))
    with pytest.raises(MemobenchError, match="no results in"):
        local_results(tmp_path)


@pytest.mark.slow
def test_the_command_on_the_phantom(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["challenge", "--task", "xray", "--size", "32", "--detectors", "correlation,l2", "--count", "8"]
    words += ["--preset", "smoke", "--out", str(tmp_path)]
    status, out, err = _bench(capsys, *words)
    assert status == 0
    assert "scale_and_crop" in out
    assert "result.json" in err
    status, out, _ = _bench(capsys, *words, "--json")
    assert status == 0
    assert ChallengeResult.model_validate(json.loads(out)).identity.task == "xray"


@pytest.mark.slow
def test_all_detectors_in_three_dimensions(write_folder: Write, tmp_path: Path) -> None:
    data = write_folder(shape=(36, 32, 34), scans=1)
    result, _ = run_challenge(ChallengeSettings("ct", str(data), 32, count=4, preset="smoke", out=tmp_path))
    assert set(result.detectors) == set(DETECTORS.names())
    for scores in result.detectors.values():
        assert scores.rows[-1].perturbation == "through_plane_shift"
        assert scores.rows[0].metrics["right_source"].value == 1
        assert scores.other_scans == 0


@pytest.mark.kits
@pytest.mark.parametrize(("kit", "task"), [("xray", "xray"), ("mr", "mr2d")])
def test_correlation_on_real_images_bears_intensity_and_no_movement(
    kit: str, task: str, kits: Path, tmp_path: Path
) -> None:
    asked = ChallengeSettings(task, str(kits / kit), 64, ("correlation",), count=60, out=tmp_path)
    result, _ = run_challenge(asked)
    found = {row.perturbation: row.metrics["tpr_at_1"].value for row in result.detectors["correlation"].rows}
    assert all(found[name] > 0.95 for name in ("unchanged", "gamma", "contrast", "jpeg"))
    assert all(found[name] < 0.3 for name in ("rotation", "shift", "flip", "scale_and_crop"))


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["--task", "xry"], 'unknown task "xry"; did you mean "xray"', 2),
        (["--task", "xray", "--detectors", "l2,sim"], 'unknown detector "sim"; did you mean "ssim"', 2),
        (["--task", "xray", "--detectors", "l2,"], "--detectors takes NAME,NAME", 2),
        (["--task", "xray", "--strength", "strng"], 'there is no "strng"; did you mean "strong"', 2),
        (["--task", "xray", "--preset", "fast"], 'there is no "fast"', 2),
        (["--task", "xray", "--count", "0"], "--count", 2),
        (["--task", "xray", "--data", "none"], "there is no folder none", 1),
    ],
)
def test_a_mistake_is_one_line_with_its_fix(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = _bench(capsys, "challenge", *words)
    assert code == status
    assert message in err
    assert err.startswith("bench: ")
    assert err.count("\n") == 1
    assert not out


def test_detectors_are_listed_without_being_imported(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _bench(capsys, "list", "detectors", "--json")
    assert status == 0
    rows = {row["name"]: row["about"] for row in json.loads(out)["detectors"]}
    assert set(rows) >= {"verified", "embedding", "correlation", "ssim", "l2", "published"}
    assert all(rows.values())
