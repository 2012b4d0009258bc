"""Sets with known truth, each with the decision that an audit must give.

Every fault that was found in the decision becomes a row here, so that it cannot come back unseen. Copies are images of
train, changed or not; a model without copies gives images of strangers, changed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage

from memobench.calibration.scene import Pixels, Random, Scene, Sets, Situation
from memobench.challenge.groups import coarse, framed
from memobench.challenge.perturb import blur, noise, perturb, perturbations_for
from memobench.images import Images

STOP = frozenset({"do not release"})
LOOK = frozenset({"review", "refused"})
HOLD = STOP | LOOK  # anything but an all-clear
NOT_ACCUSED = frozenset({"review", "no copies found"})
SLIGHT = 0.01  # noise of a near-exact copy, in units of the intensity range


def situations(dim: int) -> list[Situation]:
    """All situations for images (2) or volumes (3)."""
    return [*_copies(), *_changed_copies(dim), *_leaks(), *_nobody(), *_shifts(), *_persons(), *_poses(dim), *_odd()]


def _same_always() -> Random:
    """For real images that are changed: the same in every draw, which then share a detector."""
    return np.random.default_rng(0)


# ------------------------------------------------------------------------------------------------- sets with copies


def _among(scene: Scene, random: Random, copies: Pixels, total: int) -> Sets:
    """Copies among images of strangers, in random order."""
    synthetic = np.concatenate([copies, scene.some("strangers", total - len(copies), random)])
    order = random.permutation(len(synthetic))
    return Sets(synthetic[order], scene.train, scene.holdout, copies=order < len(copies))


def _near_exact(scene: Scene, random: Random, copies: int, total: int = 60) -> Sets:
    """Near-exact copies among images of strangers; for no copies strangers alone."""
    if not copies:
        return Sets(scene.some("strangers", total, random), scene.train, scene.holdout)
    return _among(scene, random, noise(scene.some("train", copies, random), SLIGHT, random), total)


def _copies() -> Iterator[Situation]:
    def planted(count: int, total: int) -> Callable[[Scene, Random], Sets]:
        return lambda scene, random: _among(
            scene, random, noise(scene.some("train", count, random), SLIGHT, random), total
        )

    for total in (60, 300):
        for count in (1, 2, 3, 4, 5):
            fast = total == 60 and count in (1, 3)
            yield Situation(
                f"{count} near-exact copies among {total}", "copies", STOP, planted(count, total), fast=fast
            )

    def exact(scene: Scene, random: Random) -> Sets:
        return _among(scene, random, scene.some("train", 3, random), 60)

    def whole(scene: Scene, random: Random) -> Sets:
        return Sets(np.array(scene.train.pixels), scene.train, scene.holdout)

    def one_image(scene: Scene, random: Random) -> Sets:
        one = np.repeat(scene.some("train", 1, random), 300, axis=0)
        return Sets(noise(one, 0.02, random), scene.train, scene.holdout)

    def thrice(scene: Scene, random: Random) -> Sets:
        three = np.repeat(scene.some("train", 3, random), 10, axis=0)
        return _among(scene, random, noise(three, SLIGHT, random), 60)

    def tenth(scene: Scene, random: Random) -> Sets:
        return _among(scene, random, noise(scene.some("train", 30, random), 0.03, random), 300)

    def without_holdout(scene: Scene, random: Random) -> Sets:
        return replace(exact(scene, random), holdout=None)

    def few(scene: Scene, random: Random) -> Sets:
        return exact(scene.fewer(12), random)

    yield Situation("3 exact copies among 60", "copies", STOP, exact)
    yield Situation("the training set itself", "copies", STOP, whole, fast=True)
    yield Situation("one training image with noise, 300 times", "copies", STOP, one_image)
    yield Situation("30 copies of 3 patients among 60", "copies", STOP, thrice, fast=True)
    yield Situation("10% copies with noise among 300", "copies", STOP, tenth)
    yield Situation("3 exact copies among 60, no holdout", "copies", STOP, without_holdout)
    yield Situation("3 exact copies among 60, 12 patients a side", "copies", STOP, few)


def _changed_copies(dim: int) -> Iterator[Situation]:
    def changed(name: str) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            seed = int(random.integers(1 << 31))
            others = scene.some("strangers", 10, random)
            return _among(scene, random, perturb(scene.some("train", 10, random), name, seed=seed, others=others), 100)

        return make

    for name in perturbations_for(dim):
        # a blend keeps only part of a patient: an all-clear would be wrong, a conviction is not asked for
        required = HOLD if name in ("blend", "local_edit") else STOP
        yield Situation(f"10 copies among 100, {name.replace('_', ' ')}", "copies", required, changed(name))


def _leaks() -> Iterator[Situation]:
    def leaked(share: float) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            held = round(20 * share)
            copies = np.concatenate([scene.some("train", 20 - held, random), scene.some("holdout", held, random)])
            return _among(scene, random, noise(copies, SLIGHT, random), 60)

        return make

    def halves(scene: Scene, random: Random) -> Sets:
        both = [scene.some(side, 30, random) for side in ("train", "holdout")]
        return Sets(np.concatenate(both), scene.train, scene.holdout)

    for share in (0.1, 0.5, 1.0):
        yield Situation(
            f"{round(100 * share)}% of 20 copies are of held-out patients", "leak", STOP, leaked(share), fast=share == 1
        )
    yield Situation("30 training and 30 held-out images", "leak", STOP, halves, fast=True)


# -------------------------------------------------------------------------------------------------- sets without copies


def _nobody() -> Iterator[Situation]:
    """Sets of new patients' images, as models change them, and the same with 5% copies among them."""
    changes: dict[str, Callable[[Pixels, Random], Pixels]] = {
        "as they are": lambda images, random: images,
        "blurred a little": lambda images, random: blur(images, 0.8 / 64, random),
        "blurred strongly": lambda images, random: blur(images, 2.5 / 64, random),
        "with noise": lambda images, random: noise(images, 0.05, random),
        "at a quarter of the resolution": lambda images, random: coarse(images, 4),
        "averaged in pairs": lambda images, random: 0.5 * (images + images[random.permutation(len(images))]),
    }
    for name, change in changes.items():
        plain = name == "as they are"
        yield Situation(f"60 new patients, {name}", "no copies", NOT_ACCUSED, _made(change), fast=plain)
        if not plain:  # three copies among 60 as they are: see the near-exact copies
            # of an average only half is a patient's: an all-clear would be wrong, a conviction is not asked for
            required = HOLD if name == "averaged in pairs" else STOP
            yield Situation(f"5% copies among 60, all {name}", "copies", required, _made(change, 3))
    yield Situation("300 new patients, as they are", "no copies", NOT_ACCUSED, _made(changes["as they are"], total=300))
    for images in (1, 5, 20):
        for deviation in (0.005, 0.02):
            yield Situation(
                f"{images} new images, 90 in all with noise of {deviation}",
                "no copies",
                NOT_ACCUSED,
                _collapsed(images, deviation),
                fast=images == 5 and deviation == 0.02,
            )
        named = "1 new image" if images == 1 else f"{images} new images"
        yield Situation(
            f"5% copies among 90, the others {named} with noise", "copies", STOP, _collapsed(images, 0.02, 5)
        )
    for patients in (8, 20):
        yield Situation(f"60 new patients, {patients} patients a side", "no copies", NOT_ACCUSED, _few(patients))
        yield Situation(f"5% copies among 60, {patients} patients a side", "copies", STOP, _few(patients, 3))
    yield Situation("60 new patients, many images per patient", "no copies", NOT_ACCUSED, _many())
    yield Situation("5% copies among 60, many images per patient", "copies", STOP, _many(3))


def _made(
    change: Callable[[Pixels, Random], Pixels], copies: int = 0, *, total: int = 60
) -> Callable[[Scene, Random], Sets]:
    """Near-exact copies among strangers, all changed."""

    def make(scene: Scene, random: Random) -> Sets:
        sets = _near_exact(scene, random, copies, total)
        return replace(sets, synthetic=change(sets.synthetic, random))

    return make


def _collapsed(images: int, deviation: float, copies: int = 0) -> Callable[[Scene, Random], Sets]:
    """A model that gives few images again and again, with noise."""

    def make(scene: Scene, random: Random) -> Sets:
        count = 90 - copies
        repeated = np.repeat(scene.some("strangers", images, random), -(-count // images), axis=0)[:count]
        every = np.concatenate([scene.some("train", copies, random), repeated]) if copies else repeated
        return Sets(noise(every, deviation, random), scene.train, scene.holdout, copies=np.arange(90) < copies)

    return make


def _few(patients: int, copies: int = 0) -> Callable[[Scene, Random], Sets]:
    return lambda scene, random: _near_exact(scene.fewer(patients), random, copies)


def _many(copies: int = 0) -> Callable[[Scene, Random], Sets]:
    """Five noisy images of each of twenty patients."""

    def make(scene: Scene, random: Random) -> Sets:
        small = scene.fewer(20)
        sides = []
        for images in (small.train, small.holdout):
            rows = np.repeat(np.arange(len(images)), 5)
            pixels = noise(np.array(images.pixels[rows]), 0.03, _same_always())
            sides.append(Images(pixels, images.patients[rows], images.scans[rows]))
        return _near_exact(replace(scene, train=sides[0], holdout=sides[1]), random, copies)

    return make


def _shifts() -> Iterator[Situation]:
    """Holdout of another source: the exact tests would take the difference of the sources for copying."""
    changes: dict[str, Callable[[Pixels, Random], Pixels]] = {
        "blurred": lambda images, random: blur(images, 1.5 / 64, random),
        "brighter": lambda images, random: images**0.6,
        "with noise": lambda images, random: noise(images, 0.05, random),
        "narrower": _narrowed,
    }

    def shifted(change: Callable[[Pixels, Random], Pixels], copies: int) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            pixels = np.clip(change(np.array(scene.holdout.pixels), _same_always()), 0, 1).astype(np.float32)
            other = replace(scene, holdout=Images(pixels, scene.holdout.patients, scene.holdout.scans))
            return _among(other, random, noise(scene.some("train", copies, random), SLIGHT, random), 60)

        return make

    for name, change in changes.items():
        yield Situation(
            f"60 new patients of train's source, holdout {name}", "no copies", NOT_ACCUSED, shifted(change, 0)
        )
        yield Situation(f"3 copies among 60, holdout {name}", "copies", STOP, shifted(change, 3))


def _persons() -> Iterator[Situation]:
    """One person under two ids: within train he would set the threshold, in the holdout he would excuse his copies."""

    def again(images: Images) -> Images:
        """A second export of images, under other ids."""
        other = (np.char.add("again ", names) for names in (images.patients, images.scans))
        return Images(noise(np.array(images.pixels), SLIGHT, _same_always()).astype(np.float32), *other)

    def within(copies: int) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            doubled = scene.train.joined(again(scene.train.take(np.arange(len(scene.train) // 3))))
            other = replace(scene, train=doubled)
            return _among(other, random, noise(scene.some("train", copies, random), SLIGHT, random), 60)

        return make

    def across(copies: int) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            shared = scene.fewer(max(copies, 8)).train
            other = replace(scene, holdout=scene.holdout.joined(again(shared)))
            chosen = replace(scene, train=shared).some("train", copies, random)
            return _among(other, random, noise(chosen, SLIGHT, random), 60)

        return make

    yield Situation("60 new patients, a third of train under two ids", "no copies", NOT_ACCUSED, within(0))
    yield Situation("6 copies among 60, a third of train under two ids", "copies", STOP, within(6))
    yield Situation("60 new patients, 8 of train in the holdout under other ids", "no copies", NOT_ACCUSED, across(0))
    yield Situation("6 copies among 60, their patients in the holdout under other ids", "copies", STOP, across(6))


# -------------------------------------------------------------------------------------------------- poses and the rest


def _poses(dim: int) -> Iterator[Situation]:
    changes: dict[str, Callable[[Pixels], Pixels]] = {
        "turned by 90 degrees": lambda images: np.rot90(images, 1, axes=(-2, -1)),
        "upside down": lambda images: images[..., ::-1, :],
        "with two axes exchanged": lambda images: images.swapaxes(-2, -1),
        "inverted": lambda images: 1 - images,
        "letterboxed by 20%": lambda images: framed(images, 0.2),
        "letterboxed by 45%": lambda images: framed(images, 0.45),
    }
    if dim == 3:
        changes["with the first axis last"] = lambda images: np.moveaxis(images, 1, -1)

    def whole(change: Callable[[Pixels], Pixels], side: str) -> Callable[[Scene, Random], Sets]:
        return lambda scene, random: Sets(change(scene.some(side, 40, random)), scene.train, scene.holdout)

    def some(change: Callable[[Pixels], Pixels]) -> Callable[[Scene, Random], Sets]:
        return lambda scene, random: _among(scene, random, change(scene.some("train", 5, random)), 60)

    for name, change in changes.items():
        turned = name == "turned by 90 degrees"
        yield Situation(f"40 exact copies, all {name}", "copies", STOP, whole(change, "train"), fast=turned)
        yield Situation(f"5 exact copies among 60, {name}", "copies", STOP, some(change))
        yield Situation(f"40 new patients, all {name}", "no copies", NOT_ACCUSED, whole(change, "strangers"))


def _odd() -> Iterator[Situation]:
    def grey(spread: float) -> Callable[[Scene, Random], Sets]:
        def make(scene: Scene, random: Random) -> Sets:
            shape = (40, *scene.train.shape)
            level = random.random((40, *[1] * len(scene.train.shape)))
            pixels = np.broadcast_to(level, shape) + spread * random.standard_normal(shape)
            return Sets(pixels.astype(np.float32), scene.train, scene.holdout)

        return make

    def average(scene: Scene, random: Random) -> Sets:
        rows = [random.permutation(len(scene.train))[:20] for _ in range(40)]
        means = np.stack([np.asarray(scene.train.pixels)[chosen].mean(axis=0) for chosen in rows])
        return Sets(means, scene.train, scene.holdout)

    def static(scene: Scene, random: Random) -> Sets:
        return Sets(random.random((40, *scene.train.shape), dtype=np.float32), scene.train, scene.holdout)

    def smoke(scene: Scene, random: Random) -> Sets:
        return Sets(scene.some("strangers", 60, random), scene.train, scene.holdout, preset="smoke")

    def other_anatomy(scene: Scene, random: Random) -> Sets:
        coarse = _same_always().random((len(scene.holdout), *[6] * len(scene.train.shape)))
        sides = [side / 6 for side in scene.train.shape]
        pixels = np.stack([ndimage.zoom(one, sides, order=1, mode="nearest", grid_mode=True) for one in coarse])
        holdout = Images(np.clip(pixels, 0, 1).astype(np.float32), scene.holdout.patients, scene.holdout.scans)
        return Sets(scene.some("strangers", 60, random), scene.train, holdout)

    def alone(scene: Scene, random: Random) -> Sets:
        return Sets(scene.some("strangers", 1, random), scene.train, scene.holdout)

    def no_holdout(scene: Scene, random: Random) -> Sets:
        return Sets(scene.some("strangers", 60, random), scene.train, None)

    def same_patients(scene: Scene, random: Random) -> Sets:
        return Sets(scene.some("strangers", 60, random), scene.train, scene.train)

    yield Situation("even grey images", "nothing to compare", LOOK, grey(0.0), fast=True)
    yield Situation("nearly even grey images", "nothing to compare", LOOK, grey(0.002))
    yield Situation("averages of 20 training images", "no copies", NOT_ACCUSED, average)
    yield Situation("noise", "no copies", NOT_ACCUSED, static, fast=True)
    yield Situation("preset smoke", "not measured", LOOK, smoke, fast=True)
    yield Situation("train and holdout of different anatomy", "not comparable", LOOK, other_anatomy)
    yield Situation("a single new image", "too little to tell", LOOK, alone)
    yield Situation("60 new patients, no holdout", "chance was not measured", LOOK, no_holdout)
    yield Situation("holdout is train", "not comparable", LOOK, same_patients, fast=True)


def _narrowed(images: Pixels, random: Random) -> Pixels:
    """Shrunk by a tenth along the last axis, the edge repeated: patients of another build."""
    matrix = [1.0] * images.ndim
    offset = [0.0] * images.ndim
    matrix[-1] = 1 / 0.9
    offset[-1] = (images.shape[-1] - 1) / 2 * (1 - matrix[-1])
    moved = ndimage.affine_transform(images, np.diag(matrix), offset, order=1, mode="nearest")
    return np.asarray(moved, dtype=np.float32)
