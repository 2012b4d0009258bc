from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.challenge.perturb import perturb, perturbations_for
from memobench.data.samples import eight_bit
from memobench.detection.crossfit import Detector
from memobench.detection.pairs import pair_scores
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.pool import MatchingPool
from memobench.generator import Context, Generator
from memobench.images import Images
from memobench.measure.measurement import Ask, Measured, match_sides, measure, measure_copies
from memobench.task import Splits
from numpy.typing import NDArray

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=3, batch=8, planted=24)
SIDE = {2: 32, 3: 16}
PATIENTS = 24  # of train, and of holdout


@pytest.fixture(scope="module", autouse=True)
def few_planted() -> Iterator[None]:
    """A small challenge: what it shows is tested beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memobench.challenge.planted.PLANTED", {2: 3, 3: 2})
        yield


def patients(name: str, count: int, dim: int = 2, scans: int = 1, seed: int = 0) -> Images:
    """Images of made-up patients, blocks of random grey in 8 bits, as samples are measured."""
    rng = np.random.default_rng([seed, *name.encode()])
    pixels = eight_bit(rng.random((count * scans, *[SIDE[dim] // 4] * dim)))
    for axis in range(1, dim + 1):
        pixels = pixels.repeat(4, axis=axis)
    owners = np.repeat([f"{name}{number:02d}" for number in range(count)], scans)
    return Images(pixels, owners, np.array([f"{owner}-{k % scans}" for k, owner in enumerate(owners)]))


def task(dim: int = 2, scans: int = 1, **replaced: Images) -> Splits:
    sides: dict[str, Any] = {
        "train": patients("t", PATIENTS, dim, scans),
        "holdout": patients("h", PATIENTS, dim, scans),
        "test": patients("e", 10, dim),
        "fresh": patients("f", 4, dim),
        "dev": None,
    }
    return Splits(**{**sides, **replaced}, digest="0" * 64)


class Silent(Generator):
    """A generator that tells nothing."""

    def fit(self, images: Images, *, context: Context) -> Self:
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        return self


class Telling(Silent):
    """A generator whose loss gives its members away."""

    def __init__(self, members: Images) -> None:
        self._members = set(members.patients.tolist())

    def loss(self, images: Images, *, seed: int) -> NDArray[np.float64]:
        random = np.random.default_rng(seed)
        return np.array([0.0 if p in self._members else 1.0 for p in images.patients]) + 0.01 * random.random(
            len(images)
        )


def learned(splits: Splits) -> Detector:
    return Detector.fit(splits.train.joined(splits.holdout), None, SMALL, context=Context(0))


@pytest.fixture(scope="module")
def splits() -> Splits:
    return task()


@pytest.fixture(scope="module")
def detector(splits: Splits) -> Detector:
    return learned(splits)


def measured(samples: NDArray[np.float32], splits: Splits, detector: Detector, generator: Any = None) -> Measured:
    return measure(samples, splits, detector, generator or Silent(), {})


@pytest.fixture(scope="module")
def copied(splits: Splits, detector: Detector) -> Measured:
    return measured(splits.train.pixels, splits, detector)


@pytest.fixture(scope="module")
def fresh(splits: Splits, detector: Detector) -> Measured:
    return measured(patients("n", 30).pixels, splits, detector)


def assert_sound(found: Measured) -> None:
    """Every number finite, every value within its interval, every p-value a probability."""
    for name, metric in found.metrics.items():
        ends = [end for end in (metric.low, metric.high, metric.null, metric.p_value) if end is not None]
        assert np.isfinite([metric.value, *ends]).all(), name
        assert metric.low is None or metric.low <= metric.value + 1e-9, name
        assert metric.high is None or metric.value <= metric.high + 1e-9, name
        assert metric.p_value is None or 0 < metric.p_value <= 1, name
    arrays = found.arrays()
    for name, array in arrays.items():
        assert name in ("train_score", "holdout_score") or np.isfinite(array).all(), name
    assert np.isfinite(np.maximum(arrays["train_score"], arrays["holdout_score"])).all()  # one of them is there
    assert np.isfinite(found.copies.threshold.tau)


@pytest.mark.smoke
def test_training_images_themselves_are_all_copies(copied: Measured, splits: Splits) -> None:
    assert_sound(copied)
    metrics = copied.metrics
    for name in ("copy_rate", "memorized_rate", "train_share"):
        assert metrics[name].value == 1
    assert metrics["memorized_patients"].value == PATIENTS
    assert metrics["copy_rate"].p_value is not None
    assert metrics["copy_rate"].p_value < 0.001
    assert metrics["copy_evidence"].p_value is not None
    assert metrics["copy_evidence"].p_value < 0.001
    assert copied.copies.decisions.called.all()
    assert np.array_equal(copied.copies.decisions.train_index, np.arange(PATIENTS))
    assert (copied.copies.decisions.side == 1).all()
    assert copied.copies.calls.called.all()
    assert copied.copies.calls.patient.tolist() == splits.train.patients.tolist()
    assert copied.copies.calls.patients == PATIENTS
    assert copied.copies.calls.decoys == 0
    assert metrics["fd_ssl_of_train"].value == pytest.approx(0, abs=1e-3)  # a copier is nearest to train
    assert metrics["fd_ssl_of_train"].null is not None
    assert metrics["fd_ssl_of_train"].value < metrics["fd_ssl_of_train"].null


def test_finer_values_are_measured_as_those_of_8_bit_images(
    copied: Measured, splits: Splits, detector: Detector
) -> None:
    finer = np.clip(splits.train.pixels + np.float32(0.3 / 255), 0, 1)
    assert measured(finer, splits, detector).metrics == copied.metrics


@pytest.mark.smoke
def test_new_patients_are_no_copies(fresh: Measured) -> None:
    assert_sound(fresh)
    for name in ("copy_rate", "memorized_patients", "memorized_rate", "copy_rate_corrected"):
        metric = fresh.metrics[name]
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= 0 <= metric.high
    share = fresh.metrics["train_share"]
    assert share.low is not None
    assert share.high is not None
    assert share.low <= 0.5 <= share.high
    for name in ("copy_rate", "copy_evidence"):
        p_value = fresh.metrics[name].p_value
        assert p_value is not None
        assert p_value > 0.05
    assert fresh.copies.calls.patients <= 1
    assert not fresh.metrics["memorized_ceiling"].value > PATIENTS


@pytest.mark.slow
def test_held_out_images_count_against_copies(splits: Splits, detector: Detector) -> None:
    found = measured(splits.holdout.pixels, splits, detector)
    assert_sound(found)
    assert found.metrics["copy_rate"].value == -1
    assert found.metrics["train_share"].value == 0
    assert not found.copies.calls.called.any()
    assert found.copies.calls.decoys == PATIENTS
    p_value = found.metrics["copy_rate"].p_value
    assert p_value is not None
    assert p_value > 0.95


@pytest.mark.slow
def test_half_of_each_reads_half(splits: Splits, detector: Detector) -> None:
    copies = perturb(splits.train.pixels, "noise", "weak", seed=0)
    found = measured(np.concatenate([copies, patients("n", PATIENTS).pixels]), splits, detector)
    assert_sound(found)
    rate = found.metrics["copy_rate"]
    assert rate.value == pytest.approx(0.5, abs=0.05)
    assert rate.low is not None
    assert rate.high is not None
    assert 0 < rate.low <= 0.5 <= rate.high
    assert found.copies.calls.called[:PATIENTS].all()


def test_the_challenge_has_the_detectors_own_threshold(copied: Measured, fresh: Measured) -> None:
    assert copied.challenge.thresholds["tau"] == copied.copies.threshold.tau
    assert [row.perturbation for row in copied.challenge.rows] == ["unchanged", *perturbations_for(2)]
    assert copied.metrics["sensitivity"] == copied.challenge.summary["sensitivity"]
    assert copied.challenge.rows[0].metrics["sensitivity"].value == 1
    # neither depends on what was sampled
    assert fresh.challenge == copied.challenge
    assert fresh.copies.threshold == copied.copies.threshold
    assert np.array_equal(fresh.copies.null_scores, copied.copies.null_scores)


class Grey:
    """Features that are four mean grey values."""

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return pixels.reshape(len(pixels), 4, -1).mean(axis=2)


def test_losses_and_features_stand_beside_and_change_nothing_else(
    splits: Splits, detector: Detector, fresh: Measured
) -> None:
    more = measure(patients("n", 30).pixels, splits, detector, Telling(splits.train), {"grey": Grey()})  # type: ignore[dict-item]
    assert_sound(more)
    assert {name: more.metrics[name] for name in fresh.metrics} == fresh.metrics
    assert more.metrics["membership_auc"].value == 1
    added = set(more.metrics) - set(fresh.metrics)
    assert {"fd_grey", "kid_grey", "membership_auc"} <= added
    assert all(name.startswith(("membership", "fd_", "kid_")) for name in added)
    assert all(np.array_equal(array, more.arrays()[name]) for name, array in fresh.arrays().items())


def test_what_scores_npz_holds(fresh: Measured) -> None:
    arrays = fresh.arrays()
    names = {"train_score", "train_index", "holdout_score", "holdout_index", "side", "called", "p_value"}
    assert set(arrays) == {*names, "null", "fd_ssl_by_samples", "fd_ssl_by_patients"}
    assert (arrays["fd_ssl_by_samples"].shape, arrays["fd_ssl_by_patients"].shape) == ((20,), (10,))  # blocks at most
    assert all(arrays[name].shape == (30,) for name in names)
    assert arrays["null"].shape == (2 * PATIENTS,)
    assert all(array.dtype.kind in "fib" for array in arrays.values())  # nothing that wants pickle
    assert ((arrays["train_index"] >= 0) & (arrays["train_index"] < PATIENTS)).all()


def test_all_of_quality_and_of_the_other_scores_is_there(fresh: Measured) -> None:
    expected = {"fd_ssl", "fd_ssl_of_train", "kid_ssl", "precision", "recall", "density", "coverage", "ms_ssim"}
    expected |= {"authenticity", "c_t", "fld_gap", "l2_ratio_copies", "published_n_mem", "published_n_copies"}
    assert "no fd_inf_ssl" in str(fresh.metrics["fd_ssl"].note)  # too few for an extrapolation
    expected |= {"sensitivity", "copy_rate_corrected", "memorized_patients_corrected", "memorized_ceiling"}
    assert expected <= set(fresh.metrics)
    assert not {"membership_auc", "reidentified"} & set(fresh.metrics)  # no losses, and one scan each


def test_samples_are_searched_as_deep_as_null_images(
    splits: Splits, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is verified of a sample in a part of the pool is as much as of a null image there, never twice."""
    depth: list[tuple[int, float]] = []  # in each call, queries and pairs of each

    def counted(queries: Any, *given: Any, **named: Any) -> Any:
        found = pair_scores(queries, *given, **named)
        count = len(queries.images)
        depth.append((count, len(found[0]) / count))
        return found

    monkeypatch.setattr("memobench.detection.crossfit.pair_scores", counted)
    pool = detector.matching_pool(splits.train.joined(splits.holdout))
    detector.null_scores(pool)
    of_null = [pairs for _, pairs in depth]
    depth.clear()
    match_sides(detector, patients("new", 41).pixels, pool, PATIENTS)
    assert of_null
    assert depth == [(41, pairs) for pairs in of_null]  # once in each part, for both sides together


# edges


@pytest.mark.smoke
def test_one_sample(splits: Splits, detector: Detector) -> None:
    copy = measured(splits.train.pixels[3:4], splits, detector)
    assert_sound(copy)
    assert copy.metrics["copy_rate"].value == 1
    assert copy.metrics["memorized_patients"].value == pytest.approx(1)
    assert copy.metrics["copy_rate"].low is not None
    assert copy.metrics["copy_rate"].low <= 0  # of one sample nothing is sure
    assert copy.notes[-1].startswith("quality was not measured: 1 generated images")
    assert "fd_ssl" not in copy.metrics


def test_constant_samples(splits: Splits, detector: Detector) -> None:
    blank = np.full((8, 32, 32), 0.5, dtype=np.float32)
    blank[:4] = 0.0
    found = measured(blank, splits, detector)
    assert_sound(found)
    rate = found.metrics["copy_rate"]
    assert rate.value == 0
    assert rate.p_value == 1
    assert found.metrics["train_share"].value == 0.5
    assert found.copies.blank.all()
    assert not found.copies.decisions.called.any()
    assert any(note.startswith("NOTHING TO COMPARE: all 8") for note in found.notes)


def test_even_samples_match_nobody_among_copies(splits: Splits, detector: Detector) -> None:
    samples = np.concatenate([splits.train.pixels[:6], np.full((2, 32, 32), 0.5, dtype=np.float32)])
    found = measured(samples, splits, detector)
    assert_sound(found)
    assert found.copies.calls.called.tolist() == [True] * 6 + [False] * 2
    assert found.copies.decisions.side.tolist() == [1] * 6 + [0] * 2
    assert max(found.copies.decisions.train_score[6:]) < found.copies.null_scores.min()
    assert any("samples 6, 7" in note for note in found.notes)


def test_copies_that_lie_on_their_side_are_called(splits: Splits, detector: Detector) -> None:
    new = patients("n", 12).pixels
    turned = np.ascontiguousarray(np.rot90(splits.train.pixels[:3], axes=(1, 2)))
    found = measured(np.concatenate([turned, 1 - splits.train.pixels[3:5], new]), splits, detector)
    assert found.copies.calls.called[:5].all()
    assert found.copies.calls.patient[:5].tolist() == splits.train.patients[:5].tolist()
    plain = measured(new, splits, detector)
    assert np.array_equal(found.copies.decisions.train_score[5:], plain.copies.decisions.train_score)
    assert np.array_equal(plain.copies.upright.pixels, new)


def test_one_copy_repeated_is_one_patient(splits: Splits, detector: Detector) -> None:
    found = measured(np.repeat(splits.train.pixels[:1], 10, axis=0), splits, detector)
    assert_sound(found)
    assert found.metrics["copy_rate"].value == 1
    assert found.metrics["memorized_patients"].value == pytest.approx(1)
    assert found.metrics["copy_rate"].p_value is not None
    assert found.metrics["copy_rate"].p_value > 0.3  # one patient is one toss of a coin


@pytest.mark.slow
def test_every_image_ten_times() -> None:
    def tenfold(images: Images) -> Images:
        return images.take(np.repeat(np.arange(len(images)), 10))

    plain = task(train=patients("t", 10), holdout=patients("h", 10))
    splits = replace(plain, train=tenfold(plain.train), holdout=tenfold(plain.holdout), test=tenfold(plain.test))
    found = measured(plain.train.pixels, splits, learned(splits))
    assert_sound(found)
    assert found.metrics["copy_rate"].value == 1
    assert found.metrics["memorized_rate"].value == 1  # equal images count as one
    assert found.metrics["memorized_patients"].value == 10


def test_a_pool_of_one_patient_is_refused() -> None:
    splits = task(train=patients("t", 1, scans=12), holdout=patients("h", 1, scans=12))
    with pytest.raises(DataError, match="too few"):
        learned(splits)


def test_train_and_holdout_are_searched_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = task(train=patients("t", 4, scans=8), holdout=patients("h", 4, scans=8))
    same = Images(splits.train.pixels, splits.train.patients, splits.train.patients)  # one scan of eight images
    splits = replace(splits, train=same)
    asked: list[tuple[int, int]] = []
    ours = Detector.match

    def match(self: Detector, queries: NDArray[np.float32], pool: MatchingPool, *, k: int = 1, **more: Any) -> Any:
        if len(queries) == 7 and isinstance(pool, MatchingPool):  # the leak test's search is in test's images
            asked.append((k, len(pool.images)))
        return ours(self, queries, pool, k=k, **more)

    monkeypatch.setattr(Detector, "match", match)
    measured(patients("n", 7).pixels, splits, learned(splits))
    assert asked == [(1, 64)]  # both at once


@pytest.mark.slow
def test_scans_are_found_again(detector: Detector) -> None:
    plain = task()
    other = Images(  # the same patient on another day: the same anatomy, noisier
        perturb(plain.train.pixels, "noise", "weak", seed=0),
        plain.train.patients,
        np.char.add(plain.train.scans.astype(np.str_), "-again"),
    )
    splits = replace(plain, train=plain.train.joined(other))
    found = measured(plain.train.pixels, splits, detector)
    assert_sound(found)
    assert found.metrics["reidentified"].value == 1
    assert found.challenge.other_scans == 3
    assert found.challenge.summary["reidentified"].value == 1


@pytest.mark.slow
def test_volumes() -> None:
    splits = task(dim=3, train=patients("t", 12, 3), holdout=patients("h", 12, 3))
    found = measured(splits.train.pixels[:6], splits, learned(splits))
    assert_sound(found)
    assert found.metrics["copy_rate"].value == 1
    assert [row.perturbation for row in found.challenge.rows] == ["unchanged", *perturbations_for(3)]
    assert found.challenge.rows[0].copies == 2


def test_exact_copies_are_all_called_where_patients_are_few() -> None:
    few = task(train=patients("t", 12), holdout=patients("h", 12))
    detector = learned(few)
    found = measured(few.train.pixels, few, detector)
    exact = detector.exact_scores(few.train.joined(few.holdout))
    assert found.copies.threshold.tau <= exact.min()
    np.testing.assert_allclose(found.copies.decisions.train_score, exact[: len(few.train)], atol=0.01)
    assert found.metrics["copy_rate"].value == 1
    assert found.metrics["memorized_rate"].value == pytest.approx(1)


def test_single_copies_are_certain_and_nothing_else_is(splits: Splits, detector: Detector, copied: Measured) -> None:
    samples = np.concatenate([patients("n", 12).pixels, splits.train.pixels[:2], splits.holdout.pixels[:1]])
    evidence = measured(samples, splits, detector).copies.evidence
    assert np.flatnonzero(evidence.train.certain).tolist() == [12, 13]
    assert np.flatnonzero(evidence.holdout.certain).tolist() == [14]
    assert evidence.others is not None
    assert not evidence.others.certain.any()
    assert copied.copies.evidence.train.patients == PATIENTS


def test_images_of_test_and_dev_patients_are_a_leak(splits: Splits, detector: Detector) -> None:
    samples = np.concatenate([patients("n", 8).pixels, splits.test.pixels[:3], patients("d", 4).pixels[:2]])
    with_dev = replace(splits, dev=patients("d", 4))
    found = measured(samples, with_dev, detector)
    others = found.copies.evidence.others
    assert others is not None
    assert found.metrics["leaked_patients"].value == 5
    assert np.flatnonzero(others.certain).tolist() == [8, 9, 10, 11, 12]
    assert others.patients == 5
    assert others.called == others.clusters == 5


def test_a_shifted_holdout_marks_the_p_values_that_need_exchangeability(detector: Detector) -> None:
    train, other = patients("t", PATIENTS), patients("h", PATIENTS)
    dark = Images((other.pixels * 0.3).astype(np.float32), other.patients, other.scans)
    apart = measure_copies(patients("n", 8).pixels, train, dark, detector)
    assert not apart.evidence.shift.exchangeable
    assert "not valid" in (apart.metrics["copy_rate"].note or "")
    assert any("not exchangeable" in note for note in apart.notes)
    by_design = measure_copies(patients("n", 8).pixels, train, dark, detector, Ask(by_design=True))
    assert by_design.evidence.shift.exchangeable
    assert by_design.metrics["copy_rate"].note is None
    assert by_design.metrics["copy_rate"].value == apart.metrics["copy_rate"].value
