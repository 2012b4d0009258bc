"""Medical Segmentation Decathlon, Task02_Heart."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_heart",
    folder="Task02_Heart",
    modality="cardiac MR",
    tasks=("mr", "mr2d"),
    labelled=20,
    size="about 0.5 GB",
    md5="06ee59366e1e5124267b774dbd654057",
    window=None,
    stands_for="MRNet",
)
