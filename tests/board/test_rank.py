from __future__ import annotations

import itertools

import numpy as np
from memobench.board.rank import Placed, Ranked, pareto_front, rank_rows, ranks
from memobench.board.read import read_submissions
from memobench.board.rows import make_rows

from .conftest import FRAME, Shelf, figures


def _board(shelf: Shelf) -> list[Ranked]:
    return rank_rows(make_rows(read_submissions(shelf.submissions, ["xray"]), FRAME))


def _order(shelf: Shelf) -> list[tuple[str, int | None]]:
    return [(entry.row.model, entry.rank) for entry in _board(shelf)]


def test_those_at_zero_come_first_by_quality_then_the_others_by_copy_rate(filled: Shelf) -> None:
    assert _order(filled)[:4] == [("gan", 1), ("vae", 2), ("ldm", 3), ("flow", 4)]


def test_incomplete_unverified_and_controls_have_no_rank(filled: Shelf) -> None:
    rest = {entry.row.model: entry.row.unranked for entry in _board(filled) if entry.rank is None}
    assert rest["ddpm"] == "incomplete: no fd_ssl"
    assert rest["vqgan"] == "not verified yet"
    assert {rest[name] for name in ("fresh", "replay", "mean", "noise")} == {"control"}


def test_ranks_are_shared_where_intervals_overlap(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("a", seed, metrics=figures(0.0, 10.0))
        shelf.put("b", seed, metrics=figures(0.0, 11.5))  # overlaps a and c
        shelf.put("c", seed, metrics=figures(0.0, 13.0))  # clearly worse than a
    entries = _board(shelf)
    assert [(e.row.model, e.rank, e.worst) for e in entries] == [("a", 1, 2), ("b", 1, 3), ("c", 2, 3)]


def test_ranks_agree_with_counting_pairs_and_respect_every_clear_order() -> None:
    rng = np.random.default_rng(0)
    placed = []
    for _ in range(60):
        value, reach = rng.normal(), rng.exponential(0.3)
        placed.append(Placed(int(rng.integers(3)), value, value - reach, value + reach))

    def better(one: Placed, two: Placed) -> bool:
        return one.group < two.group or (one.group == two.group and one.high < two.low)

    found = ranks(placed)
    for one, (best, worst) in zip(placed, found, strict=True):
        assert best == 1 + sum(better(two, one) for two in placed)
        assert worst == len(placed) - sum(better(one, two) for two in placed)
        assert best <= worst
    for (one, first), (two, second) in itertools.permutations(zip(placed, found, strict=True), 2):
        if better(one, two):
            assert first[0] < second[0]
            assert first[1] < second[1]


def test_a_wide_interval_does_not_lift_an_entry(shelf: Shelf) -> None:
    for seed in range(3):
        shelf.put("steady", seed, metrics=figures(0.0, 10.0))
        shelf.put("shaky", seed, metrics=figures(0.0, (5.0, 30.0, 60.0)[seed]))
    first, second = _board(shelf)
    assert (first.row.model, second.row.model) == ("steady", "shaky")


def test_noise_by_another_name_stands_behind_the_copiers_and_off_the_front(filled: Shelf) -> None:
    for seed in range(3):
        filled.put("static", seed, metrics=figures(0.0, 250.0, reach=0.0001))
        filled.put("blurry", seed, metrics=figures(0.0, 80.0))
    board = {entry.row.model: entry for entry in _board(filled)}
    assert board["static"].group == "no better than noise"
    assert board["static"].rank == 6
    assert not board["static"].front
    assert "quality no better than the control noise" in board["static"].row.marks
    assert board["blurry"].rank == 3
    assert board["blurry"].row.marks == ("quality no better than the control mean",)


def test_a_stranger_who_claims_to_be_the_control_noise_frames_nothing(filled: Shelf) -> None:
    filled.put("noise", 7, metrics=figures(0.0, 1.0), control=True, changes={"source": "file"})
    assert _order(filled)[:4] == [("gan", 1), ("vae", 2), ("ldm", 3), ("flow", 4)]


def test_seeds_that_disagree_about_copying_are_not_at_zero(shelf: Shelf) -> None:
    """The interval over two such seeds is endless and holds 0, but one seed's p-value is not chance."""
    shelf.put("hidden", 0, metrics=figures(0.6))
    shelf.put("hidden", 1, metrics=figures(0.0))
    (entry,) = _board(shelf)
    assert entry.row.numbers["copy_rate"].low == -1.0
    assert entry.group == "copies"


def test_evidence_alone_takes_an_entry_from_zero(shelf: Shelf) -> None:
    metrics = figures(0.0)
    metrics["copy_evidence"] = metrics["copy_evidence"].model_copy(update={"p_value": 0.001})
    shelf.put("few", 0, metrics=metrics)
    assert _board(shelf)[0].group == "copies"


def test_the_front_agrees_with_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in rng.integers(0, 12, (80, 2))]

    def beaten(one: tuple[float, float]) -> bool:
        return any(x <= one[0] and y <= one[1] and (x, y) != one for x, y in points)

    assert pareto_front(points) == [not beaten(point) for point in points]
    assert pareto_front([]) == []


def test_an_empty_board_is_empty() -> None:
    assert rank_rows([]) == []
