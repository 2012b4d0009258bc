"""fastMRI: HDF5 files, of which the stored target is read (reconstruction_rss, or reconstruction_esc).

Keys after github.com/facebookresearch/fastMRI, fastmri/data/README.md: the target is a magnitude,
(slices, height, width). The test files hold no target and are passed over. The attribute patient_id names the patient;
a file without it stands as a patient of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memobench.base.errors import MemobenchError
from memobench.data.files.limits import check_size
from memobench.data.files.picture import Raw, Unreadable
from memobench.data.public._readers import LIMIT, matching
from memobench.data.public._source import SOURCES, Recipe, Record, Source

TARGETS = ("reconstruction_rss", "reconstruction_esc")


def records(root: Path) -> list[Record]:
    """The files with a target; those of a validation folder stand for a test list."""
    h5py, found = _h5py(), []
    for file in matching(root, "**/*.h5"):
        patient, has_target = file.stem, True
        try:
            with h5py.File(file) as opened:
                has_target = any(name in opened for name in TARGETS)
                patient = str(opened.attrs.get("patient_id", file.stem))
        except OSError:
            pass  # its reader says what is wrong with it
        name, passed = file.relative_to(root).as_posix(), "" if has_target else "files without a target (test data)"
        found.append(Record((name,), patient, file.stem, file.parent.name.endswith("_val"), passed=passed))
    return found


def read(root: Path, record: Record) -> Raw:
    """The target of one acquisition; its spacing is not used.

    Raises:
        Unreadable: The file is cut short, or declares more than is allowed.
    """
    try:
        with _h5py().File(root / record.files[0]) as opened:
            target = opened[next(name for name in TARGETS if name in opened)]
            check_size(target.size * target.dtype.itemsize, LIMIT)
            return Raw(target[()])
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        raise Unreadable(f"is cut short or damaged, perhaps an unfinished download ({reason})") from error


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MemobenchError('fastmri needs h5py, which is not installed; pip install "memobench[public]"') from error
    return h5py


SOURCE = SOURCES.register("fastmri")(
    Source(
        name="fastmri",
        title="fastMRI",
        modality="knee or brain MR",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="unknown, 1,594 knee scans",
        images="one volume per file",
        size="over 90 GB (knee)",
        licence="unknown (NYU's fastMRI Dataset Sharing Agreement, agreed to on registration)",
        licence_source="fastmri.med.nyu.edu, where the agreement stands, was not opened",
        access="registration",
        citation="Knoll et al., Radiology AI 2020, doi:10.1148/ryai.2020190007; Zbontar et al., arXiv:1811.08839",
        how_to_get="register at https://fastmri.med.nyu.edu and unpack knee_singlecoil_train and knee_singlecoil_val.",
        stands_for="fastMRI",
        split="patient ids where the files carry them; the validation folder gives test and fresh",
        records=records,
        read=read,
        recipe=Recipe(),
    )
)
