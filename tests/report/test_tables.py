from __future__ import annotations

from pathlib import Path

from memobench.report.tables import WIDTH, board, summary
from memobench.results import Decided, DetectorScores, Identity, Metric, Result

SENTENCE = "A decision of many words, " + ", ".join(f"word {number}" for number in range(30))
COPIES = Metric(value=0.3, low=0.2, high=0.4, null=0.0, better="lower", p_value=0.0001)
NONE = Metric(value=0.01, low=-0.02, high=0.02, null=0.0, better="lower", p_value=0.6)


def _result(model: str, copy_rate: Metric) -> Result:
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
        metrics={
            "copy_rate": copy_rate,
            "train_share": Metric(value=0.8, low=0.7, high=0.9, null=0.5, better="lower", p_value=0.0001),
            "memorized_patients": Metric(value=12.0, low=5.0, high=20.0, null=0.0, better="lower"),
            "fd_ssl": Metric(value=3.0, low=2.0, high=4.0, null=1.0, better="lower"),
            "recall": Metric(value=0.5, low=0.4, high=0.6, null=0.8, better="higher"),
            "authenticity": Metric(value=0.6, null=0.75, better="null"),
        },
        decision=Decided(word="review", sentence=SENTENCE, reasons=[SENTENCE]),
        notes=["images of 3 sizes were resampled to 64x64"],
        environment={},
        seconds={},
    )


def test_the_summary_shows_each_metric_with_its_interval_and_null() -> None:
    text = summary(_result("ldm", COPIES), every=True)
    (row,) = [line for line in text.splitlines() if line.startswith("copy rate")]
    assert row.split("  ")[0] == "copy rate"
    for words in ("30.0%", "20.0 to 40.0%", "0.0%", "0.0001"):
        assert words in row
    for words in ("50.0%", "Fréchet distance (ssl)", "authenticity", "Note: images of 3 sizes"):
        assert words in text
    assert text.index("MEMORIZATION") < text.index("QUALITY") < text.index("Fréchet") < text.index("recall")
    assert text.index("recall") < text.index("OTHER SCORES") < text.index("authenticity")


def test_the_decision_stands_last_wrapped_and_whole() -> None:
    lines = summary(_result("ldm", COPIES), Path("runs") / "one").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Decision: "))
    assert len(lines) - start > 1
    assert all(len(line) <= WIDTH for line in lines[start:])
    assert " ".join(lines[start:]) == f"Decision: {SENTENCE}"
    assert any(line.startswith(f"Files: {Path('runs') / 'one'}") for line in lines[:start])


def test_few_metrics_are_shown_unless_all_are_asked_for() -> None:
    result = _result("ldm", COPIES)
    few, every = summary(result), summary(result, every=True)
    assert "copy rate" in few
    assert "authenticity" in every
    assert "authenticity" not in few
    assert "OTHER SCORES" not in few
    assert "6 metrics were measured: --all shows them" in few


def test_the_board_puts_the_smallest_copy_rate_first() -> None:
    rows = board([_result("copier", COPIES), _result("clean", NONE)]).splitlines()
    assert [row.split()[1] for row in rows[2:]] == ["clean", "copier"]


def test_the_board_says_what_is_missing_and_who_is_a_control() -> None:
    result = _result("replay", COPIES)
    metrics = {name: metric for name, metric in result.metrics.items() if name != "recall"}
    text = board([result.model_copy(update={"control": True, "metrics": metrics})], "github")
    assert "replay (control)" in text
    assert "missing" in text


def test_a_result_without_quality_stands_last_among_equals() -> None:
    whole = _result("clean", NONE)
    kept = {name: metric for name, metric in whole.metrics.items() if name not in ("fd_ssl", "recall")}
    unknown = _result("unknown", NONE).model_copy(update={"metrics": kept})
    rows = board([unknown, whole]).splitlines()
    assert [row.split()[1] for row in rows[2:]] == ["clean", "unknown"]
    assert rows[-1].count("missing") == 2


def test_the_board_tells_runs_of_one_model_apart() -> None:
    narrow = _result("ldm", NONE).model_copy(update={"settings": {"width": "small", "steps": "5"}})
    (row,) = board([narrow]).splitlines()[2:]
    assert "ldm, width=small, steps=5" in row
    assert row.split()[4:6] == ["10", "quick"]  # training patients, preset
