"""Arithmetic that gives the same bytes on every platform.

The phantom promises its images to the byte. Libraries' ``exp``, ``sin`` and matrix products differ in the last bit
between processors, and a last bit moves a rounded pixel. Everything the phantom computes is therefore built from the
operations that IEEE 754 rounds exactly (``+ - * /``, ``sqrt``, comparisons, ``ldexp``), one array operation at a
time, in float64 or float32, and never from BLAS, ``einsum``, ``np.sum`` over floats or a library's transcendentals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_LN2_HIGH = 0.693145751953125
_LN2_LOW = 1.42860682030941723212e-06
_INVERSE_LN2 = 1.4426950408889634074
_TWO_PI = 6.283185307179586
_LOG_SERIES = tuple(1.0 / (2 * k + 1) for k in range(11))


def clip(x: Array, low: Array | float, high: Array | float) -> Array:
    """An array kept between two limits: what ``np.clip`` gives, sooner for small arrays.

    >>> clip(np.array([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    clipped: Array = np.minimum(np.maximum(x, low), high)
    return clipped


def exp(x: Array) -> Array:
    """Exponential of an array, to about 1e-15 relative in float64 (1e-7 in float32).

    >>> [round(float(v), 12) for v in exp(np.array([-1.0, 0.0, 2.0]))]
    [0.367879441171, 1.0, 7.389056098931]
    """
    x = clip(x, -87.0, 87.0)
    k = np.rint(x * x.dtype.type(_INVERSE_LN2))
    r = (x - k * x.dtype.type(_LN2_HIGH)) - k * x.dtype.type(_LN2_LOW)  # |r| <= ln(2) / 2
    terms = 13 if x.dtype == np.float64 else 7
    total = np.ones_like(r)
    for n in range(terms, 0, -1):  # in place, here and below: memory is what costs
        total *= r
        total /= n
        total += 1
    scaled: Array = np.ldexp(total, k.astype(np.int32))
    return scaled


def log(x: Array) -> Array:
    """Natural logarithm of positive numbers, by the series of atanh after taking out the power of two.

    >>> [round(float(v), 12) for v in log(np.array([0.5, 1.0, 10.0]))]
    [-0.69314718056, 0.0, 2.302585092994]
    """
    mantissa, exponent = np.frexp(x)  # mantissa in [0.5, 1)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2, mantissa)
    exponent = exponent - small
    s = (mantissa - 1) / (mantissa + 1)  # |s| <= 0.172
    square = s * s
    total = np.zeros_like(s)
    for c in reversed(_LOG_SERIES):
        total *= square
        total += x.dtype.type(c)
    whole: Array = exponent.astype(x.dtype) * x.dtype.type(0.6931471805599453)
    logarithm: Array = 2 * s * total + whole
    return logarithm


def sin(x: Array) -> Array:
    """Sine of an array of angles in radians (moderate size), by its Taylor series on [-pi/2, pi/2].

    >>> [round(float(v), 12) for v in sin(np.array([0.5, 3.0, -7.0]))]
    [0.479425538604, 0.14112000806, -0.656986598719]
    """
    turns = np.rint(x / x.dtype.type(_TWO_PI))
    r = x - turns * x.dtype.type(_TWO_PI)  # [-pi, pi]
    half = x.dtype.type(_TWO_PI / 2)
    r = np.where(r > half / 2, half - r, np.where(r < -half / 2, -half - r, r))
    square = r * r
    total = np.ones_like(r)
    for n in range(19, 1, -2):
        total *= square
        total /= n * (n - 1)
        np.subtract(1, total, out=total)
    return r * total


def cos(x: Array) -> Array:
    """Cosine of an array of angles in radians.

    >>> [round(float(v), 12) for v in cos(np.array([0.5, 3.0]))]
    [0.87758256189, -0.9899924966]
    """
    return sin(x + x.dtype.type(_TWO_PI / 4))


def power(x: Array, exponent: float) -> Array:
    """A non-negative array to a power: ``exp(exponent * log(x))``, and 0 where x is 0.

    >>> [round(float(v), 10) for v in power(np.array([0.0, 4.0]), 0.5)]
    [0.0, 2.0]
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    positive = x > 0
    return np.where(positive, exp(x.dtype.type(exponent) * log(np.where(positive, x, one))), zero)


def smooth_step(x: Array) -> Array:
    """0 below 0, 1 above 1, and ``3 x^2 - 2 x^3`` between: the soft edge of every surface.

    >>> smooth_step(np.array([-1.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.minimum(np.maximum(x, 0), 1)
    step: Array = x * x * (3 - 2 * x)
    return step


def blur(image: Array, *sigmas: float) -> Array:
    """Gaussian blur along every axis with clamped borders, sigma in pixels, by shifted sums.

    Args:
        image: Of any dimension.
        sigmas: One for all axes, or one for each.

    >>> blur(np.eye(5), 0.0) is not None, blur(np.ones((5, 5)), 0.0, 1.0).sum(axis=1).round(9).tolist()
    (True, [5.0, 5.0, 5.0, 5.0, 5.0])
    """
    for axis, sigma in enumerate(sigmas * image.ndim if len(sigmas) == 1 else sigmas):
        if sigma <= 0:
            continue
        radius = max(1, int(np.ceil(3 * sigma)))
        weights = exp(-0.5 * (np.arange(-radius, radius + 1, dtype=np.float64) / sigma) ** 2)
        total = 0.0
        for w in weights.tolist():
            total += w
        side = image.shape[axis]
        padded = image.take(np.clip(np.arange(-radius, side + radius), 0, side - 1), axis=axis).swapaxes(0, axis)
        out = np.zeros_like(image)
        for i, w in enumerate(weights.tolist()):
            out += (padded[i : i + side] * image.dtype.type(w / total)).swapaxes(0, axis)
        image = out
    return image


def to_bytes(image: Array) -> NDArray[np.uint8]:
    """Round values of [0, 1] to 0..255, clipping what lies outside.

    >>> to_bytes(np.array([-1.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
