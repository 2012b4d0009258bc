from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.images import Images
from memobench.report.region_gallery import draw_regions, regions_csv
from memobench.results import RegionCall, RegionsFound, SideFound

SIDE = SideFound(called=2, certain=1, patients=1, groups=2, expected=0.1, p_count=0.01, p_single=1e-4)


def found(dim: int) -> RegionsFound:
    box = [(4, 20), (0, 16), (0, 8)][:dim]
    calls = [
        RegionCall(
            sample=k, patient="<p>" if k else "", image=k - 1, score=3.0 - k, p_value=1e-4, certain=not k, box=box,
            source=box if k else [], share=0.25,
        )
        for k in range(3)
    ]  # fmt: skip
    return RegionsFound(version="1", searched=9, tau=0.5, train=SIDE, holdout=SIDE, parts=[], calls=calls)


@pytest.mark.parametrize("shape", [(32, 32), (24, 32, 32)])
def test_regions_are_listed_and_drawn(
    shape: tuple[int, ...], make_images: Callable[..., Images], tmp_path: Path
) -> None:
    images = make_images(patients=4, shape=shape)
    record = found(len(shape))
    draw_regions(tmp_path / "regions.png", images.pixels, images, record)
    assert (tmp_path / "regions.png").stat().st_size > 1000
    lines = regions_csv(record).splitlines()
    assert lines[0].startswith("sample,patient,training_image,certain")
    assert lines[1].startswith("0,held out,,yes")
    assert lines[2].startswith("1,<p>,0,,2.0000")
    none = record.model_copy(update={"calls": record.calls[:1]})
    draw_regions(tmp_path / "none.png", images.pixels, images, none)
    assert not (tmp_path / "none.png").exists()
