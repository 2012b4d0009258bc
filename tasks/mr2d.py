"""MR: sagittal slices of the knee."""

from memobench.task import TASKS, SplitSizes, TaskInfo

TASK = TASKS.register("mr2d")(
    TaskInfo(
        name="mr2d",
        version="1",
        modality="knee MR, sagittal slice",
        family="knee_slice",
        shape=(64, 64),
        sizes=(32, 512),
        split=SplitSizes(train=96, test=256, dev=384, fresh=256),
        samples=256,
        digest="9e8ef85d295cbedc27a78ad94f50b5415cd947d7946f4333985bff8b045aefdf",
    )
)
