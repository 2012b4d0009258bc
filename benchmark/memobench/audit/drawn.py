"""Synthetic images that an audit draws: from a checkpoint, or from a model that learns from the training images."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from memobench.audit.settings import AuditSettings
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.place import Place
from memobench.base.seeds import derive_seed
from memobench.base.store import digest_of, load_arrays, save_arrays, writing_into
from memobench.checkpoints.named import EXAMPLES, find_checkpoint, is_checkpoint
from memobench.data.export import export_pixels
from memobench.generator import GENERATORS, Context, Generator, build
from memobench.images import Images
from memobench.provenance import code_digest


def check_source(settings: AuditSettings) -> None:
    """Refuse words that name no synthetic images, or two kinds of them.

    Raises:
        UsageError: Neither or both of a folder and a generator are given, or what belongs to a generator alone.
    """
    if bool(settings.generator) == (settings.synthetic is not None):
        raise UsageError(f"give --synthetic DIR, or --generator {EXAMPLES} or the name of a model")
    if settings.generator:
        return
    if settings.settings or settings.weights or settings.run_their_code:
        raise UsageError("--set, --weights and --run-their-code are for --generator; a folder of images has none")


def draw_images(settings: AuditSettings, train: Images, place: Place) -> tuple[Path, str]:
    """Draw the images to be audited into a folder within ``settings.out``, unless they lie there already.

    A checkpoint is sampled as it is. A model of memobench learns from the training images first, at the shape at which
    they are compared.

    Args:
        settings: Which generator, how many images, which seed.
        train: The training images.
        place: Store, device and progress.

    Returns:
        The folder, which holds 8-bit images alone, and where they come from in words.

    Raises:
        UsageError: An unknown name, or a wrong field or value.
        MemobenchError: The checkpoint cannot be used, or the model not be trained.
    """
    generator, digest = _generator(settings, train.shape)
    if reason := generator.skip(train.shape):
        raise MemobenchError(f'"{settings.generator}" cannot model these images: {reason}')
    if generator.NEEDS_FRESH:
        raise UsageError(f'"{settings.generator}" gives out other patients of a task, which an audit has not')
    key = {"generator": digest, "train": train.digest, "seed": settings.seed}

    def fit(into: Path, scratch: Path) -> None:
        context = Context(derive_seed(settings.seed, "audited fit"), place.device, place.track, checkpoints=scratch)
        save_arrays(into / "state.safetensors", generator.fit(train, context=context).state())

    fitted, _ = place.store.get("audited-fit", key, fit)
    folder = settings.out / f"drawn-{digest_of({**key, 'count': settings.count})}"
    if not folder.is_dir():
        generator.restore(load_arrays(fitted / "state.safetensors"), device=place.device)
        pixels = generator.sample(settings.count, seed=derive_seed(settings.seed, "audited samples"))
        with writing_into(settings.out):
            settings.out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".drawn.", dir=settings.out) as scratch:
                export_pixels(pixels, Path(scratch) / "images")
                (Path(scratch) / "images").replace(folder)
    as_it_is = is_checkpoint(settings.generator) and not generator.notes()
    learned = "sampled as it is" if as_it_is else "after learning from the training images"
    words = f"{settings.count} images drawn from {settings.generator}, {learned}, seed {settings.seed}"
    return folder, f"{words} (digest {digest[:12]}); they lie in {folder.name}"


def _generator(settings: AuditSettings, shape: tuple[int, ...]) -> tuple[Generator, str]:
    """The generator, unfitted or trained elsewhere, and the digest of all that its samples depend on."""
    if is_checkpoint(settings.generator):
        found = find_checkpoint(
            settings.generator,
            settings.settings,
            shape,
            weights=settings.weights,
            run_their_code=settings.run_their_code,
        )
        words = repr(found.generator)
        return found.generator, hashlib.sha256(f"{found.digest} {words}".encode()).hexdigest()
    if settings.weights or settings.run_their_code:
        raise UsageError(f"--weights and --run-their-code are for checkpoints: --generator {EXAMPLES}")
    kind = GENERATORS.get(settings.generator)
    generator = build(kind, settings.generator, settings.preset, settings.settings)
    return generator, hashlib.sha256(f"{code_digest(kind)} {generator!r}".encode()).hexdigest()
