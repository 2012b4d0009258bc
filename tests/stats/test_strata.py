"""Strata of patients from columns of their images."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.stats.strata import Strata


def test_patients_of_equal_values_stand_in_one_stratum() -> None:
    patients = np.array(["c", "a", "b", "a"])
    strata = Strata.from_columns(
        patients, {"site": np.array(["x", "x", "y", "x"]), "view": np.array(["pa", "pa", "pa", "lat"])}
    )
    assert strata.columns == ("site", "view")
    numbers = strata.numbers(np.array(["a", "b", "c"]))
    assert len(set(numbers.tolist())) == 3  # "a" has two views, so it stands alone
    alike = Strata.from_columns(patients, {"site": np.array(["x", "x", "y", "x"])}).numbers(np.array(["a", "b", "c"]))
    assert alike[0] == alike[2] != alike[1]


def test_a_patient_without_a_stratum_is_named() -> None:
    with pytest.raises(DataError, match='"b" has no value of site'):
        Strata(("site",), {"a": "x"}).numbers(np.array(["a", "b"]))
    with pytest.raises(DataError, match='column "view" has 1 values for 2 images'):
        Strata.from_columns(np.array(["a", "b"]), {"view": np.array(["pa"])})
