from __future__ import annotations

from memobench.report.words import entry_of, shown, shown_interval, shown_value
from memobench.results import Metric


def test_numbers_for_people() -> None:
    assert shown(0.00012, "small") == "0.0001"
    assert entry_of("fd_inception").label == "Fréchet distance (inception)"
    assert entry_of("ms_ssim").label == "MS-SSIM"


def test_counts_of_copies_are_never_shown_below_zero() -> None:
    below = Metric(value=-0.7, low=-0.9, high=0.1, null=0.0, better="lower")
    for name in ("copy_rate", "copy_rate_corrected", "memorized_rate"):
        assert shown_value(name, below) == "none"
        assert shown_interval(name, below) == "0.0 to 10.0%"
    assert shown_value("memorized_patients", below) == "none"
    assert shown_value("copy_rate", below.model_copy(update={"value": 0.0})) == "0.0%"
    assert shown_value("fld_gap", below) == "-0.7"
    assert shown_interval("fld_gap", below) == "-0.9 to 0.1"
    assert shown_interval("copy_rate", Metric(value=0.1, better="lower")) == ""
