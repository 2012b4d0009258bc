from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from memobench.baselines._fields import check_fields, check_levels


@dataclass
class Fields:
    sides: tuple[int, ...] = (4, 4, 4)
    pair: tuple[int, ...] = (1, 2)
    count: int = 3
    rate: float = 0.0
    top_k: int = 0
    width: str = "base"
    augment: str = "none"


def check(**values: Any) -> Fields:
    fields = Fields(**values)
    check_fields(fields, lists=("sides",), pairs=("pair",), may_be_zero=("top_k",))
    return fields


def test_lists_become_tuples() -> None:
    assert check(sides=[8], pair=[1, 2]).pair == (1, 2)
    assert check(sides=[8]) == check(sides=(8,))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"count": 0}, "count is 0; give at least 1"),
        ({"sides": ()}, r"sides is \(\); give at least 1"),
        ({"sides": (4, 0)}, "at least 1"),
        ({"top_k": -1}, "top_k is -1; give at least 0"),
        ({"pair": (1,)}, "pair has 1 values; give one for 2D and one for 3D"),
        ({"width": "wide"}, 'width is "wide"'),
        ({"augment": "all"}, 'augment is "all"'),
    ],
)
def test_impossible_values_are_named(values: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check(**values)


def test_patches_lead_to_the_latent_in_steps_of_two() -> None:
    check_levels((8, 4), (4, 4), (32, 32))
    for downsampling, patch in (((12, 4), (4, 4)), ((4, 4), (8, 4)), ((8, 4), (3, 4))):
        with pytest.raises(ValueError, match="times a power of two"):
            check_levels(downsampling, patch, (32, 32))
    with pytest.raises(ValueError, match="channels has 1 levels"):
        check_levels((8, 4), (4, 4), (32,))
