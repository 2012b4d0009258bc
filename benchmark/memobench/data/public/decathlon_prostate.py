"""Medical Segmentation Decathlon, Task05_Prostate."""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_prostate",
    folder="Task05_Prostate",
    modality="prostate MR, T2",
    tasks=("mr", "mr2d"),
    labelled=32,
    size="about 0.3 GB",
    md5="35138f08b1efaef89d7424d2bcc928db",
    window=None,
    stands_for="MRNet",
)
