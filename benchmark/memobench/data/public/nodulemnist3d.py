"""NoduleMNIST3D, the file nodulemnist3d_64.npz (or nodulemnist3d.npz) as Zenodo gives it."""

from memobench.data.public._medmnist import medmnist

SOURCE = medmnist(
    name="nodulemnist3d",
    title="NoduleMNIST3D",
    modality="chest CT, nodule",
    tasks=("ct", "ct2d"),
    patients="of LIDC-IDRI, ids not published",
    images=1633,
    md5="c47c5b7d457bf6332200d2ea6d64ecd8",
    stands_for="PCCTA (private CT)",
)
