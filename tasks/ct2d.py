"""CT: axial slices through the lung."""

from memobench.task import TASKS, SplitSizes, TaskInfo

TASK = TASKS.register("ct2d")(
    TaskInfo(
        name="ct2d",
        version="1",
        modality="chest CT, axial slice",
        family="chest_ct_slice",
        shape=(64, 64),
        sizes=(32, 512),
        split=SplitSizes(train=96, test=256, dev=384, fresh=256),
        samples=256,
        digest="5fc1d9d4c9332a8418b82664a76cf752e2186ef14226f26009eaeee9bc6f5b9c",
    )
)
