"""OrganMNIST3D, the file organmnist3d_64.npz (or organmnist3d.npz) as Zenodo gives it."""

from memobench.data.public._medmnist import medmnist

SOURCE = medmnist(
    name="organmnist3d",
    title="OrganMNIST3D",
    modality="abdominal CT, one organ",
    tasks=("ct", "ct2d"),
    patients="201 scans, ids not published",
    images=1742,
    md5="58a2205adf14a9d0a189cb06dc78bf10",
    stands_for="PCCTA (private CT)",
)
