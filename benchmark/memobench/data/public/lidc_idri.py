"""LIDC-IDRI: the DICOM tree as TCIA's downloader writes it, LIDC-IDRI/PATIENT/STUDY/SERIES/*.dcm.

The four levels of folders are those of the NBIA Data Retriever; their names differ between its versions, and only
the first, the patient, is used. Radiographs and scouts in the tree are passed over. The cube about the scan's centre
is kept in place of the study's sub-volumes around vessels.

Scans: the abstract of Armato et al.; patients as the data set's users count them, TCIA's page was not opened.
"""

from functools import partial

from memobench.data.public._readers import ct_series, read_series
from memobench.data.public._source import SOURCES, Recipe, Source

SOURCE = SOURCES.register("lidc_idri")(
    Source(
        name="lidc_idri",
        title="LIDC-IDRI",
        modality="chest CT",
        dim=3,
        tasks=("ct", "ct2d"),
        patients="1,010",
        images="1,018 CT scans",
        size="about 125 GB",
        licence="CC BY 3.0",
        licence_source="luna16.grand-challenge.org/Data and concepttoclinic.drivendata.org/about-the-data, which both "
        "name it; TCIA's page was not opened",
        access="open",
        citation="Armato et al., Medical Physics 2011, doi:10.7937/K9/TCIA.2015.LO9QL9SX",
        how_to_get="download the collection LIDC-IDRI with the NBIA Data Retriever (descriptive folder names) "
        "from The Cancer Imaging Archive, https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX.",
        stands_for="PCCTA (private CT)",
        split="patient ids",
        records=partial(ct_series, collection="LIDC-IDRI"),
        read=read_series,
        recipe=Recipe(window=(-1000, 400), field_mm=256),
        shares=True,
    )
)
