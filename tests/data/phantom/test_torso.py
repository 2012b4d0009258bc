from __future__ import annotations

from dataclasses import fields

import numpy as np
from memobench.data.phantom import bones, torso


def test_anatomy_has_many_continuous_and_discrete_parameters() -> None:
    drawn = [torso.anatomy(patient) for patient in range(60)]
    names = [f.name for f in fields(torso.Anatomy)]
    continuous = [n for n in names if isinstance(getattr(drawn[0], n), float)]
    # a parameter counts where patients differ in it
    assert sum(len({getattr(a, n) for a in drawn}) > 20 for n in continuous) >= 40
    discrete = [n for n in names if n not in continuous and n not in ("patient", "seed")]
    assert sum(len({getattr(a, n) for a in drawn}) > 1 for n in discrete) >= 8


def test_anatomy_is_fixed_by_patient_and_seed() -> None:
    assert torso.anatomy(5) == torso.anatomy(5)
    assert torso.anatomy(5, seed=1).width != torso.anatomy(5, seed=0).width
    assert torso.anatomy(5).width != torso.anatomy(6).width


def test_solids_are_closed_and_nested() -> None:
    height = np.linspace(-100.0, 100.0, 21)
    for patient in range(20):
        a = torso.anatomy(patient)
        rows = torso.solids(a)(height)
        assert rows.shape == (4 * len(torso.SOLIDS), 21)
        assert np.isfinite(rows).all()
        inside = (height > a.base + 30.0) & (height < a.apex - 30.0)
        assert (rows[2] > rows[6])[inside].all()  # the body is wider than its cavity


def test_deeper_breath_lowers_the_diaphragm() -> None:
    a = torso.anatomy(2)
    k = 4 * torso.SOLIDS.index("dome_right")
    height = np.linspace(a.base, a.base + a.dome_right + 10.0, 40)
    # beyond its tip a profile may swing below 0, which is as closed as 0
    deep, usual = (np.maximum(torso.solids(a, breath)(height)[k + 2], 0.0) for breath in (8.0, 0.0))
    assert (deep <= usual + 2.0).all()
    assert deep.sum() < usual.sum() - 20.0


def test_vessels_stay_in_the_cavity_and_coarse_trees_begin_fine_ones() -> None:
    a = torso.anatomy(1)
    few, many = torso.vessels(a, 4), torso.vessels(a, 6)
    assert 40 < len(few.start) < len(many.start)
    np.testing.assert_array_equal(many.start[: len(few.start)], few.start)
    wide, deep = torso.cage(a, many.end[:, 1])
    x, z = many.end[:, 0] / np.maximum(wide, 1.0), many.end[:, 2] / np.maximum(deep, 1.0)
    assert (x * x + z * z < 1.0).all()


def test_ribs_are_paired_and_follow_the_count() -> None:
    for patient in range(6):
        a = torso.anatomy(patient)
        ribs = bones.ribs(a)
        per_side = sum(11 if k < 10 else 6 - 2 * (k - 10) for k in range(a.rib_count))
        assert len(ribs.start) == 2 * per_side
        assert (ribs.hollow < ribs.radius).all()
