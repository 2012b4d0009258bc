"""CT in 3D: lung sub-volumes around vessels."""

from memobench.task import TASKS, SplitSizes, TaskInfo

TASK = TASKS.register("ct")(
    TaskInfo(
        name="ct",
        version="1",
        modality="chest CT, sub-volume",
        family="chest_ct_volume",
        shape=(32, 32, 32),
        sizes=(32, 128),
        split=SplitSizes(train=64, test=128, dev=256, fresh=128),
        samples=128,
        digest="554362b62fe608a84f3e21e94c8404c5053812f9401994a0667ad72e903092cf",
    )
)
