from __future__ import annotations

from typing import Any

import pytest
from memobench.board.read import read_submissions
from memobench.board.rows import LEAK_ASKED, Row, make_rows
from memobench.submissions.records import Attack, Disclosures, Leak, Submitter

from .conftest import FRAME, Shelf, figures


def _rows(shelf: Shelf) -> list[Row]:
    return make_rows(read_submissions(shelf.submissions, ["xray"]), FRAME)


def test_seeds_of_one_generator_and_submitter_are_one_row(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("ldm", seed)
    shelf.put("ldm", 3, submitter=Submitter(name="somebody else"))
    shelf.put("ldm", 0, identity={"parameters": {"steps": 1}})
    assert sorted(len(row.seeds) for row in _rows(shelf)) == [1, 1, 3]


def test_a_copied_seed_under_anothers_name_joins_nothing(shelf: Shelf) -> None:
    """Who writes another's name into a submission has no other's account, and unranks nobody."""
    for seed in range(2):
        shelf.put("ldm", seed)
    shelf.put("ldm", 2, metrics=figures(0.9), account="github:mallory")
    shelf.put("ldm", 3, metrics=figures(0.9), account="")  # measured again, and nobody attests whose it is
    shelf.put("ldm", 4, metrics=figures(0.9), account="")
    shelf.put("ldm", 5, metrics=figures(0.9), level=None)  # not verified
    shelf.put("ldm", 6, metrics=figures(0.9), passed=False, account="")
    rows = {tuple(one.submission.result.identity.seed for one in row.seeds): row for row in _rows(shelf)}
    assert sorted(rows) == [(0, 1), (2,), (3,), (4,), (5,), (6,)]
    assert (rows[0, 1].unranked, rows[0, 1].standing, rows[0, 1].level) == ("", "", "rescored")
    assert rows[2,].standing == "copies"


def _leak(patients: int, found: bool = True) -> Leak:
    return Leak(pool="test", images=256, matched=patients, patients=patients, expected=0.3, p_value=0.001, found=found)


def test_who_gives_away_test_patients_has_no_rank(shelf: Shelf) -> None:
    shelf.put("thief", metrics=figures(0.0, 0.5), leaks=[_leak(200)])
    (row,) = _rows(shelf)
    assert row.unranked == "gives away patients that it was not to see: 200 patients of test"


@pytest.mark.parametrize("quality", [0.5, 7.0, 8.5])
def test_images_as_good_as_real_ones_ask_for_the_leak_test(shelf: Shelf, quality: float) -> None:
    """8 is what real images of other patients get; the images of dev, real ones too, may get a little more."""
    shelf.put("thief", metrics=figures(0.0, quality))
    (row,) = _rows(shelf)
    assert row.unranked == LEAK_ASKED
    shelf.put("thief", metrics=figures(0.0, quality), leaks=[_leak(1, found=False)])
    (row,) = _rows(shelf)
    assert row.unranked == ""
    assert row.marks[0].startswith(
        "images not clearly worse than real ones of other patients; the leak test found none"
    )


def test_marks_say_what_a_reader_must_know(shelf: Shelf) -> None:
    told = Disclosures(other_training_data="weights learned elsewhere", tuned_on_test=True)
    shelf.put("ldm", 41, disclosures=told)
    (row,) = _rows(shelf)
    assert len(row.marks) == 4
    assert row.marks[0].startswith("1 of 3 seeds")
    assert row.marks[1].startswith("seeds 41, not the first ones")
    assert row.marks[2:] == ("tuned on test", "other training data")


def test_the_least_trusted_seed_gives_the_level_and_a_failed_one_unranks(shelf: Shelf) -> None:
    shelf.put("ldm", 0, level="reproduced")
    shelf.put("ldm", 1, level="self-reported")
    assert _rows(shelf)[0].level == "self-reported"
    shelf.put("ldm", 2, level="reproduced", passed=False)
    assert (_rows(shelf)[0].level, _rows(shelf)[0].unranked) == ("failed", "failed its verification")


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ({"task_version": "0"}, "another task version"),
        ({"split_digest": "1" * 64}, "on other data"),
        ({"shape": (32, 32)}, "another image size"),
        ({"detector_version": "3"}, "another detector version"),
        ({"measure_version": "2"}, "another measure version"),
        ({"samples": 16}, "16 samples where the board asks for 256"),
    ],
)
def test_what_cannot_be_compared_is_not_ranked(shelf: Shelf, identity: dict[str, Any], reason: str) -> None:
    shelf.put("ldm", 0, identity=identity)
    assert reason in _rows(shelf)[0].unranked


def test_seeds_from_elsewhere_join_and_rank_only_where_trained_on_the_task(shelf: Shelf) -> None:
    for seed in range(3):
        told = {"kind": "samples", "digest": f"{seed}" * 64, "trained_on": "task"}
        shelf.put("mine", seed, identity={"origin": told, "generator_code": "", "parameters": {}})
    (row,) = _rows(shelf)
    assert len(row.seeds) == 3
    assert row.marks[0] == "samples only: trained elsewhere, as declared on the task's training images"
    assert "trained" not in row.unranked
    for declared in ("", "other patients"):
        origin = {"kind": "checkpoint", "digest": "a" * 64, "trained_on": declared}
        shelf.put("other", 0, identity={"origin": origin})
        row = next(one for one in _rows(shelf) if one.model == "other")
        assert "not declared to be trained on the task's" in row.unranked


@pytest.mark.parametrize("lost", ["copy_rate", "copy_evidence", "fd_ssl"])
def test_missing_metrics_make_a_row_incomplete(shelf: Shelf, lost: str) -> None:
    shelf.put("ldm", 0)
    shelf.put("ldm", 1, metrics={name: m for name, m in figures().items() if name != lost})
    assert _rows(shelf)[0].unranked == f"incomplete: no {lost}"


def test_missing_intervals_and_p_values_make_a_row_incomplete(shelf: Shelf) -> None:
    metrics = figures()
    metrics["copy_rate"] = metrics["copy_rate"].model_copy(update={"low": None, "p_value": None})
    shelf.put("ldm", 0, metrics=metrics)
    assert _rows(shelf)[0].missing == ("no interval of copy_rate", "no p-value of copy_rate")


def _attack(shelf: Shelf, rate: float, **more: Any) -> None:
    target = shelf.put("ldm", 0)
    attack = Attack(against=target.name, detector=more.pop("detector", "sharp"), version="1", tau=1.0)
    changes = {"samples": more.pop("samples", target.submission.samples)}
    metrics = more.pop("metrics", figures(rate))
    shelf.put("ldm", 0, attack=attack, metrics=metrics, submitter=Submitter(name="C"), changes=changes, **more)


def test_the_worst_known_rate_ranks_with_its_source(shelf: Shelf) -> None:
    _attack(shelf, 0.3)
    (row,) = _rows(shelf)
    assert row.numbers["copy_rate"].value == 0.3
    assert row.source == "sharp by C"
    assert not row.at_zero


def test_an_attack_that_finds_less_changes_nothing_but_the_number_of_looks(shelf: Shelf) -> None:
    _attack(shelf, -0.2)
    (row,) = _rows(shelf)
    assert (row.numbers["copy_rate"].value, row.source, row.at_zero) == (0.0, "own detector", True)


def test_a_noisy_attack_that_is_sure_of_nothing_changes_nothing(shelf: Shelf) -> None:
    _attack(shelf, 0.2, metrics=figures(0.2, p_value=0.3, reach=0.5))
    assert _rows(shelf)[0].source == "own detector"


def test_many_vain_attacks_do_not_hide_what_was_found(shelf: Shelf) -> None:
    metrics = figures(0.0) | {"copy_evidence": figures(0.0, p_value=0.001)["copy_evidence"]}
    target = shelf.put("ldm", 0, metrics=metrics)
    assert not _rows(shelf)[0].at_zero
    for number in range(60):
        attack = Attack(against=target.name, detector=f"vain-{number}", version="1", tau=1.0)
        changes = {"samples": target.submission.samples}
        shelf.put("ldm", 0, attack=attack, metrics=figures(0.0, p_value=0.9), changes=changes)
    (row,) = _rows(shelf)
    assert len(row.attacks[target.name]) == 60
    assert not row.at_zero


@pytest.mark.parametrize("more", [{"level": None}, {"level": "self-reported"}, {"passed": False}, {"samples": None}])
def test_an_attack_counts_only_measured_again_and_on_the_same_samples(shelf: Shelf, more: dict[str, Any]) -> None:
    if "samples" in more:
        other = shelf.put("gan", 0).submission.samples
        more = {"samples": other}
    _attack(shelf, 0.3, **more)
    row = next(row for row in _rows(shelf) if row.model == "ldm")
    assert row.source == "own detector"
    assert row.at_zero


def test_a_key_is_safe_as_a_file_name(shelf: Shelf) -> None:
    shelf.put("pack", 0)
    listed = read_submissions(shelf.submissions, ["xray"])
    identity = listed[0].submission.result.identity.model_copy(update={"model": "../../<Ä b>" * 30})
    result = listed[0].submission.result.model_copy(update={"identity": identity})
    one = listed[0].__class__("x", listed[0].submission.model_copy(update={"result": result}), "", None, None)
    (row,) = make_rows([one], FRAME)
    assert set(row.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(row.key) < 100
