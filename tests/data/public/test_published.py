"""Published splits: those of the repository, and how a folder is brought to one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.base.errors import DataError, UsageError
from memobench.base.store import Store
from memobench.cli.main import main
from memobench.data.public import _published
from memobench.data.public._prepare import list_all
from memobench.data.public._published import (
    ONLY,
    PublishedSplit,
    as_text,
    draw,
    id_digest,
    ids_digest,
    names_of,
    published,
    split_of_folder,
)
from memobench.data.public._source import SOURCES, Record
from memobench.data.splits import load_splits
from memobench.run import plan
from memobench.settings import RunSettings
from memobench.task import TASKS

Build = Callable[[str], Path]
COMMITTED = [(source, name) for source in SOURCES.names() for name in names_of(source)]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[PublishedSplit], PublishedSplit]:
    """Put a split where those of the repository lie."""
    folder = tmp_path / "splits"
    folder.mkdir()
    monkeypatch.setattr(_published, "FOLDER", folder)

    def put(split: PublishedSplit) -> PublishedSplit:
        (folder / f"{split.source}-{split.name}.json").write_text(as_text(split), encoding="utf-8")
        return published(split.source, split.name)

    return put


def test_sources_of_all_modalities_have_a_split_for_a_small_machine() -> None:
    assert {"chestxray14", "lidc_idri", "mrnet", "organmnist3d"} <= {source for source, name in COMMITTED}
    tasks = {task for source, _ in COMMITTED for task in SOURCES.get(source).tasks}
    assert tasks == {"xray", "ct", "ct2d", "mr", "mr2d"}


@pytest.mark.parametrize(("name", "split"), COMMITTED)
def test_a_committed_split_is_whole(name: str, split: str) -> None:
    source, held = SOURCES.get(name), published(name, split)
    assert (held.source, held.name) == (name, split)
    assert 150 <= len(held.members) <= 300
    assert len({one.patient for one in held.members}) == len(held.members)
    assert held.counts["train"][0] == held.counts["holdout"][0] == len(held.members) // 3
    assert held.digests is not source.shares
    if held.digests:
        names = [id_ for one in held.members for id_ in (one.patient, *one.scans)]
        assert all(len(one) == 16 and set(one) <= set("0123456789abcdef") for one in names)
    else:
        triples = [(one.side, one.patient, scan) for one in held.members for scan in one.scans]
        assert held.ids == ids_digest(name, triples)
        assert [one.patient for one in held.members] == sorted(one.patient for one in held.members)


def test_a_folder_is_brought_to_the_split(
    miniature: Build, publish: Callable[[PublishedSplit], PublishedSplit], tmp_path: Path
) -> None:
    root, source = miniature("chestxray14"), SOURCES.get("chestxray14")
    split = publish(draw(source, source.records(root), 24, rule="of a miniature"))
    data = f"chestxray14:mini={root}"
    splits, *_ = load_splits(TASKS.get("xray"), data, 32, store=Store(tmp_path / "store"))
    assert splits.ids == split.ids
    for side, (patients, images) in split.counts.items():
        assert (getattr(splits, side).patient_count, len(getattr(splits, side))) == (patients, images)
    assert splits.dev is None
    assert f"published split chestxray14:mini, ids {split.ids}" in splits.notes[0]
    assert f"{split.images} images of 24 patients of NIH ChestX-ray14, split mini," in plan(
        RunSettings("noise", "xray", data=data)
    )
    # the whole folder is another split, and so is a part of this one
    whole, *_ = load_splits(TASKS.get("xray"), f"chestxray14={root}", 32, store=Store(tmp_path / "store"))
    assert len(whole.ids) == 64
    assert whole.ids != splits.ids != splits.limited(4).ids
    assert splits.limited(4).ids


def test_all_images_of_a_split_must_be_there(
    miniature: Build, publish: Callable[[PublishedSplit], PublishedSplit], tmp_path: Path
) -> None:
    root, source = miniature("mrnet"), SOURCES.get("mrnet")
    records = source.records(root)
    split = publish(draw(source, records, 24))
    (gone, *_), _ = split.choose(records)
    (root / gone.files[0]).unlink()
    with pytest.raises(DataError, match="1 of the 24 images of the split mrnet:mini are not there"):
        list_all(source, root, split=split)
    left = load_splits(
        TASKS.get("mr2d"), f"mrnet:mini={root}", 32, store=Store(tmp_path / "store"), skip_unreadable=True
    )[0]
    assert left.ids != split.ids
    assert "so this is another split" in " ".join(left.notes)


def test_digests_choose_what_ids_choose(miniature: Build) -> None:
    root, source = miniature("mrnet"), SOURCES.get("mrnet")
    records = source.records(root)
    hidden = draw(source, records, 24)
    open_one = draw(dataclasses.replace(source, shares=True), records, 24)
    assert hidden.digests
    assert not open_one.digests
    assert hidden.choose(records) == open_one.choose(records)
    assert hidden.ids == open_one.ids
    assert id_digest("mrnet", records[0].patient) != id_digest("ixi", records[0].patient)
    text = as_text(hidden)
    assert not [one for one in records if f'"{one.patient}"' in text]


def test_a_patients_only_scan_needs_no_name() -> None:
    source = SOURCES.get("lidc_idri")
    split = draw(source, [Record((), f"p{number:02d}", ONLY) for number in range(20)], 15)
    there = [Record((f"{number}.dcm",), f"p{number:02d}", f"whatever/{number}") for number in range(20)]
    chosen, sides = split.choose(there)
    assert len(chosen) == len(sides) == split.images == 15
    again = [*there, dataclasses.replace(chosen[0], scan="a second one")]
    with pytest.raises(DataError, match="has 2 scans"):
        split.choose(again)


def test_a_wrong_name_and_a_damaged_file_are_said(publish: Callable[[PublishedSplit], PublishedSplit]) -> None:
    with pytest.raises(UsageError, match='ixi has no split "mini": none is published; leave :mini out'):
        published("ixi", "mini")
    split = publish(draw(SOURCES.get("ixi"), [Record((), f"IXI{number}", "a") for number in range(15)], 15))
    with pytest.raises(UsageError, match="it has mini"):
        published("ixi", "tiny")
    file = _published.FOLDER / "ixi-mini.json"
    value = json.loads(as_text(split))
    value["members"][0][0] = "nowhere"
    for text, reason in (
        (as_text(split)[:-9], "is no split"),
        (json.dumps({**value, "members": 3}), "is no split"),
        (json.dumps(value), "there is no side nowhere"),
    ):
        Path(str(file)).write_text(text)
        with pytest.raises(DataError, match=reason):
            published("ixi", "mini")


def test_whoever_holds_a_source_can_draw_its_split(miniature: Build, capsys: pytest.CaptureFixture[str]) -> None:
    root = miniature("ixi")
    with pytest.raises(SystemExit, match="0"):
        main(["data", "split", f"ixi={root}", "--patients", "20", "--rule", "of a miniature"])
    split = split_of_folder(f"ixi={root}", 20, rule="of a miniature")
    assert capsys.readouterr().out == as_text(split)
    assert len(split.members) == 20
    for words in ("nothing=x", "ixi:mini"):
        with pytest.raises(UsageError, match="is no source"):
            split_of_folder(words, 20)
