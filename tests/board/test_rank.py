from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from memobench.board.combine import Number
from memobench.board.rank import (
    NOISE,
    Ranked,
    better_images,
    clearly_below,
    copies_less,
    dominates,
    pareto_front,
    rank_rows,
)
from memobench.board.read import read_submissions
from memobench.board.rows import COPIES, LEANS, QUALITY, RATE, Row, make_rows

from .conftest import FRAME, Shelf, figures


def _board(shelf: Shelf) -> list[Ranked]:
    return rank_rows(make_rows(read_submissions(shelf.submissions, ["xray"]), FRAME))


def _ranks(shelf: Shelf) -> dict[str, int | None]:
    return {entry.row.model: entry.rank for entry in _board(shelf) if not entry.row.control}


def test_a_rank_is_one_plus_the_number_of_entries_that_clearly_dominate(filled: Shelf) -> None:
    # gan has clearly better images than vae, and neither copies; ldm has better images than either and copies; flow's
    # are not clearly better than those of ldm, and it copies more
    assert _ranks(filled) == {"gan": 1, "ldm": 1, "flow": 2, "vae": 2, "ddpm": None, "vqgan": None}


def test_within_a_rank_those_that_copy_nothing_come_first_then_by_quality(filled: Shelf) -> None:
    assert [entry.row.model for entry in _board(filled)][:4] == ["gan", "ldm", "vae", "flow"]


def test_who_copies_more_with_no_better_images_is_dominated(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("some", seed, metrics=figures(0.2, 10.0))
        shelf.put("more", seed, metrics=figures(0.6, 10.5))
        shelf.put("none", seed, metrics=figures(0.0, 11.0))
    assert _ranks(shelf) == {"none": 1, "some": 2, "more": 3}


def test_every_entry_names_who_dominates_it(filled: Shelf) -> None:
    entries = {entry.row.model: entry for entry in _board(filled)}
    assert entries["vae"].above == (entries["gan"].row.key,)
    assert entries["gan"].above == ()


def test_incomplete_unverified_and_controls_have_no_rank(filled: Shelf) -> None:
    rest = {entry.row.model: entry.row.unranked for entry in _board(filled) if entry.rank is None}
    assert rest["ddpm"] == "incomplete: no fd_ssl"
    assert rest["vqgan"] == "not verified yet"
    assert {rest[name] for name in ("fresh", "replay", "mean", "noise")} == {"control"}


def test_a_self_reported_entry_is_shown_and_has_no_rank(shelf: Shelf) -> None:
    shelf.put("best", metrics=figures(0.0, 9.5), level="self-reported")
    shelf.put("other", metrics=figures(0.0, 30.0))
    assert _ranks(shelf) == {"other": 1, "best": None}
    assert _board(shelf)[1].row.unranked == "self-reported: nobody has measured it again"


def test_ranks_are_shared_where_intervals_overlap(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("a", seed, metrics=figures(0.0, 10.0))
        shelf.put("b", seed, metrics=figures(0.0, 11.5))  # overlaps a and c
        shelf.put("c", seed, metrics=figures(0.0, 13.0))  # clearly worse than a
    assert [(e.row.model, e.rank) for e in _board(shelf)] == [("a", 1), ("b", 1), ("c", 2)]


def _random_rows(shelf: Shelf, count: int) -> list[Row]:
    """Rows with random intervals and standings as the tests give them."""
    shelf.put("any")
    (row,) = make_rows(read_submissions(shelf.submissions, ["xray"]), FRAME)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        quality, reach = rng.uniform(10, 60), rng.exponential(6)
        rate, far = max(0.0, rng.normal(0, 0.3)), rng.exponential(0.1)
        p_value = 0.001 if rate > far or rng.random() < 0.2 else 0.5
        numbers = {
            QUALITY: Number(quality, max(quality - reach, 0), quality + reach, 9.0, "lower", None),
            RATE: Number(rate, max(rate - far, -0.01), rate + far, 0.0, "lower", p_value),
        }
        rows.append(replace(row, key=f"k{number}", numbers=numbers, p_value=p_value))
    return rows


def test_ranks_agree_with_counting_pairs_and_keep_every_order_that_is_clear_in_both(shelf: Shelf) -> None:
    rows = _random_rows(shelf, 70)
    found = {entry.row.key: entry for entry in rank_rows(rows)}
    clear = 0
    for row in rows:
        assert found[row.key].rank == 1 + sum(dominates(other, row) for other in rows)
    for one, two in itertools.permutations(rows, 2):
        assert not (dominates(one, two) and dominates(two, one))
        if better_images(one, two) and copies_less(one, two):
            clear += 1
            assert (found[one.key].rank or 0) < (found[two.key].rank or 0)
    assert clear > 100


def test_no_model_that_is_worse_than_the_linear_control_in_both_ranks_above_one_that_is_better_in_both(
    shelf: Shelf,
) -> None:
    rows = _random_rows(shelf, 60)
    ranks = {entry.row.key: entry.rank or 0 for entry in rank_rows(rows)}
    tried = 0
    for control in rows:
        worse = [row for row in rows if better_images(control, row) and copies_less(control, row)]
        better = [row for row in rows if better_images(row, control) and copies_less(row, control)]
        for low, high in itertools.product(worse, better):
            tried += 1
            assert ranks[high.key] < ranks[low.key]
    assert tried > 20


def test_a_wide_interval_does_not_lift_an_entry(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("steady", seed, metrics=figures(0.0, 10.0))
        shelf.put("shaky", seed, metrics=figures(0.0, (5.0, 30.0, 60.0)[seed]))
    first, second = _board(shelf)
    assert (first.row.model, second.row.model) == ("steady", "shaky")


def test_noise_by_another_name_has_no_rank_and_a_blur_is_marked(filled: Shelf) -> None:
    for seed in range(3):
        filled.put("static", seed, metrics=figures(0.0, 250.0, reach=0.0001))
        filled.put("blurry", seed, metrics=figures(0.0, 80.0))
    board = {entry.row.model: entry for entry in _board(filled)}
    assert (board["static"].rank, board["static"].row.unranked) == (None, NOISE)
    assert not board["static"].front
    assert board["blurry"].rank == 3
    assert board["blurry"].row.marks == ("images no better than the control mean",)


@pytest.mark.parametrize(
    ("quality", "rate", "mark"),
    [
        (20.0, 0.0, ()),
        (39.5, 0.0, ("does not clearly beat the linear control",)),
        (39.5, 0.3, ("clearly worse than the linear control",)),
        (50.0, 0.0, ("clearly worse than the linear control",)),
    ],
)
def test_a_model_that_does_not_beat_the_linear_control_says_so(
    shelf: Shelf, quality: float, rate: float, mark: tuple[str, ...]
) -> None:
    for seed in range(3):
        shelf.put("linear", seed, metrics=figures(0.0, 40.0), control=True)
        shelf.put("deep", seed, metrics=figures(rate, quality))
    (entry,) = [entry for entry in _board(shelf) if entry.row.model == "deep"]
    assert entry.row.marks == mark


def test_a_stranger_who_claims_to_be_the_control_noise_frames_nothing(filled: Shelf) -> None:
    before = _ranks(filled)
    filled.put("noise", 7, metrics=figures(0.0, 1.0), control=True, changes={"source": "file"})
    assert {name: rank for name, rank in _ranks(filled).items() if name != "noise"} == before


def test_seeds_that_disagree_about_copying_are_not_at_zero(shelf: Shelf) -> None:
    """The interval over two such seeds is endless and holds 0, but one seed's p-value is not chance."""
    shelf.put("hidden", 0, metrics=figures(0.6))
    shelf.put("hidden", 1, metrics=figures(0.0))
    (entry,) = _board(shelf)
    assert entry.row.numbers["copy_rate"].low == -1.0
    assert entry.row.standing == COPIES


def test_a_lean_is_no_copy(shelf: Shelf) -> None:
    metrics = figures(0.0)
    shelf.put("few", 0, metrics=metrics | {"copy_evidence": figures(p_value=0.001)["copy_evidence"]})
    shelf.put("nearer", 0, metrics=metrics | {"train_share": figures(0.6, p_value=0.001)["train_share"]})
    shelf.put("neither", 0, metrics=metrics)
    standing = {entry.row.model: entry.row.standing for entry in _board(shelf)}
    assert standing == {"few": LEANS, "nearer": LEANS, "neither": ""}


def test_numbers_without_interval_are_their_own() -> None:
    one, two = (Number(value, None, None, None, "lower", None) for value in (1.0, 2.0))
    assert clearly_below(one, two)
    assert not clearly_below(one, one)


def test_the_front_agrees_with_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in rng.integers(0, 12, (80, 2))]

    def beaten(one: tuple[float, float]) -> bool:
        return any(x <= one[0] and y <= one[1] and (x, y) != one for x, y in points)

    assert pareto_front(points) == [not beaten(point) for point in points]
    assert pareto_front([]) == []


def test_an_empty_board_is_empty() -> None:
    assert rank_rows([]) == []
