"""Medical Segmentation Decathlon, Task06_Lung."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_lung",
    folder="Task06_Lung",
    modality="chest CT",
    tasks=("ct", "ct2d"),
    labelled=63,
    size="about 9 GB",
    md5="8afd997733c7fc0432f71255ba4e52dc",
    window=(-1000, 400),
    stands_for="PCCTA (private CT)",
)
