"""Medical Segmentation Decathlon, Task01_BrainTumour."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_brain",
    folder="Task01_BrainTumour",
    modality="brain MR, FLAIR",
    tasks=("mr", "mr2d"),
    labelled=484,
    size="about 8 GB",
    md5="240a19d752f0d9e9101544901065d872",
    window=None,
    stands_for="MRNet",
)
