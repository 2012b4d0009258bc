"""National Lung Screening Trial, CT: the DICOM tree as TCIA's downloader writes it, NLST/PATIENT/STUDY/SERIES/*.dcm.

The four levels of folders are those of the NBIA Data Retriever; their names differ between its versions, and only
the first, the patient, is used. Radiographs and scouts in the tree are passed over. The cube about the scan's centre
is kept in place of the study's sub-volumes around vessels.
"""

from functools import partial

from memobench.sources.public._readers import ct_series, read_series
from memobench.sources.source import SOURCES, Recipe, Source

SOURCE = SOURCES.register("nlst")(
    Source(
        name="nlst",
        title="National Lung Screening Trial, CT",
        modality="chest CT",
        dim=3,
        tasks=("ct", "ct2d"),
        patients="about 26,000",
        images="about 75,000 CT scans",
        size="over 10 TB, a part will do",
        licence="unknown",
        licence_source="not confirmed; see TCIA's page of the collection",
        access="open",
        citation="National Lung Screening Trial Research Team, NEJM 2011, doi:10.1056/NEJMoa1102873",
        how_to_get="download patients of the collection NLST with the NBIA Data Retriever "
        "from The Cancer Imaging Archive.",
        stands_for="PCCTA (private CT)",
        split="patient ids",
        records=partial(ct_series, collection="NLST"),
        read=read_series,
        recipe=Recipe(window=(-1000, 400), field_mm=256),
    )
)
