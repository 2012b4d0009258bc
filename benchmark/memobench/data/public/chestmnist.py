"""ChestMNIST, the file chestmnist_64.npz (or chestmnist.npz) as Zenodo gives it."""

from memobench.data.public._medmnist import medmnist

SOURCE = medmnist(
    name="chestmnist",
    title="ChestMNIST",
    modality="chest radiograph",
    tasks=("xray",),
    patients="30,805, ids not published",
    images=112120,
    md5="9de6cd0b934ebb5b7426cfba5efbae16",
    stands_for="NIH ChestX-ray14",
)
