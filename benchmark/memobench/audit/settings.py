"""What an audit is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from memobench.base.words import KEY, Size, Spelling, size_of, spell_size, word

MAX_IMAGE_GIB = 4.0


@dataclass(frozen=True)
class AuditSettings:
    r"""What an audit is asked to do: the words of ``bench audit``.

    Attributes:
        synthetic: Folder of the synthetic images; or give --generator.
        train: Folder of the images that the generator learned from.
        holdout: Folder of images of patients whom the generator never saw.
        dim: 2 for images, 3 for volumes; by default it is found from the data.
        size: Side length that images are brought to, or the sides, for example 32x256x256; by default 64, volumes 32,
            or less where images are smaller.
        patient_regex: Where a file's path names the patient, for example 'p(\d+)_'.
        skip_unreadable: Go on without files that cannot be read, and say so.
        max_image_gib: Refuse files that declare more pixels than this.
        preset: How much the detector is trained.
        device: auto, cpu, cuda, cuda:1, ...
        out: Folder of the report.
        clean: Copy the images that match nobody into this new folder.
        policy: TOML file of limits that decide pass or fail; exit status 1 on a fail.
        strata: Columns of manifest.csv that explain how train and holdout differ, for example site,view.
        generator: Draw the synthetic images from this: a checkpoint, diffusers:DIR, monai:DIR or torch:FILE.py:CLASS
            (DIR may be hub:OWNER/NAME); or a model of `bench list models`, which learns from the training images first.
        count: With --generator: how many images are drawn.
        seed: With --generator: of fit and sampling.
        settings: With --generator: set one of its fields; may be repeated.
        weights: Of torch:FILE.py:CLASS: its weights, a safetensors file.
        run_their_code: Of monai: evaluate the bundle's own configuration, which may do anything.
        store: Delete the stored stages, which hold the real images, at the end; a repeated audit is slower then.
    """

    synthetic: Path | None = field(metadata={KEY: Spelling(optional=True)})
    train: Path
    holdout: Path | None = None
    dim: int | None = word(None, least=2, most=3)
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    patient_regex: str | None = None
    skip_unreadable: bool = False
    max_image_gib: float = word(MAX_IMAGE_GIB, least=1e-6)
    preset: str = "quick"
    device: str = "auto"
    out: Path = Path("audit")
    clean: Path | None = None
    policy: Path | None = None
    strata: tuple[str, ...] = word((), joined=True, metavar="COLUMN,COLUMN")
    generator: str = word("", metavar="KIND:WHERE|NAME")
    count: int = word(256, least=1)
    seed: int = 0
    settings: Mapping[str, str] = word({}, flag="set", metavar="FIELD=VALUE")
    weights: Path | None = word(None, metavar="FILE")
    run_their_code: bool = False
    store: bool = True

    @property
    def made(self) -> Path:
        """The folder of the synthetic images, once it is known.

        Raises:
            ValueError: They have not been drawn yet.
        """
        if self.synthetic is None:
            raise ValueError("the synthetic images have not been drawn yet")
        return self.synthetic
