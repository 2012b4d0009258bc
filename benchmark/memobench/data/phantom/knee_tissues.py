"""The tissues of a knee, painted at given points from back to front: fat, muscle, vessels, joint, bones, ligaments.

Coordinates are those of ``knee``. Deterministic to the byte on every platform: see ``arithmetic`` for what may be
used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic
from memobench.data.phantom.knee import Knee
from memobench.data.phantom.points import Place, Points, cosine_and_sine, ripples, smooth_union
from memobench.data.phantom.shapes import Floats, Profiles

Layer = tuple[str, Floats]


@dataclass(frozen=True)
class Bent:
    """The joint at some flexion: what lies below turns backward about the origin.

    Attributes:
        above: Points in the frame of the femur and the patella.
        below: The same points in the frame of the tibia.
        flexion: Radians.
    """

    above: Points
    below: Points
    flexion: float

    def of_tibia(self, y: float, z: float) -> tuple[float, float]:
        """A place of the tibia's frame, (y, z) in the femur's."""
        cosine, sine = cosine_and_sine(self.flexion)
        return cosine * y - sine * z, sine * y + cosine * z


@dataclass(frozen=True)
class Hull:
    """What the leg's surfaces are at points (N,), in mm, negative inside.

    Attributes:
        skin: Distance beyond the skin.
        deep: Distance beyond the fascia that wraps the muscles.
        soft: A smooth random field that makes both uneven.
    """

    skin: Floats
    deep: Floats
    soft: Floats

    def take(self, chosen: NDArray[np.bool_]) -> Hull:
        """The same at some of the points."""
        return Hull(self.skin[chosen], self.deep[chosen], self.soft[chosen])


def hull(knee: Knee, points: Points, flexion: float) -> Hull:
    """The surfaces of the leg: see ``layers`` for the arguments."""
    soft = ripples(knee.stream("surface"), points, 4, 22.0, 60.0)
    _, sine = cosine_and_sine(flexion)
    # the outline bends without a kink
    z = points.z - sine * 0.5 * (points.y + np.sqrt(points.y * points.y + 400.0))
    front, back, half_x = _outline(knee)(points.y)
    bent = Points(points.x, points.y, z, points.edge)
    deep = bent.column(0.0, (front + back) * 0.5, half_x, (back - front) * 0.5) + 0.8 * soft
    behind = arithmetic.smooth_step((z + 30.0) * (1.0 / 60.0))
    skin = deep - max(knee.fat_front, 1.5) * (1.0 - behind) - max(knee.fat_back, 2.0) * behind - 0.6 * soft
    return Hull(skin, deep, soft)


def layers(knee: Knee, points: Points, flexion: float, surfaces: Hull) -> Iterator[Layer]:
    """Tissues from back to front: a tissue's name and how much of each point it takes, in [0, 1].

    Args:
        knee: The anatomy.
        points: Where to paint, (N,); x already points to this patient's lateral side.
        flexion: Bend of the joint in radians.
        surfaces: The leg's surfaces there.
    """
    bent = Bent(points, points.turned(-flexion), flexion)
    texture, soft = knee.stream("texture"), surfaces.soft
    fibres = ripples(texture, points, 6, 4.0, 12.0, along=0.25)
    patches = ripples(texture, points, 4, 14.0, 45.0)
    grain = ripples(texture, points, 7, 3.5, 9.0)
    yield from _soft_tissue(knee, bent, surfaces, fibres, patches)
    femur, tibia, patella = _femur(knee, bent.above), _tibia(knee, bent.below), _patella(knee, bent.above)
    yield from _fluid(knee, bent, soft)
    yield from _cartilage(knee, bent, femur, tibia, patella)
    yield from _menisci(knee, bent.below)
    yield from _bones(knee, bent, (femur, tibia, patella), patches, grain)
    yield from _ligaments(knee, bent)


def _soft_tissue(knee: Knee, bent: Bent, surfaces: Hull, fibres: Floats, patches: Floats) -> Iterator[Layer]:
    p, below = bent.above, bent.below
    skin, deep, soft = surfaces.skin, surfaces.deep, surfaces.soft
    body = p.inside(skin)
    yield "fat", body
    yield "muscle", body * np.clip(0.05 + 0.05 * patches + 0.04 * fibres, 0.0, 0.25)
    yield "skin", p.band(skin + 0.9, 0.9)
    yield "fascia", p.band(skin + 4.5 + 1.8 * fibres, 0.35) * p.inside(-deep) * 0.5
    yield "fascia", p.band(deep, 0.5) * 0.6
    bundles = np.clip(0.5 + fibres * 0.6, 0.0, 1.0) * (1.6 * max(knee.marbling, 0.0))
    for muscle in _muscles(knee, p, below):
        limited = np.maximum(muscle + 0.9 * soft, deep + 1.0)
        yield "fascia", p.band(limited, 0.5) * 0.5
        inside = p.inside(limited + 0.4)
        yield "muscle", inside
        yield "fat", inside * bundles
    shift = knee.vessel_shift
    artery = _vessel(p, (shift, 33.0), (shift + 4.0, 40.0), knee.vessel * 0.9)
    vein = _vessel(p, (shift + 6.0, 41.0), (shift + 8.0, 47.0), knee.vessel)
    yield "fascia", p.band(np.minimum(artery, vein), 0.7)
    yield "blood" if knee.bright_vessels else "void", p.inside(artery) * 0.9
    yield "blood", p.inside(vein)
    if knee.baker_cyst:
        yield "fluid", p.inside(p.ellipsoid((-17.0, 6.0, 46.0), (knee.cyst, 2.0 * knee.cyst, 0.75 * knee.cyst)) + soft)


def _vessel(p: Points, end: tuple[float, float], middle: tuple[float, float], radius: float) -> Floats:
    """Distance beyond a vessel that runs down behind the joint; (x, z) far above, and at the joint."""
    knot = (middle[0], -4.0, middle[1])
    upper = p.tube((end[0], -120.0, end[1] - 6.0), knot, radius, radius)
    return np.minimum(upper, p.tube(knot, (end[0] + 3.0, 120.0, end[1] + 3.0), radius, radius * 0.8))


def _outline(knee: Knee) -> Profiles:
    """Front, back and half width of what the deep fascia wraps, at heights from -90 to 90 mm."""
    front = np.array([-64.0, -60.0, -57.0, -48.0, -40.0, -35.0, -33.0]) - knee.front
    front = front - knee.thigh * np.array([1.0, 0.6, 0.1, 0.0, 0.0, 0.0, 0.0])
    back = np.array([62.0, 56.0, 49.0, 46.0, 51.0, 56.0, 55.0]) + knee.back
    back = back + knee.thigh * np.array([0.8, 0.5, 0.1, 0.0, 0.0, 0.0, 0.0])
    back = back + knee.calf * np.array([0.0, 0.0, 0.0, 0.3, 1.0, 1.5, 1.5])
    half = np.array([66.0, 61.0, 55.0, 51.0, 51.0, 50.0, 48.0]) + knee.girth
    return Profiles(np.stack([front, back, half]), -90.0, 30.0)


def _muscles(knee: Knee, p: Points, below: Points) -> Iterator[Floats]:
    """Distances beyond the bellies that are near."""
    up, low, ham, end, gap = knee.vastus, knee.calf, knee.hamstring, knee.hamstring_end, knee.fat_between
    rows: tuple[tuple[Points, Place, Place, float, float, float], ...] = (
        (p, (0.0, -58.0, -24.0), (0.0, -115.0, -26.0), 3.0, 22.0 + up, 1.6),  # vastus intermedius
        (p, (0.0, -72.0, -46.0), (0.0, -125.0, -50.0), 2.0, 13.0 + up, 1.3),  # rectus femoris
        (p, (-30.0, knee.vastus_end, -24.0), (-22.0, -110.0, -30.0), 8.0, 28.0 + up, 1.0),  # vastus medialis
        (p, (32.0, knee.vastus_end - 12.0, -22.0), (24.0, -110.0, -26.0), 8.0, 28.0 + up, 1.0),  # vastus lateralis
        (p, (12.0, -50.0, 16.0), (10.0, -115.0, 20.0), 3.0, 19.0 + ham, 1.6),  # biceps, short head
        (p, (-36.0, end + 14.0, 34.0), (-34.0, -120.0, 32.0), 5.0, 13.0 + ham, 1.0),  # sartorius and gracilis
        (p, (-20.0, end + 4.0, 40.0), (-13.0 - gap, -110.0, 42.0), 5.0, 23.0 + ham, 1.0),  # semimembranosus
        (p, (-17.0, end + 20.0, 52.0), (-8.0 - gap, -120.0, 60.0), 2.0, 12.0 + ham, 1.0),  # semitendinosus
        (p, (31.0, end + 10.0, 36.0), (15.0 + gap, -110.0, 44.0), 5.0, 23.0 + ham, 1.0),  # biceps femoris
        (below, (22.0, 2.0, 31.0), (-10.0, 46.0, 22.0), 4.0, knee.popliteus + 2.0, 1.9),  # popliteus
        (below, (6.0, 40.0, 24.0), (4.0, 100.0, 20.0), 6.0, 22.0 + low, 1.9),  # soleus and the deep flexors
        (below, (-19.0, knee.calf_start, 40.0), (-15.0, 90.0, 44.0), 6.5, 20.0 + low, 1.25),  # gastrocnemius, medial
        (below, (20.0, knee.calf_start + 2.0, 39.0), (16.0, 90.0, 43.0), 6.5, 19.0 + low, 1.25),  # and lateral
        (below, (26.0, 22.0, -6.0), (24.0, 100.0, -8.0), 5.0, 18.0 + low, 1.0),  # tibialis anterior
    )
    for where, start, stop, first, last, flat in rows:
        distance = where.tube(start, stop, first, last, flat)
        if distance.ndim:
            yield distance


def _femur(knee: Knee, p: Points) -> Floats:
    """Distance beyond the femur: shaft and flare, two condyles and the trochlea, less the intercondylar notch."""
    shaft, flare = knee.femur_shaft, knee.femur_flare
    wide = np.concatenate([shaft * np.array([1.0, 1.0, 1.0, 1.05, 1.25, 1.75]), flare * np.array([32.0, 36.0, 24.0])])
    deep = np.concatenate([shaft * np.array([1.0, 1.0, 1.0, 1.03, 1.1, 1.25]), flare * np.array([21.0, 22.0, 15.0])])
    middle = np.array([-6.0, -6.0, -6.0, -6.0, -6.0, -6.0, -4.0, -3.0, -3.0])
    half_x, half_z, centre = Profiles(np.stack([wide, deep, middle]), -130.0, 15.0)(p.y)
    centre = centre + knee.femur_lean * np.minimum(p.y + 40.0, 0.0)
    distance = -smooth_union(-p.column(0.0, centre, half_x, half_z), -12.0 - p.y, 6.0)
    for sign, larger in ((-1.0, knee.medial_larger), (1.0, 1.0)):
        middle_of = (sign * knee.condyle_spacing, -knee.condyle_height * larger - 1.0, knee.condyle_back)
        radii = (knee.condyle_width, knee.condyle_height * larger, knee.condyle_depth * larger)
        distance = smooth_union(distance, p.ellipsoid(middle_of, radii), 5.0)
    distance = smooth_union(distance, p.ellipsoid((1.0, -29.0, -18.0), (26.0, knee.trochlea, 14.0)), 6.0)
    notch = p.ellipsoid((0.0, 1.0, 20.0 + knee.notch_front), (knee.notch_width, knee.notch_height, 28.0))
    return -smooth_union(-distance, notch, 3.0)


def _tibia(knee: Knee, p: Points) -> Floats:
    """Distance beyond the tibia (plateau with its slope and eminence, shaft, tuberosity) and the fibula."""
    taper = np.array([1.0, 0.98, 0.87, 0.71, 0.56, 0.47, 0.41, 0.39, 0.38, 0.38])
    taper = taper * np.concatenate([np.ones(2), np.full(8, knee.tibia_taper)])
    depth = knee.tibia_depth * np.array([1.0, 0.97, 0.88, 0.77, 0.67, 0.60, 0.57, 0.56, 0.56, 0.56])
    middle = knee.tibia_back + np.array([0.0, 0.0, -2.0, -5.0, -7.0, -8.0, -8.0, -8.0, -8.0, -8.0])
    half_x, half_z, centre = Profiles(np.stack([knee.tibia_width * taper, depth, middle]), 5.0, 12.0)(p.y)
    centre = centre + knee.tibia_lean * np.maximum(p.y - 20.0, 0.0)
    column = p.column(0.0, centre, half_x, half_z)
    distance = -smooth_union(-column, p.y - _plateau(knee, p), 2.5)
    bump = p.ellipsoid((3.0, knee.tuberosity_drop, -19.0), (10.0, 13.0, knee.tuberosity))
    peak = p.ellipsoid((0.0, 5.0, knee.tibia_back + 1.0), (7.0, knee.eminence, 9.0))
    distance = smooth_union(smooth_union(distance, bump, 6.0), peak, 4.0)
    fibula = p.tube((31.0, knee.fibula_drop, 25.0), (28.0, 130.0, 20.0), knee.fibula, knee.fibula * 0.7)
    return np.minimum(distance, fibula)


def _plateau(knee: Knee, p: Points) -> Floats:
    """Height of the tibia's upper surface."""
    height: Floats = 4.5 + knee.tibia_slope * (p.z - knee.tibia_back)
    return height


def _patella(knee: Knee, p: Points) -> Floats:
    """Distance beyond the patella, which is flatter behind."""
    cosine, sine = cosine_and_sine(knee.patella_tilt)
    y, z = p.y + knee.patella_rise, p.z + 35.0 + knee.cartilage_patella + knee.patella_depth
    turned = Points(p.x, cosine * y - sine * z, sine * y + cosine * z, p.edge)
    egg = turned.ellipsoid((1.0, 0.0, 0.0), (knee.patella_width, knee.patella_height, knee.patella_depth))
    return -smooth_union(-egg, 0.75 * knee.patella_depth - turned.z, 3.0)


def _fluid(knee: Knee, bent: Bent, soft: Floats) -> Iterator[Layer]:
    """The joint's cavity: synovium, fluid in its recesses, and strands through the fat pad."""
    p = bent.above
    for sign in (-1.0, 1.0):
        yield "synovium", p.inside(p.ellipsoid((sign * knee.condyle_spacing, 0.5, 3.0), (17.0, 8.0, 27.0))) * 0.8
    yield "synovium", p.inside(p.ellipsoid((0.0, -3.0, 13.0), (11.0, 15.0, 20.0)) + soft) * 0.45
    much = max(knee.effusion, 0.0)
    pouch = p.ellipsoid((3.0, -knee.patella_rise - 26.0, -37.0), (22.0, 19.0, 1.0 + 0.6 * much)) + 0.8 * soft
    yield "fluid", p.inside(pouch) * min(1.0, 0.1 + 0.16 * much)
    recess = p.ellipsoid((-21.0, -14.0, 34.0), (9.0, 14.0, 1.0 + 0.6 * much))
    yield "fluid", p.inside(recess) * min(1.0, 0.3 + 0.2 * much)
    front = p.ellipsoid((0.0, -9.0, -28.0), (24.0, 5.0 + knee.recess, 2.0 + 0.4 * much)) + soft
    yield "fluid", p.inside(front) * min(1.0, 0.07 * much)
    strand = p.band(p.y - 2.0 - 0.5 * (p.z + 34.0) + 3.0 * soft, 0.8)
    pad = p.inside(p.ellipsoid((0.0, 3.0, -31.0), (24.0, 15.0, 9.0)))
    yield "fascia", pad * strand * max(knee.pad_strands, 0.0)
    capsule = p.ellipsoid((0.0, -6.0, 3.0), (44.0, 26.0, 37.0)) + 0.8 * soft
    lateral = arithmetic.smooth_step(np.abs(p.x) * 0.1 - 1.0)
    yield "fascia", p.band(capsule, 0.6) * lateral * arithmetic.smooth_step((p.z - 16.0) * 0.1) * 0.5


def _cartilage(knee: Knee, bent: Bent, femur: Floats, tibia: Floats, patella: Floats) -> Iterator[Layer]:
    p, below = bent.above, bent.below
    load = p.inside(p.ellipsoid((0.0, -6.0, 4.0), (48.0, 31.0, 42.0)))
    load = np.maximum(load, p.inside(p.ellipsoid((0.0, -26.0, -28.0), (24.0, 23.0, 12.0))))
    notch = p.inside(p.ellipsoid((0.0, 1.0, 22.0), (knee.notch_width + 3.0, 24.0, 24.0)))
    coat = p.inside(femur - max(knee.cartilage_femur, 1.0)) * load * (1.0 - notch)
    yield "cartilage", coat
    if knee.defect:
        lesion = p.ellipsoid((knee.defect * 22.0, -1.0, knee.defect_place), (9.0, 7.0, max(knee.defect_size, 2.0)))
        yield "fluid", coat * p.inside(lesion) * 0.9
    top = below.inside(np.abs(below.y - _plateau(knee, below)) - max(knee.cartilage_tibia, 1.0) - 1.5)
    yield "cartilage", p.inside(tibia - max(knee.cartilage_tibia, 1.0)) * top * below.inside(6.0 - np.abs(below.x))
    behind = arithmetic.smooth_step((p.z + 38.0 + knee.patella_depth) * (1.0 / 6.0))
    high = p.inside(np.abs(p.y + knee.patella_rise + 2.0) - 0.8 * knee.patella_height)
    yield "cartilage", p.inside(patella - max(knee.cartilage_patella, 1.2)) * behind * high


def _menisci(knee: Knee, p: Points) -> Iterator[Layer]:
    """Two wedges on the plateau, open towards the notch, with a tear in some."""
    floor = _plateau(knee, p) - 0.7 * knee.cartilage_tibia
    for number, sign in ((1, -1.0), (2, 1.0)):
        a, c = (p.x - sign * knee.condyle_spacing) * (1.0 / 16.0), (p.z - knee.tibia_back) * (1.0 / 24.0)
        reach = (np.sqrt(a * a + c * c) - 1.0) * 21.0 + knee.meniscus_reach  # mm outward from the inner rim
        height = np.clip(reach * (1.0 / knee.meniscus_reach), 0.0, 1.0) * knee.meniscus_height
        distance = np.maximum(np.abs(p.y - floor + 0.5 * height) - 0.5 * height, np.abs(reach - 5.5) - 5.5)
        distance = np.maximum(distance, knee.condyle_spacing - 12.0 - sign * p.x)
        wedge = p.inside(distance)
        yield "meniscus", wedge
        if knee.torn == number:
            gap = np.abs(p.y - floor + 0.5 * knee.meniscus_height - 0.4 * (p.z - 20.0 - knee.tear_place)) - 0.9
            yield "fluid", wedge * p.inside(gap) * arithmetic.smooth_step(p.z * 0.25) * 0.9


def _bones(
    knee: Knee, bent: Bent, surfaces: tuple[Floats, Floats, Floats], patches: Floats, grain: Floats
) -> Iterator[Layer]:
    """Fatty marrow with red patches and trabeculae in a dark rim; scars of the growth plates, oedema, spurs."""
    for number, surface in enumerate(surfaces):
        p = bent.below if number == 1 else bent.above
        whole = p.inside(surface)
        red = np.clip(patches * 0.5 + 0.3, 0.0, 1.0) * max(knee.red_marrow, 0.0) * 2.0
        yield "marrow", whole
        yield "muscle", whole * np.clip(red + max(knee.trabeculae, 0.0) * grain + 1.0 - knee.marrow, 0.0, 0.6)
        if number < 2:
            level = -40.0 if number == 0 else 19.0
            scar = p.band(p.y - level - 0.06 * p.z - 1.5 * patches - 0.3 * grain, 0.7)
            yield "line", whole * scar * max(knee.plate, 0.0) * 2.0
        if knee.oedema:
            spot = p.ellipsoid((knee.oedema_x, knee.oedema_y, knee.oedema_z), (knee.oedema_size,) * 3)
            yield "oedema", whole * arithmetic.smooth_step(0.2 - (spot + 2.0 * patches) * 0.12) * 0.8
        shaft = arithmetic.smooth_step((np.abs(p.y) - 40.0) * (1.0 / 40.0))
        rim = knee.cortex * (0.7 + 1.6 * shaft)
        yield "cortex", whole - p.inside(surface + rim)


def _ligaments(knee: Knee, bent: Bent) -> Iterator[Layer]:
    """Cruciates, patellar and quadriceps tendon."""
    p, r, bow = bent.above, knee.cruciate, knee.cruciate_bow
    if not knee.cruciate_torn:
        foot = bent.of_tibia(4.0, -11.0)
        yield "cruciate", p.inside(p.tube((5.0, -18.0, 14.0), (-1.0, *foot), r * 0.9, r * 1.1))
    low, knot = bent.of_tibia(15.0, 27.0), (-3.0, -9.0 + 0.3 * bow, 14.0 + bow)
    posterior = np.minimum(p.tube((-5.0, -12.0, -1.0), knot, r, r * 0.9), p.tube(knot, (-1.0, *low), r * 0.9, r * 0.8))
    yield "ligament", p.inside(posterior)
    front = -35.0 - knee.cartilage_patella - knee.patella_depth
    pole, top = knee.patella_height - knee.patella_rise - 4.0, 4.0 - knee.patella_height - knee.patella_rise
    end = bent.of_tibia(knee.tuberosity_drop - 2.0, -18.0 - knee.tuberosity)
    lean = knee.patella_tilt * knee.patella_height
    yield "ligament", p.inside(p.tube((1.0, pole, front - 4.0 - lean), (3.0, *end), knee.tendon, knee.tendon, flat=5.0))
    away = (0.0, -125.0, front - 2.0 - 0.6 * knee.thigh)
    thick = knee.quadriceps_tendon
    yield "ligament", p.inside(p.tube((1.0, top, front - 2.0 + lean), away, thick, thick * 0.7, flat=4.5))
    yield "ligament", p.inside(p.tube((1.0, top, front - 6.0), (1.0, pole, front - 7.0), 1.2, 1.2, flat=6.0)) * 0.7
