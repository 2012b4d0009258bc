"""What names say of patients: BIDS, folders that may be patients, and a pattern that file names seem to follow."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

ORDINALS = ("first", "second", "third", "fourth")
_LETTERS = re.compile(r"[^\W\d_]+")
_CLASSES = {
    *("train", "training", "trainset", "tr", "test", "testing", "testset", "ts", "val", "valid", "validation", "dev"),
    *("holdout", "split", "fold", "set", "part", "batch", "group", "cohort", "class", "label", "labels", "stage"),
    *("grade", "kl", "birads", "acr", "score", "level", "type", "category", "cat", "cluster", "bin", "gg"),
    *("covid", "normal", "abnormal", "pneumonia", "viral", "bacterial", "bacteria", "virus", "tuberculosis", "tb"),
    *("lung", "opacity", "benign", "malignant", "cancer", "tumor", "tumour", "healthy", "sick", "disease", "diseased"),
    *("control", "controls", "cases", "positive", "negative", "pos", "neg", "yes", "no", "glioma", "meningioma"),
    *("pituitary", "notumor", "fracture", "fractured", "edema", "effusion", "nodule", "mass", "other", "others"),
    *("left", "right", "l", "r", "od", "os", "male", "female", "m", "f", "ap", "pa", "lat", "lateral", "frontal"),
    *("axial", "coronal", "sagittal", "cc", "mlo", "real", "fake", "synthetic", "generated", "samples", "sample"),
    *("images", "image", "img", "imgs", "imagestr", "imagests", "labelstr", "masks", "mask", "data", "dataset", "raw"),
    *("files", "png", "pngs", "jpg", "jpeg", "tif", "tiff", "dicom", "dcm", "nifti", "nii", "npy", "npz"),
    *("ct", "mr", "mri", "mrt", "xray", "cxr", "dx", "cr", "us", "pet", "t1", "t2", "flair", "dwi", "adc", "pd"),
    *(
        "t2w",
        "t1ce",
        "t1c",
        "t1n",
        "t2f",
        "ed",
        "es",
        "site",
        "hospital",
        "center",
        "centre",
        "scanner",
        "year",
        "slices",
    ),
    *(
        "volumes",
        "batches",
        "parts",
        "folds",
        "chunk",
        "shard",
        "disc",
        "disk",
        "anat",
        "func",
        "perf",
        "epoch",
        "step",
    ),
    *("subset", "section", "dset", "archive", "week", "month", "day", "visit", "tp", "timepoint", "session", "ses"),
    *("ge", "siemens", "philips", "canon", "toshiba", "hitachi", "te", "echo", "phase", "b", "dose", "noise", "aug"),
    *("augmented", "resized", "size", "px", "seed", "gen", "rank", "ckpt", "checkpoint", "iter", "iteration", "run"),
    *("model", "gan", "ldm", "ddpm", "vae", "exp", "experiment", "task", "output", "outputs", "result", "results"),
}
_YEAR = re.compile(r"(19|20)[0-9]{2}")
_MANY = 20  # folders without a digit in any name that may still be people's names
_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)(?=[/_.])")
_SESSION = re.compile(r"(?:^|[/_])(ses-[A-Za-z0-9]+)(?=[/_.])")
_PATTERNS = (
    r"(?:^|/)([A-Za-z]*[-_]?[0-9]{2,})[-_][^/]*$",  # 00002237_000.png, patient_12_frame3.png
    r"(?:^|/)([A-Za-z]+[-_]?[0-9]+)[-_][^/]*$",  # p1_a.png
)


def bids(files: Sequence[str]) -> dict[str, tuple[str, str]] | None:
    """The subject and session ("" for none) of each file, where nine in ten paths name one; else None.

    A file that names none is a subject of its own.

    >>> bids(["sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"])
    {'sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz': ('sub-01', 'ses-2')}
    """
    found = {}
    for file in files:
        subject, session = _SUBJECT.search(file), _SESSION.search(file)
        if subject:
            found[file] = (subject[1], session[1] if session else "")
    if not found or 10 * len(found) < 9 * len(files):
        return None
    return {file: found.get(file, (file, "")) for file in files}


def folders(files: Sequence[str]) -> tuple[int, dict[str, str]] | None:
    """The first level of sub-folders that may be patients, and the folder of each file there; None where none may.

    Every file must lie below such a folder, and there must be two at least. Classes, splits, sides, sequences and
    formats (COVID, train, left, T1) are no patients, nor are names without a digit unless there are many, nor single
    digits, which are grades, nor years.

    >>> folders(["COVID/p01/a.png", "COVID/p01/b.png", "NORMAL/p02/a.png"])[1]["NORMAL/p02/a.png"]
    'p02'
    >>> folders(["COVID/a.png", "NORMAL/b.png"]) is None
    True
    """
    paths = [file.split("/")[:-1] for file in files]
    for level in range(min(len(ORDINALS), min((len(path) for path in paths), default=0))):
        names = {path[level] for path in paths}
        if len(names) > 1 and plausible(names):
            return level, {file: path[level] for file, path in zip(files, paths, strict=True)}
    return None


def plausible(names: set[str]) -> bool:
    """Whether folders may be patients by their names.

    >>> plausible({"P01", "P02"}), plausible({"COVID", "NORMAL"}), plausible({"fold1", "fold2"}), plausible({"0", "1"})
    (True, False, False, False)
    """
    lowered = {unicodedata.normalize("NFC", name).casefold() for name in names}
    if any(name in _CLASSES or set(_LETTERS.findall(name)) & _CLASSES for name in lowered):
        return False
    if all(len(name) == 1 or _YEAR.fullmatch(name) for name in lowered):
        return False
    return all(re.search("[0-9]", name) for name in lowered) or len(lowered) >= _MANY


def pattern(files: Sequence[str]) -> str | None:
    """A pattern that finds what looks like an id in every file's name, and the same id in several or a running number.

    >>> pattern(["00002237_000.png", "00002237_001.png", "00002238_000.png"])
    '(?:^|/)([A-Za-z]*[-_]?[0-9]{2,})[-_][^/]*$'
    """
    for one in _PATTERNS:
        found = [match[1] for file in files if (match := re.search(one, file))]
        if len(found) == len(files) > 1 and len(set(found)) > 1:
            return one
    return None
