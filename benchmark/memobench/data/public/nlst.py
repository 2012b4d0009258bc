"""National Lung Screening Trial, CT: the DICOM tree as TCIA's downloader writes it, NLST/PATIENT/STUDY/SERIES/*.dcm.

The four levels of folders are those of the NBIA Data Retriever; their names differ between its versions, and only
the first, the patient, is used. Radiographs and scouts in the tree are passed over. The cube about the scan's centre
is kept in place of the study's sub-volumes around vessels.

Patients: TCIA's wiki, pageId=5800702; studies: the Imaging Data Commons' notes of its release; open access:
datascience.cancer.gov/news-events/news/access-publicly-available-imaging-data-national-lung-screening-trial.
"""

from functools import partial

from memobench.data.public._readers import ct_series, read_series
from memobench.data.public._source import SOURCES, Recipe, Source

SOURCE = SOURCES.register("nlst")(
    Source(
        name="nlst",
        title="National Lung Screening Trial, CT",
        modality="chest CT",
        dim=3,
        tasks=("ct", "ct2d"),
        patients="26,254",
        images="over 73,000 CT studies",
        size="11.3 TB, a part will do",
        licence="CC BY 4.0",
        licence_source="a series' record in NCI's Imaging Data Commons (source doi:10.7937/TCIA.HMQ8-J677), as others "
        "quote it; TCIA's page was not opened",
        access="open",
        citation="National Lung Screening Trial Research Team, TCIA 2013, doi:10.7937/TCIA.HMQ8-J677; NEJM 2011, "
        "doi:10.1056/NEJMoa1102873",
        how_to_get="download patients of the collection NLST with the NBIA Data Retriever "
        "from The Cancer Imaging Archive, https://doi.org/10.7937/TCIA.HMQ8-J677.",
        stands_for="PCCTA (private CT)",
        split="patient ids",
        records=partial(ct_series, collection="NLST"),
        read=read_series,
        recipe=Recipe(window=(-1000, 400), field_mm=256),
        shares=True,
    )
)
