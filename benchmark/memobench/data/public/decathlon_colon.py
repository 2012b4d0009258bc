"""Medical Segmentation Decathlon, Task10_Colon."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_colon",
    folder="Task10_Colon",
    modality="abdominal CT",
    tasks=("ct", "ct2d"),
    labelled=126,
    size="about 6 GB",
    md5="bad7a188931dc2f6acf72b08eb6202d0",
    window=(-160, 240),
    stands_for="PCCTA (private CT)",
)
