"""Audits of sets with known truth, and whether each decision is the one that must be given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from memobench.audit.run import audit_set
from memobench.base.errors import MemobenchError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.calibration.scene import Scene, Sets, Situation
from memobench.data.arrays import images_of
from memobench.detection.recall import Recall
from memobench.images import Images

DRAWS_PER_SIDES = 20  # then the patients are assigned to train, holdout and strangers again


@dataclass(frozen=True)
class Plan:
    """How situations are drawn and audited.

    Attributes:
        out: Where stages are stored; situations with the same real images share a detector.
        preset: The detector's.
        draws: Numbers of the draws. After every ``DRAWS_PER_SIDES`` the patients change their sides; the first draws
            keep those of the scene.
        seed: Of everything that is drawn.
    """

    out: Path
    preset: str = "quick"
    draws: Sequence[int] = (0,)
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What an audit said of a situation.

    Attributes:
        situation: Which one.
        given: The word of the decision, or "refused".
        sentence: Its sentence, or the error.
        copies: Copies in the set, of which each is known; 0 where none is.
        named: Those of them that the audit holds back.
        others: Images that it holds back besides, though nobody's copies.
    """

    situation: Situation
    given: str
    sentence: str
    copies: int = 0
    named: int = 0
    others: int = 0

    @property
    def right(self) -> bool:
        """Whether the decision is one of those required."""
        return self.given in self.situation.required

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "situation": self.situation.name,
            "truth": self.situation.truth,
            "required": sorted(self.situation.required),
            "given": self.given,
            "sentence": self.sentence,
            "copies": self.copies,
            "named": self.named,
            "others": self.others,
        }


def run_situations(
    scene: Scene,
    chosen: Sequence[Situation],
    plan: Plan,
    *,
    track: Track = silent,
) -> list[Outcome]:
    """Audit each situation, in as many draws as asked for.

    Args:
        scene: Whose images these are.
        chosen: Which situations.
        plan: How often, and with which detector.
        track: Shows progress.

    Returns:
        The outcomes, draw by draw of each situation.
    """
    sides = sorted({draw // DRAWS_PER_SIDES for draw in plan.draws})
    jobs = [
        (side, place, draw)
        for side in sides
        for place in range(len(chosen))
        for draw in plan.draws
        if draw // DRAWS_PER_SIDES == side
    ]
    found: dict[tuple[int, int], Outcome] = {}
    here, around, recall = -1, scene, Recall()
    for side, place, draw in track(jobs, "situations", len(jobs)):
        if side != here:
            random = generator_for(plan.seed, "sides", str(side))
            here, around, recall = side, scene.assigned_again(random) if side else scene, Recall()
        situation = chosen[place]
        sets = situation.make(around, generator_for(seed_of_draw(plan.seed, draw), "situation", situation.name))
        found[place, draw] = _audited(situation, sets, plan, recall)
    return [found[place, draw] for place in range(len(chosen)) for draw in plan.draws]


def seed_of_draw(seed: int, draw: int) -> int:
    """The seed of a draw; that of the first one is the seed itself."""
    return derive_seed(seed, "situations", draw) if draw else seed


def _audited(situation: Situation, sets: Sets, plan: Plan, recall: Recall) -> Outcome:
    try:
        made = images_of(np.clip(sets.synthetic, 0, 1).astype(np.float32), "synthetic")
        real, decoys = _read(sets.train, "train"), None if sets.holdout is None else _read(sets.holdout, "holdout")
        result = audit_set(made, real, decoys, preset=sets.preset or plan.preset, out=plan.out, recall=recall)
    except MemobenchError as error:
        return Outcome(situation, "refused", str(error))
    decision, copies = result.decision, sets.copies
    if copies is None and situation.truth == "no copies":
        copies = np.zeros(len(made), dtype=bool)
    if copies is None:
        return Outcome(situation, decision.word, decision.sentence)
    held = np.isin(made.scans, result.hold_back)
    named = int((held & copies).sum())
    return Outcome(situation, decision.word, decision.sentence, int(copies.sum()), named, int(held.sum()) - named)


def _read(images: Images, side: str) -> Images:
    return images_of(np.asarray(images.pixels), side, images.patients.tolist())


def situations_text(outcomes: Sequence[Outcome]) -> str:
    """The table: situation, truth, required and given decisions, and which images are held back, over all draws.

    Situations with a wrong decision are marked.
    """
    drawn: dict[str, list[Outcome]] = {}
    for one in outcomes:
        drawn.setdefault(one.situation.name, []).append(one)
    rows = [
        (
            "" if all(one.right for one in same) else "WRONG",
            name,
            same[0].situation.truth,
            " or ".join(sorted(same[0].situation.required)),
            _given(same),
            _named(same),
            sum(one.others for one in same) or "",
        )
        for name, same in drawn.items()
    ]
    head = ["", "situation", "truth", "required", "given", "copies named", "others held back"]
    wrong = sum(not one.right for one in outcomes)
    said = f"{len(outcomes) - wrong} of {len(outcomes)} audits give a right decision, in {len(drawn)} situations."
    return f"{said}\n\n{tabulate(rows, head, disable_numparse=True)}"


def _given(same: Sequence[Outcome]) -> str:
    """The decisions of one situation, the most frequent first, with their numbers where it was drawn more than once."""
    words = Counter(one.given for one in same).most_common()
    return ", ".join(word if len(same) == 1 else f"{word} {count}" for word, count in words)


def _named(same: Sequence[Outcome]) -> str:
    """How many of the copies of one situation were held back; "" where none is known."""
    copies = sum(one.copies for one in same)
    return f"{sum(one.named for one in same)} of {copies}" if copies else ""
