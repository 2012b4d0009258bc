from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from memobench.data.phantom import arithmetic
from memobench.data.phantom.random import Stream


@pytest.mark.parametrize(
    ("ours", "reference", "low", "high"),
    [
        (arithmetic.exp, np.exp, -50.0, 50.0),
        (arithmetic.log, np.log, 1e-6, 1e6),
        (arithmetic.sin, np.sin, -20.0, 20.0),
        (arithmetic.cos, np.cos, -20.0, 20.0),
    ],
)
def test_functions_match_the_library(
    ours: Callable[[Any], Any], reference: Callable[[Any], Any], low: float, high: float
) -> None:
    x = np.linspace(low, high, 5001)
    np.testing.assert_allclose(ours(x), reference(x), rtol=1e-12, atol=1e-13)
    single = x.astype(np.float32)
    assert ours(single).dtype == np.float32


def test_power() -> None:
    x = np.linspace(0.0, 2.0, 101)
    np.testing.assert_allclose(arithmetic.power(x, 0.7), x**0.7, rtol=1e-12)
    assert arithmetic.power(np.zeros(1), 0.4)[0] == 0.0


def test_bytes_of_the_functions_are_fixed() -> None:
    x = Stream("arithmetic").uniforms(4096, 0.001, 6.0)
    functions = (arithmetic.exp, arithmetic.log, arithmetic.sin, arithmetic.cos)
    joined = b"".join(f(x).tobytes() for f in functions) + arithmetic.blur(x.reshape(64, 64), 1.3).tobytes()
    assert hashlib.sha256(joined).hexdigest()[:16] == "ddd987c27b6cf046"


def test_blur_keeps_constants_and_mass() -> None:
    np.testing.assert_allclose(arithmetic.blur(np.full((9, 9), 3.0), 1.5), 3.0)
    image = np.eye(9)
    assert (arithmetic.blur(image, 1.5) == arithmetic.blur(image, 1.5, 1.5)).all()
    assert (arithmetic.blur(image, 0.0, 0.0) == image).all()
    assert (arithmetic.blur(arithmetic.blur(image, 1.5, 0.0), 0.0, 2.0) == arithmetic.blur(image, 1.5, 2.0)).all()
    point = np.zeros((31, 31))
    point[15, 15] = 1.0
    blurred = arithmetic.blur(point, 2.0)
    assert blurred.sum() == pytest.approx(1.0)
    axis = np.arange(31) - 15.0
    assert (blurred * axis[:, None] ** 2).sum() == pytest.approx(4.0, rel=0.05)


def test_to_bytes_rounds_and_clips() -> None:
    assert arithmetic.to_bytes(np.array([-0.5, 0.2, 0.999, 7.0])).tolist() == [0, 51, 255, 255]
