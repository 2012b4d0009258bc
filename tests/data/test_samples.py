"""Samples keep the values that their generator gave them, and what says no values is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.data.hub import from_hub
from memobench.data.samples import samples_from, samples_of
from PIL import Image

SHAPE = (16, 16)
BYTES = np.random.default_rng(0).integers(40, 200, (5, *SHAPE), dtype=np.uint8)  # no black, no white: never stretched
EXACT = BYTES.astype(np.float32) / np.float32(255)


def _files(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k}.png")
    return folder


def test_eight_bit_images_keep_every_value(tmp_path: Path) -> None:
    colour = np.repeat(BYTES[..., None], 3, axis=-1)
    batch = tmp_path / "batch.npz"
    np.savez(batch, images=BYTES)
    unit = tmp_path / "unit.npz"
    np.savez(unit, samples=EXACT)
    signed = tmp_path / "signed.npy"
    np.save(signed, EXACT * 2 - 1)
    for read in (
        samples_from(_files(tmp_path / "grey", BYTES), SHAPE),
        samples_from(_files(tmp_path / "colour", colour), SHAPE),
        samples_from(batch, SHAPE),
        samples_from(unit, SHAPE),
        samples_from(signed, SHAPE, (-1.0, 1.0)),
        samples_of(BYTES, SHAPE),
        samples_of(colour, SHAPE),
        samples_of(EXACT[:, None] * 2 - 1, SHAPE, (-1.0, 1.0)),
    ):
        assert np.array_equal(read.pixels, EXACT)
        assert read.pixels.dtype == np.float32


def test_volumes_and_even_images_are_read(tmp_path: Path) -> None:
    volume = np.zeros((8, 8, 8), dtype=np.uint8)
    (tmp_path / "v").mkdir()
    for k in range(3):
        np.savez(tmp_path / "v" / f"{k}.npz", vol=volume)
    assert samples_from(tmp_path / "v", (8, 8, 8)).pixels.max() == 0
    assert samples_from(_files(tmp_path / "even", np.full((2, *SHAPE), 7, np.uint8)), SHAPE).pixels.shape == (2, 16, 16)


@pytest.mark.parametrize("values", [EXACT * 2 - 1, EXACT * 255, (BYTES.astype(np.int16) * 4 - 1000)])
def test_values_that_say_nothing_are_asked_for(values: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match="--value-range"):
        samples_from(tmp_path / "x.npy", SHAPE)
    each = samples_from(tmp_path / "x.npy", SHAPE, "each")
    assert each.pixels.min() == 0
    assert each.pixels.max() == 1


def test_dim_images_of_sixteen_bit_are_noted(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BYTES.astype(np.uint16) * 16)
    assert any("--value-range" in note for note in samples_from(tmp_path / "x.npy", SHAPE).notes)


def test_a_broken_file_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    folder = _files(tmp_path / "made", BYTES)
    (folder / "9.png").write_bytes((folder / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"9\.png"):
        samples_from(folder, SHAPE)
    assert len(samples_from(folder, SHAPE, skip_unreadable=True).pixels) == 5


def test_images_of_the_other_dimension_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2D images"):
        samples_from(_files(tmp_path / "made", BYTES), (16, 16, 16))
    with pytest.raises(DataError, match="2D, and the real images 3D"):
        samples_of(BYTES, (16, 16, 16))
    with pytest.raises(DataError, match="there are no samples"):
        samples_of(BYTES[:0], SHAPE)


def test_the_hub_offline_says_how_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    import huggingface_hub

    def refuse(*given: object, **more: object) -> None:
        raise OSError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(MemobenchError, match="hf download owner/name --repo-type dataset --local-dir DIR") as caught:
        samples_from("hub:owner/name", SHAPE)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="hub:OWNER/NAME"):
        from_hub("hub:../../etc", "model")
