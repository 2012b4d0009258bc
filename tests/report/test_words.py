from __future__ import annotations

import pytest
from memobench.report.words import entry_of, shown, verdict
from memobench.results import Metric


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
        (UNCERTAIN, "The strongest matches are training patients more often than chance explains (p = 0.0020)"),
        (LEANING, "The samples lean toward the training patients (70.0 % are nearer"),
        (CLEAN, "No memorization was found: at most 2.0 % of the 256 samples are copies"),
    ],
)
def test_the_verdict_says_what_was_found(metrics: dict[str, Metric], start: str) -> None:
    words = verdict(metrics, 256)
    assert words.startswith(start)
    assert words.endswith("Of planted copies, changed in many ways, the detector finds 87.5 %.")


def test_numbers_for_people() -> None:
    assert shown(0.00012, "small") == "0.0001"
    assert entry_of("fd_inception").label == "Fréchet distance (inception)"
    assert entry_of("ms_ssim").label == "MS-SSIM"
