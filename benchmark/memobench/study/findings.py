"""What was published on memorization in generative models of medical images, as comparisons that runs can decide.

Dar et al. (Nature Biomedical Engineering 2025) trained latent diffusion models, VAEs and GANs on patient images. They
report that latent diffusion memorizes more and makes better images, and that augmentation, a smaller network, more
training images and a shorter training lower memorization. Each factor here is varied alone, from one arm that all
share, the model as its preset stands. A further factor is not theirs: mitigations, what each lowers, and its price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Arm:
    """One way to train: everything that its runs have in common but the seed.

    Attributes:
        label: Its name in tables and figures.
        model: Name of the generator.
        settings: Fields set by hand, as text.
        length: Optimizer steps, as a share of the preset's (field ``steps``).
        patients: Training patients, as a share of the task's.
    """

    label: str
    model: str
    settings: Mapping[str, str] = field(default_factory=dict)
    length: float = 1.0
    patients: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """A claim: the first arm's metrics lie above the second's."""

    more: str
    less: str


@dataclass(frozen=True)
class Finding:
    """What was published, and the comparisons that must all hold for it to be reproduced.

    Attributes:
        name: Short name.
        claim: In words.
        metrics: What it is judged by: :data:`MEMORIZATION` or :data:`QUALITY` (a distance: more is worse).
        comparisons: Labels of arms of the factor.
    """

    name: str
    claim: str
    metrics: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Factor:
    """One thing that is varied.

    Attributes:
        name: Short name, for files.
        title: What is varied, for figures.
        arms: Its levels in order.
        findings: What was published about it.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    findings: tuple[Finding, ...]

    def brief(self) -> Factor:
        """The same with only the arms that a finding compares.

        >>> [arm.label for arm in factors()[1].brief().arms]
        ['ldm', 'strong augmentation']
        """
        compared = {
            label for finding in self.findings for pair in finding.comparisons for label in (pair.more, pair.less)
        }
        return replace(self, arms=tuple(arm for arm in self.arms if arm.label in compared))


# The train share sees a little memorization and ends at 100%; the copy rate begins where whole images are copied.
SHARE, RATE, DISTANCE = "train_share", "copy_rate", "fd_ssl"
MEMORIZATION, QUALITY = (SHARE, RATE), (DISTANCE,)

# The entries that are one model with a defence of its patients, beside augmentation, which every trained model has.
MITIGATED = {"ldm": ("ldm_early", "ldm_deduplicated", "ldm_filtered"), "vae": ("vae_private",)}


def factors(model: str = "ldm", others: Sequence[str] = ("vae", "gan")) -> tuple[Factor, ...]:
    """The six findings, about a model and the models that it is compared with.

    >>> [factor.name for factor in factors()]
    ['model', 'augmentation', 'width', 'patients', 'length']
    """
    base = Arm(model, model)
    pairs = tuple(Comparison(model, other) for other in others)
    worse = tuple(Comparison(other, model) for other in others)
    against = " and ".join(others)
    return (
        Factor(
            "model",
            "kind of model",
            (base, *(Arm(other, other) for other in others)),
            (
                Finding("memorizes more", f"{model} memorizes more than {against}", MEMORIZATION, pairs),
                Finding("better quality", f"{model} makes better images than {against}", QUALITY, worse),
            ),
        ),
        Factor(
            "augmentation",
            "augmentation of the training images",
            (base, *(Arm(f"{name} augmentation", model, {"augment": name}) for name in ("study", "strong"))),
            (
                Finding(
                    "augmentation",
                    "augmentation lowers memorization",
                    MEMORIZATION,
                    (Comparison(model, "strong augmentation"),),
                ),
            ),
        ),
        Factor(
            "width",
            "width of the networks",
            (Arm("small networks", model, {"width": "small"}), base, Arm("large networks", model, {"width": "large"})),
            (
                Finding(
                    "architecture",
                    "a smaller architecture lowers memorization",
                    MEMORIZATION,
                    (Comparison(model, "small networks"),),
                ),
            ),
        ),
        Factor(
            "patients",
            "training patients",
            (
                Arm("quarter of the patients", model, patients=0.25),
                Arm("half of the patients", model, patients=0.5),
                base,
            ),
            (
                Finding(
                    "training images",
                    "more training images lower memorization",
                    MEMORIZATION,
                    (Comparison("quarter of the patients", model),),
                ),
            ),
        ),
        Factor(
            "length",
            "training length",
            (Arm("quarter of the steps", model, length=0.25), Arm("half of the steps", model, length=0.5), base),
            (
                Finding(
                    "training length",
                    "longer training raises memorization",
                    MEMORIZATION,
                    (Comparison(model, "quarter of the steps"),),
                ),
            ),
        ),
    )


def mitigations(model: str = "ldm") -> Factor:
    """What each mitigation lowers, and what it costs: the Fréchet distance that it adds.

    >>> [arm.label for arm in mitigations("vae").arms]
    ['vae', 'strong augmentation', 'vae_private']
    """
    augmented = Arm("strong augmentation", model, {"augment": "strong"})
    arms = (augmented, *(Arm(name, name) for name in MITIGATED.get(model, ())))
    findings = []
    for arm in arms:
        lowers, costs = (Comparison(model, arm.label),), (Comparison(arm.label, model),)
        findings.append(Finding(f"{arm.label} lowers", f"{arm.label} lowers memorization", MEMORIZATION, lowers))
        findings.append(Finding(f"{arm.label} costs", f"{arm.label} costs quality", QUALITY, costs))
    return Factor("mitigation", "mitigation", (Arm(model, model), *arms), tuple(findings))
