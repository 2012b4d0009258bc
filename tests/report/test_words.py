from __future__ import annotations

import pytest
from memobench.report.words import board, entry_of, shown, summary, verdict
from memobench.results import DetectorScores, Identity, Metric, Result


def _metric(value: float, low: float, high: float, null: float, p: float | None = None) -> Metric:
    return Metric(value=value, low=low, high=high, null=null, better="lower", p_value=p)


def _metrics(
    rate: tuple[float, float, float, float], share: tuple[float, float, float, float], evidence: float = 0.5
) -> dict[str, Metric]:
    return {
        "copy_rate": _metric(*rate[:3], 0.0, rate[3]),
        "copy_evidence": Metric(value=0.0, null=0.0, better="lower", p_value=evidence),
        "sensitivity": Metric(value=0.875, low=0.8, high=0.92, better="higher"),
        "memorized_patients": _metric(12.0, 5.0, 20.0, 0.0, rate[3]),
        "memorized_rate": _metric(0.1, 0.05, 0.2, 0.0, rate[3]),
        "train_share": _metric(*share[:3], 0.5, share[3]),
        "false_discovery_rate": Metric(value=0.1, null=1.0, better="lower"),
        "fd_ssl": _metric(3.0, 2.0, 4.0, 1.0),
        "recall": _metric(0.5, 0.4, 0.6, 0.8),
    }


def _result(model: str, metrics: dict[str, Metric]) -> Result:
    identity = Identity(
        version=1,
        task="xray",
        task_version="1",
        data="phantom",
        shape=(64, 64),
        split_digest="0" * 64,
        model=model,
        parameters={},
        generator_code="0" * 64,
        seed=0,
        samples=256,
        detector_version="1",
        measure_version="1",
        detector={},
    )
    counts = dict.fromkeys(
        ["train_images", "train_patients", "holdout_images", "holdout_patients", "test_images", "samples"], 10
    )
    return Result(
        run_id=identity.run_id,
        identity=identity,
        preset="quick",
        settings={},
        control=False,
        counts=counts,
        threshold={"tau": 0.9},
        challenge=DetectorScores(rows=[], thresholds={"tau": 0.9}, summary={}, other_scans=0),
        metrics=metrics,
        verdict=verdict(metrics, 256),
        notes=["images of 3 sizes were resampled to 64x64"],
        environment={},
        seconds={},
    )


COPIER = _metrics((0.3, 0.2, 0.4, 0.0001), (0.8, 0.7, 0.9, 0.0001))
FEW = _metrics((0.01, -0.01, 0.03, 0.2), (0.52, 0.4, 0.6, 0.3), evidence=0.001)
UNCERTAIN = _metrics((-0.01, -0.03, 0.02, 0.9), (0.52, 0.4, 0.6, 0.3), evidence=0.001)
LEANING = _metrics((0.01, -0.01, 0.03, 0.2), (0.7, 0.6, 0.8, 0.001))
CLEAN = _metrics((0.0, -0.02, 0.02, 0.6), (0.5, 0.4, 0.6, 0.5))


@pytest.mark.parametrize(
    ("metrics", "start"),
    [
        (COPIER, "30.0 % of the 256 samples are copies of training patients (95 % interval 20.0 % to 40.0 %)"),
        (FEW, "1.0 % of the 256 samples are copies of training patients (95 % interval 0.0 % to 3.0 %)"),
        (UNCERTAIN, "The strongest matches are training patients more often than chance explains (p = 0.0010)"),
        (LEANING, "The samples lean toward the training patients (70.0 % are nearer"),
        (CLEAN, "No memorization was found: at most 2.0 % of the 256 samples are copies"),
    ],
)
def test_the_verdict_says_what_was_found(metrics: dict[str, Metric], start: str) -> None:
    words = verdict(metrics, 256)
    assert words.startswith(start)
    assert words.endswith("Of planted copies, changed in many ways, the detector finds 87.5 %.")


def test_the_summary_shows_each_metric_with_its_interval_and_null() -> None:
    text = summary(_result("ldm", COPIER))
    for words in (
        "copy rate",
        "30.0 %",
        "20.0 to 40.0 %",
        "50.0 %",
        "Fréchet distance (ssl)",
        "Note: images of 3 sizes",
    ):
        assert words in text
    assert text.index("Fréchet") < text.index("recall")
    assert max(map(len, text.splitlines())) < 200


def test_the_board_puts_the_smallest_copy_rate_first() -> None:
    rows = board([_result("copier", COPIER), _result("clean", CLEAN)]).splitlines()
    assert [row.split()[1] for row in rows[2:]] == ["clean", "copier"]


def test_numbers_for_people() -> None:
    assert shown(0.00012, "small") == "0.0001"
    assert entry_of("fd_inception").label == "Fréchet distance (inception)"
    assert entry_of("ms_ssim").label == "MS-SSIM"
