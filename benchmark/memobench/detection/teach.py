"""How a verifier is taught: copies planted in images of patients whom it will not judge."""

from __future__ import annotations

import numpy as np
import torch

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed, generator_for
from memobench.detection.embed import MIN_PATIENTS
from memobench.detection.plant import plant
from memobench.detection.retrieve import Prepared, candidates, register
from memobench.detection.verify import Verifier, compare
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import step_generator

LESSON = 512  # images that a verifier learns from, at most


def train_verifier(lesson: Images, planted: int, *, context: Context, name: str = "verifier") -> Verifier:
    """Teach a verifier by copies planted in images, each against its source and against other patients' images.

    Pairs of two images of one patient that are not copy and source teach nothing: whether they are similar is not
    known.

    Args:
        lesson: Images of patients whom the verifier will not judge.
        planted: Number of planted copies.
        context: Seed, device, progress.
        name: What is trained, for the seed.

    Raises:
        DataError: Fewer than four patients.
    """
    if lesson.patient_count < MIN_PATIENTS:
        raise DataError(f"{lesson.patient_count} patients are too few to learn from; give at least {MIN_PATIENTS}")
    if len(lesson.shape) == 3:
        planted = max(1, planted // 3)  # a volume takes ten times longer and tells more
    seed = derive_seed(context.seed, name, "verifier")
    rng = generator_for(seed, "lesson")
    if len(lesson) > LESSON:
        lesson = lesson.take(np.sort(rng.permutation(len(lesson))[:LESSON]))
    source = np.concatenate([rng.permutation(len(lesson)) for _ in range(-(-planted // len(lesson)))])[:planted]
    images = torch.from_numpy(np.array(lesson.pixels))[:, None].to(context.device)
    other = np.array([rng.choice(np.flatnonzero(lesson.patients != lesson.patients[row])) for row in source])
    queries = plant(images[source], images[other], step_generator(seed, "plant"))
    # A third are not copies but images as they are, compared with other patients only.
    plain = torch.from_numpy(rng.permutation(len(lesson))[: max(1, planted // 3)])
    queries = torch.cat([queries, images[plain]])
    owner = np.concatenate([source, plain.numpy()])
    allowed = np.ones((len(queries), len(lesson)), dtype=bool)
    allowed[planted:] = lesson.patients[plain.numpy()][:, None] != lesson.patients[None, :]
    ready = Prepared(queries), Prepared(images)
    found = candidates(*ready, allowed=torch.from_numpy(allowed).to(context.device), track=context.track)
    numbers = []
    with torch.no_grad():
        for _, query, image, pose in register(*ready, found, track=context.track):
            numbers.append(compare(query, image, pose).cpu().numpy())
    rows, columns = found.rows.cpu().numpy(), found.columns.cpu().numpy()
    copies = (rows < planted) & (columns == owner[rows])
    told = copies | (lesson.patients[columns] != lesson.patients[owner[rows]])
    return Verifier.fit(np.concatenate(numbers)[told], copies[told])
