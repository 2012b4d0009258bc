"""OASIS-1: OAS1_0001_MR1/PROCESSED/MPRAGE/T88_111/*_t88_masked_gfc.hdr and .img, also below disc1/ and so on.

Names as OASIS-1's users know them; the publisher's fact sheet was not opened. Analyze files carry no reliable
orientation, so left and right may be exchanged, in all or in none. MR2 is a second visit of the same subject.

Open access: the publisher's github.com/NrgXnat/oasis-scripts, by which OASIS-1 needs no account; size: the 12 archives
of github.com/FahimFBA/organize-OASIS, 1.5 GB each.
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import matching, read_analyze
from memobench.data.public._source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The masked, averaged volumes in the atlas' space."""
    found = []
    for file in matching(root, "**/PROCESSED/MPRAGE/T88_111/OAS1_*_t88_masked_gfc.hdr"):
        session = file.parts[-5]
        image = file.with_suffix(".img").relative_to(root).as_posix()
        found.append(Record((image, file.relative_to(root).as_posix()), session.rpartition("_")[0], session))
    return found


SOURCE = SOURCES.register("oasis")(
    Source(
        name="oasis",
        title="OASIS-1",
        modality="brain MR, T1",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="416",
        images="436",
        size="about 18 GB, 12 archives",
        licence="unknown (OASIS Data Use Agreement)",
        licence_source="nilearn's datasets/description/oasis1.rst names it and its place, sites.wustl.edu/oasisbrains; "
        "its text was not opened",
        access="open",
        citation="Marcus et al., Journal of Cognitive Neuroscience 2007, doi:10.1162/jocn.2007.19.9.1498",
        how_to_get="agree to the terms at https://sites.wustl.edu/oasisbrains/ and unpack the discs of OASIS-1.",
        stands_for="MRNet",
        split="subject ids; a second visit stays with the first",
        records=records,
        read=read_analyze,
        recipe=Recipe(),
    )
)
