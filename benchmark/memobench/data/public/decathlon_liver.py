"""Medical Segmentation Decathlon, Task03_Liver."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_liver",
    folder="Task03_Liver",
    modality="abdominal CT",
    tasks=("ct", "ct2d"),
    labelled=131,
    size="about 27 GB",
    md5="a90ec6c4aa7f6a3d087205e23d4e6397",
    window=(-160, 240),
    stands_for="PCCTA (private CT)",
)
