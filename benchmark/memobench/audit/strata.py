"""Strata of an audit: columns of the manifests within whose values train and holdout can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from memobench.base.errors import UsageError
from memobench.data.files.inspect import Inspection
from memobench.data.manifest import manifest_columns
from memobench.images import Images
from memobench.stats.strata import Strata

REAL = ("train", "holdout")


def strata_of(found: Mapping[str, Inspection], images: Mapping[str, Images], columns: Sequence[str]) -> Strata | None:
    """The strata of the patients of both real sides; None where none are asked for.

    Args:
        found: The folders, by side.
        images: Their images, in the same order.
        columns: Names of columns that both manifests have.

    Raises:
        UsageError: Strata are asked for without a holdout.
        DataError: A folder has no manifest, or its manifest lacks a column.
    """
    if not columns:
        return None
    if "holdout" not in found:
        raise UsageError("--strata compares train with held-out patients; give --holdout too, or leave --strata out")
    values: list[tuple[str, ...]] = []
    for side in REAL:
        table = manifest_columns(found[side].root, columns)
        values += [table[item.file] for item in found[side].items]
    patients = np.concatenate([images[side].patients for side in REAL])
    return Strata.from_columns(
        patients, {name: np.array([row[k] for row in values], dtype=np.str_) for k, name in enumerate(columns)}
    )
