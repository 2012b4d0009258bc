"""Whether two sets of a model's fields say the same, where the newer code has fields that the older had not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any


def defaults_of(kind: Any) -> dict[str, Any]:
    """The defaults of a dataclass's fields, as JSON gives them back."""
    values = {one.name: one.default for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING}
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found


def same_fields(older: Mapping[str, Any], newer: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Whether newer fields are the older ones, and whatever was added since has its default.

    A default is what the code did before there was the field; that it still does so, the ledger's rows prove.

    Args:
        older: Values by name, as a stored result has them.
        newer: Those of the present code.
        defaults: Of the present code's fields.

    >>> same_fields({"steps": 5}, {"steps": 5, "extra": 0}, {"steps": 9, "extra": 0})
    True
    >>> same_fields({"steps": 5}, {"steps": 5, "extra": 1}, {"steps": 9, "extra": 0})
    False
    """
    known = {name: value for name, value in newer.items() if name in older or value != defaults.get(name, value)}
    return known == dict(older)
