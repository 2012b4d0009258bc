"""X-ray: frontal chest radiographs, the task on which the study's 2D results rest."""

from memobench.task import TASKS, SplitSizes, TaskInfo

TASK = TASKS.register("xray")(
    TaskInfo(
        name="xray",
        version="1",
        modality="chest radiograph",
        family="radiograph",
        shape=(64, 64),
        sizes=(32, 512),
        split=SplitSizes(train=96, test=256, dev=384, fresh=256),
        samples=256,
        digest="0f93878aad0afd8fd9104938d491a8e36f6d15f48bd16d7daf046461a0c4b221",
    )
)
