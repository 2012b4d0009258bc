"""MR in 3D: sagittal volumes of the knee."""

from memobench.task import TASKS, SplitSizes, TaskInfo

TASK = TASKS.register("mr")(
    TaskInfo(
        name="mr",
        version="1",
        modality="knee MR, sagittal volume",
        family="knee_volume",
        shape=(32, 32, 32),
        sizes=(32, 128),
        split=SplitSizes(train=64, test=128, dev=256, fresh=128),
        samples=128,
        digest="76d96ac04901922c23b1cee45490469f07cfc3f170abfac0399d4b07ad08ca11",
    )
)
