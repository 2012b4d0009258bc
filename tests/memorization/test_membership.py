from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.membership import auc, member_halves, membership, true_positive_rate
from sklearn.metrics import roc_auc_score, roc_curve

RATES = {"membership_tpr_at_1_fpr": 0.01, "membership_tpr_at_0_1_fpr": 0.001}


def _draw(seed: int, effect: float = 0.0, patients: int = 60, scans: int = 3):  # type: ignore[no-untyped-def]
    """Losses of train, holdout and test: half of the spread is the patient's, members' losses are lower."""
    rng = np.random.default_rng(seed)
    losses, names = [], []
    for shift in (-effect, 0.0, 0.0):
        owner = np.repeat(np.arange(patients), rng.integers(1, scans + 1, size=patients))
        losses.append(rng.normal(size=patients)[owner] + rng.normal(size=len(owner)) + shift)
        names.append(np.char.add(f"{len(names)}-", owner.astype(str)))
    return losses, dict(zip(["train_patients", "holdout_patients", "test_patients"], names, strict=True))


@pytest.mark.parametrize("levels", [4, 50, 100_000])
def test_agrees_with_scikit_learn(levels: int) -> None:
    rng = np.random.default_rng(levels)
    members, others = rng.integers(levels, size=170), rng.integers(levels, size=230) + levels // 5
    label = np.repeat([1, 0], [170, 230])
    score = -np.concatenate([members, others]).astype(float)
    assert auc(members, others) == pytest.approx(roc_auc_score(label, score), rel=1e-12)
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    for rate in (0, 0.001, 0.01, 0.05, 0.3):
        assert true_positive_rate(members, others, rate) == pytest.approx(true[false <= rate].max(), rel=1e-12)


def test_worked_out() -> None:
    # pairs in which the member is lower: 2 of 2, 1.5 of 2
    assert auc([1.0, 2.0], [2.0, 3.0]) == 3.5 / 4
    members, others = np.array([0.0, 1.0, 2.0, 3.0]), np.arange(0.5, 200)  # 0.5, 1.5, ...
    # 1% of 200 are two false positives, 0.5 and 1.5: members below 2.5; 0.1% of 200 are none: members below 0.5
    assert true_positive_rate(members, others, 0.01) == 0.75
    assert true_positive_rate(members, others, 0.001) == 0.25
    # a member with the loss of the image that must not be found is not found
    assert true_positive_rate([0.5], others, 0.001) == 0.0


def test_interval_and_p_value_without_membership() -> None:
    covered, p_values = 0, []
    for seed in range(40):
        losses, patients = _draw(seed)
        metric = membership(*losses, **patients, seed=seed)["membership_auc"]
        assert metric.low is not None
        assert metric.high is not None
        assert metric.p_value is not None
        covered += metric.low <= 0.5 <= metric.high
        p_values.append(metric.p_value)
    assert covered >= 35
    assert sum(p < 0.05 for p in p_values) <= 6
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)


def test_membership_is_seen_and_members_do_not_differ_from_members() -> None:
    losses, patients = _draw(0, effect=2.0)
    metrics = membership(*losses, **patients, seed=0)
    attack, control = metrics["membership_auc"], metrics["membership_auc_members"]
    assert attack.p_value is not None
    assert attack.p_value < 0.001
    assert control.high is not None
    assert control.low is not None
    assert attack.value > control.high
    assert control.low < 0.5 < control.high
    assert attack.null == auc(losses[2], losses[1])
    for name, rate in RATES.items():
        assert metrics[name].value == pytest.approx(true_positive_rate(losses[0], losses[1], rate))
        assert metrics[name].null == true_positive_rate(losses[2], losses[1], rate)
        assert metrics[name].low <= metrics[name].value <= metrics[name].high
    assert "resolve no rate of 0.1%" in str(metrics["membership_tpr_at_0_1_fpr"].note)


def test_a_split_bias_shows_in_the_null() -> None:
    # holdout was collected otherwise than train and test, and nothing was learned by heart
    losses, patients = _draw(1)
    losses[1] = losses[1] + 4.0
    metric = membership(*losses, **patients, seed=0)["membership_auc"]
    assert metric.null is not None
    assert metric.value > 0.8
    assert metric.null > 0.8


def test_halves_keep_patients_together() -> None:
    # two patients of very different losses: each split separates them fully, one way or the other
    halves = member_halves([1.0, 1.1, 1.2, 9.0, 9.1], np.array(["a", "a", "a", "b", "b"]), seed=0)
    assert set(halves) == {0.0, 1.0}


def test_perfect_separation_has_an_interval_and_equal_losses_are_no_evidence() -> None:
    losses, patients = _draw(2, effect=50.0)
    metric = membership(*losses, **patients, seed=0)["membership_auc"]
    assert metric.value == metric.high == 1.0
    assert metric.low is not None
    assert 0.9 < metric.low < 1
    equal = [np.ones(len(values)) for values in losses]
    metrics = membership(*equal, **patients, seed=0)
    assert metrics["membership_auc"].value == 0.5
    assert metrics["membership_auc"].p_value == 1.0
    assert metrics["membership_tpr_at_1_fpr"].value == 0.0


def test_what_cannot_be_measured_is_refused() -> None:
    losses, patients = _draw(3)
    with pytest.raises(DataError, match="losses of train hold 1 NaN"):
        membership(np.append(losses[0][1:], np.nan), losses[1], losses[2], **patients, seed=0)
    one = {**patients, "holdout_patients": np.full(len(losses[1]), "x")}
    with pytest.raises(DataError, match="holdout images are of one patient"):
        membership(*losses, **one, seed=0)
    with pytest.raises(DataError, match="patients of"):
        membership(losses[0][1:], losses[1], losses[2], **patients, seed=0)
    with pytest.raises(DataError, match="one image at least"):
        auc([], [1.0])
    with pytest.raises(ValueError, match="outside"):
        true_positive_rate([1.0], [2.0], 1.0)
