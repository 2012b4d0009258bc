"""Medical Segmentation Decathlon, Task09_Spleen."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_spleen",
    folder="Task09_Spleen",
    modality="abdominal CT",
    tasks=("ct", "ct2d"),
    labelled=41,
    size="about 2 GB",
    md5="410d4a301da4e5b2f6f86ec3ddba524e",
    window=(-160, 240),
    stands_for="PCCTA (private CT)",
)
