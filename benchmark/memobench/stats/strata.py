"""Strata: within what values of a column (site, view, scanner) labels are exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError


@dataclass(frozen=True)
class Strata:
    """Within what labels are exchanged.

    Attributes:
        columns: Names of the columns that the strata come from.
        of: For each patient of both sides, its stratum.
    """

    columns: tuple[str, ...]
    of: Mapping[str, str]

    @classmethod
    def from_columns(cls, patients: NDArray[np.str_], columns: Mapping[str, NDArray[np.str_]]) -> Self:
        """The strata of the patients of both sides, from values of their images.

        A patient whose images differ in a column has all their values as a stratum.

        Args:
            patients: (N,) the patient of each image of both sides.
            columns: By name, (N,) values.

        Raises:
            DataError: A column has not one value for each image.

        >>> Strata.from_columns(np.array(["a", "a", "b"]), {"view": np.array(["pa", "lat", "pa"])}).of
        {'a': 'lat+pa', 'b': 'pa'}
        """
        for name, values in columns.items():
            if len(values) != len(patients):
                raise DataError(
                    f'column "{name}" has {len(values)} values for {len(patients)} images; give one for each'
                )
        found: dict[str, list[set[str]]] = {}
        for number, values in enumerate(columns.values()):
            for patient, value in zip(patients.tolist(), values.tolist(), strict=True):
                found.setdefault(patient, [set() for _ in columns])[number].add(str(value))
        return cls(
            tuple(columns), {who: " / ".join("+".join(sorted(one)) for one in own) for who, own in found.items()}
        )

    def numbers(self, names: NDArray[np.str_]) -> NDArray[np.int64]:
        """(P,) a number for the stratum of each patient.

        Raises:
            DataError: A patient has none.
        """
        missing = [name for name in names.tolist() if name not in self.of]
        if missing:
            raise DataError(f'patient "{missing[0]}" has no value of {", ".join(self.columns)}; give one for each')
        return np.unique([self.of[name] for name in names.tolist()], return_inverse=True)[1].reshape(-1)
