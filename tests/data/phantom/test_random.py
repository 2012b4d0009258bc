from __future__ import annotations

import hashlib

import numpy as np
import pytest
from memobench.data.phantom.random import Numbers, Stream


def test_bits_are_fixed() -> None:
    digest = hashlib.sha256(Stream("chest", 1, 2).uniforms(100).tobytes()).hexdigest()
    normal = hashlib.sha256(Stream("chest", 1, 2).normals(101).tobytes()).hexdigest()
    assert digest[:16] == "0bb919ae073eedba"
    assert normal[:16] == "a16f79107757e9d0"


def test_names_are_told_apart() -> None:
    drawn = {Stream(*names).uniform() for names in (("a", 1), ("a", 11), ("a", 1, 1), ("b", 1), ("a1",), ("a",))}
    assert len(drawn) == 6


def test_moments() -> None:
    s = Stream("moments")
    u, n = s.uniforms(40000), s.normals(40000, 2.0)
    assert u.min() >= 0.0
    assert u.max() < 1.0
    assert u.mean() == pytest.approx(0.5, abs=0.01)
    assert n.mean() == pytest.approx(0.0, abs=0.04)
    assert n.std() == pytest.approx(2.0, rel=0.02)
    assert np.isfinite(n).all()


def test_single_numbers_keep_to_their_ranges() -> None:
    for numbers in (Stream("single"), Numbers(Stream("single"), 400)):
        drawn = [numbers.integer(2, 5) for _ in range(100)]
        assert set(drawn) == {2, 3, 4}
        assert all(-1.0 <= numbers.normal(0.0, 3.0, -1.0, 1.0) <= 1.0 for _ in range(100))
        assert all(3.0 <= numbers.uniform(3.0, 4.0) < 4.0 for _ in range(100))
        assert 5 < sum(numbers.chance(0.3) for _ in range(100)) < 60


def test_prepared_numbers_run_out_loudly() -> None:
    numbers = Numbers(Stream("short"), 2)
    numbers.uniform(), numbers.uniform()
    with pytest.raises(StopIteration):
        numbers.uniform()
