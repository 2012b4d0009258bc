"""Medical Segmentation Decathlon, Task04_Hippocampus.

dataset.json counts 260 labelled volumes and 130 others, the publisher's page 263 and 131.
"""

from memobench.data.public._decathlon import decathlon

SOURCE = decathlon(
    name="decathlon_hippocampus",
    folder="Task04_Hippocampus",
    modality="hippocampus MR",
    tasks=("mr", "mr2d"),
    labelled=260,
    size="about 0.03 GB",
    md5="9d24dba78a72977dbd1d2e110310f31b",
    window=None,
    stands_for="MRNet",
    halves=True,  # volumes 2k-1 and 2k are very probably the two sides of one subject
)
