"""What the MedMNIST sources share: one NPZ from Zenodo, its checksum as the package medmnist 3 lists it.

Keys, counts, addresses, checksums and licence: medmnist.info.INFO of https://github.com/MedMNIST/MedMNIST. No patient
ids are published, so each image stands as a patient of its own and images of one patient may stand on two sides:
differences between train and holdout are then smaller than they are, which hides copies and invents none.
"""

from __future__ import annotations

from functools import partial

from memobench.data.public._readers import npz_records, read_npz_row
from memobench.data.public._source import SOURCES, Download, Recipe, Source

_ZENODO = "https://zenodo.org/records/10519652/files"


def medmnist(  # noqa: PLR0913  a data set's publisher, layout and recipe
    name: str, title: str, modality: str, tasks: tuple[str, ...], patients: str, images: int, md5: str, stands_for: str
) -> Source:
    """Register a MedMNIST set of side 64."""
    dim = 3 if name.endswith("3d") else 2
    return SOURCES.register(name)(
        Source(
            name=name,
            title=title,
            modality=modality,
            dim=dim,
            tasks=tasks,
            patients=patients,
            images=f"{images:,}",
            size=f"at most {images * 64**dim / 1e9:.1f} GB",
            licence="CC BY 4.0",
            licence_source="the publisher's package, medmnist/info.py (github.com/MedMNIST/MedMNIST)",
            access="open",
            citation="Yang et al., MedMNIST v2, Scientific Data 2023, doi:10.1038/s41597-022-01721-8",
            how_to_get=f"download {name}_64.npz from https://zenodo.org/records/10519652.",
            stands_for=stands_for,
            split="no patient ids: images of one patient may stand on two sides; the official test part gives test "
            "and fresh",
            records=partial(npz_records, stem=name),
            read=read_npz_row,
            recipe=Recipe(),
            shares=True,
            downloads=(Download(f"{_ZENODO}/{name}_64.npz?download=1", md5),),
        )
    )
