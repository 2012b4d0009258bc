"""The anatomy of one patient's knee: its random parameters.

Coordinates are in millimetres about the centre of the joint: x from medial to lateral, y downward, z backward.
Means are those of an adult's knee, rounded; spreads are wider than in one sex and age, as in a collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from memobench.data.phantom.random import Numbers, Stream

VERSION = "1"


def vary(mean: float, spread: float) -> Any:
    """A continuous parameter: normal about a mean, clipped at 2.5 spreads."""
    return field(default=mean, metadata={"spread": spread})


def choose(*values: int) -> Any:
    """A discrete parameter: one of the values, each as likely (repeat a value to make it likelier)."""
    return field(default=values[0], metadata={"values": values})


@dataclass(frozen=True)
class Knee:
    """Everything that stays the same between two scans of one patient; lengths in mm, the rest relative."""

    patient: int
    seed: int
    size: float = vary(1.0, 0.07)
    # femur
    femur_shaft: float = vary(14.5, 1.6)
    femur_flare: float = vary(1.0, 0.10)
    femur_lean: float = vary(0.04, 0.05)
    condyle_height: float = vary(22.0, 1.8)
    condyle_depth: float = vary(29.0, 2.4)
    condyle_width: float = vary(16.0, 1.3)
    condyle_spacing: float = vary(23.0, 1.6)
    condyle_back: float = vary(4.0, 2.2)
    medial_larger: float = vary(1.04, 0.05)
    notch_width: float = vary(9.0, 1.5)
    notch_height: float = vary(21.0, 2.6)
    notch_front: float = vary(3.0, 2.5)
    trochlea: float = vary(19.0, 2.2)
    # tibia and fibula
    tibia_width: float = vary(38.0, 2.4)
    tibia_depth: float = vary(25.0, 2.0)
    tibia_taper: float = vary(1.0, 0.10)
    tibia_slope: float = vary(0.10, 0.06)
    tibia_back: float = vary(3.0, 2.0)
    tibia_lean: float = vary(0.03, 0.05)
    eminence: float = vary(7.0, 1.4)
    tuberosity: float = vary(8.0, 1.8)
    tuberosity_drop: float = vary(37.0, 3.5)
    fibula: float = vary(8.0, 1.2)
    fibula_drop: float = vary(22.0, 4.0)
    # patella and tendons
    patella_height: float = vary(20.0, 2.0)
    patella_depth: float = vary(10.0, 1.1)
    patella_width: float = vary(21.0, 2.0)
    patella_rise: float = vary(26.0, 5.0)
    patella_tilt: float = vary(0.06, 0.10)
    tendon: float = vary(2.3, 0.5)
    quadriceps_tendon: float = vary(3.2, 0.7)
    # joint
    cartilage_femur: float = vary(2.4, 0.6)
    cartilage_tibia: float = vary(2.6, 0.6)
    cartilage_patella: float = vary(3.2, 0.8)
    defect_place: float = vary(0.0, 12.0)
    defect_size: float = vary(6.0, 2.0)
    meniscus_height: float = vary(7.0, 1.1)
    meniscus_reach: float = vary(10.0, 1.5)
    tear_place: float = vary(0.0, 4.0)
    cruciate: float = vary(3.6, 0.7)
    cruciate_bow: float = vary(5.0, 2.5)
    effusion: float = vary(3.5, 3.0)
    recess: float = vary(5.0, 2.0)
    pad_strands: float = vary(0.25, 0.12)
    # soft tissue
    front: float = vary(0.0, 3.0)
    back: float = vary(0.0, 4.0)
    thigh: float = vary(0.0, 5.0)
    girth: float = vary(0.0, 4.0)
    fat_front: float = vary(6.0, 3.0)
    fat_back: float = vary(9.0, 4.5)
    fat_between: float = vary(3.0, 1.5)
    calf: float = vary(0.0, 3.0)
    calf_start: float = vary(-26.0, 6.0)
    hamstring: float = vary(0.0, 2.4)
    hamstring_end: float = vary(6.0, 8.0)
    vastus: float = vary(0.0, 3.0)
    vastus_end: float = vary(-24.0, 8.0)
    popliteus: float = vary(7.5, 1.5)
    vessel: float = vary(4.0, 0.8)
    vessel_shift: float = vary(0.0, 5.0)
    marbling: float = vary(0.10, 0.06)
    # bone
    marrow: float = vary(0.95, 0.05)
    red_marrow: float = vary(0.09, 0.06)
    trabeculae: float = vary(0.035, 0.015)
    cortex: float = vary(1.3, 0.3)
    plate: float = vary(0.15, 0.12)
    oedema_x: float = vary(0.0, 16.0)
    oedema_y: float = vary(0.0, 16.0)
    oedema_z: float = vary(0.0, 14.0)
    oedema_size: float = vary(12.0, 3.0)
    cyst: float = vary(9.0, 3.0)
    side: int = choose(-1, 1)
    torn: int = choose(0, 0, 0, 1, 2)
    defect: int = choose(0, 0, -1, 1)
    oedema: int = choose(0, 0, 0, 1)
    baker_cyst: int = choose(0, 0, 0, 0, 1)
    cruciate_torn: int = choose(0, 0, 0, 0, 0, 1)
    bright_vessels: int = choose(0, 0, 1)

    @classmethod
    def of(cls, patient: int, seed: int = 0) -> Knee:
        """The anatomy of a patient, fixed by (version, seed, patient)."""
        known = [item for item in fields(cls) if item.metadata]
        numbers = Numbers(Stream("knee", VERSION, seed, patient), len(known))
        values: dict[str, Any] = {}
        for item in known:
            if "spread" in item.metadata:
                mean, spread = float(item.default), item.metadata["spread"]  # type: ignore[arg-type]  # all have one
                values[item.name] = numbers.normal(mean, spread, mean - 2.5 * spread, mean + 2.5 * spread)
            else:
                choices = item.metadata["values"]
                values[item.name] = choices[numbers.integer(0, len(choices))]
        return cls(patient, seed, **values)

    def stream(self, *names: str | int) -> Stream:
        """Random numbers of a named part of this patient."""
        return Stream("knee", VERSION, self.seed, self.patient, *names)
