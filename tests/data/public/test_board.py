"""From a public source's folder to a track of the board: run, submitted, verified by another, listed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.board.build import build_board
from memobench.board.site import write_site
from memobench.data.public import _published
from memobench.data.public._published import as_text, draw
from memobench.data.public._source import SOURCES
from memobench.run import run
from memobench.settings import RunSettings
from memobench.submissions.settings import SubmitSettings, VerifySettings
from memobench.submissions.submit import submit
from memobench.submissions.verify import verify, write_verification
from PIL import Image

TASKS_OF = {"chestxray14": "xray", "organmnist3d": "ct2d", "mrnet": "mr2d"}
MODELS = {"chestxray14": "noise", "organmnist3d": "replay", "mrnet": "noise"}
CARRIED = {"chestxray14"}  # of organmnist3d the samples are patients, and those of mrnet nobody may publish


def _with_one_image_changed(name: str, root: Path) -> None:
    """One image of the split a little brighter."""
    split, source = _published.published(name, "mini"), SOURCES.get(name)
    record = split.choose(source.records(root))[0][0]
    file = root / record.files[0]
    if file.suffix == ".png":
        pixels = np.asarray(Image.open(file)).copy()
        pixels[:20] = 255 - pixels[:20]
        Image.fromarray(pixels).save(file)
    elif file.suffix == ".npy":
        volume = np.load(file)
        volume[:, :10] = 255 - volume[:, :10]
        np.save(file, volume)
    else:
        with np.load(file) as archive:
            arrays = dict(archive)
        assert record.member is not None
        part, row = record.member
        arrays[part][row, :, :20] = 255 - arrays[part][row, :, :20]
        np.savez_compressed(file, **arrays)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TASKS_OF))
def test_a_real_run_becomes_a_row_of_its_own_track(
    name: str, miniature: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, source = miniature(name), SOURCES.get(name)
    (tmp_path / "splits").mkdir()
    monkeypatch.setattr(_published, "FOLDER", tmp_path / "splits")
    split = draw(source, source.records(root), 24)
    (tmp_path / "splits" / f"{name}-mini.json").write_text(as_text(split))
    settings = RunSettings(
        MODELS[name],
        TASKS_OF[name],
        data=f"{name}:mini={root}",
        preset="smoke",
        samples=16,
        out=tmp_path / "runs",
        device="cpu",
    )
    _, made = run(settings)
    into = tmp_path / "leaderboard" / "submissions"
    submission, folder = submit(SubmitSettings(made, "A group", data=str(root), into=into), practice=True)
    there = {file.name for file in folder.iterdir()}
    assert there == {"scores.npz", "submission.json", *(["samples.npz"] if name in CARRIED else [])}
    text = (folder / "submission.json").read_text()
    assert not [record.scan for record in source.records(root) if f'"{record.scan}"' in text]
    if name != "mrnet":  # whose ids are four digits, which many a number holds
        assert not [record.scan for record in source.records(root) if record.scan.removesuffix(".png") in text]
    assert f"--data {name}:mini " in submission.command

    # a second person, with an own copy of the data in an own place
    theirs = tmp_path / "elsewhere"
    shutil.copytree(root, theirs)
    asked = VerifySettings(
        "rescored", samples=made / "samples.npz", data=str(theirs), out=tmp_path / "their_runs", device="cpu"
    )
    found = verify(folder, asked, practice=True)
    assert found.passed, found
    assert {"copy_rate", "samples with the same called"} <= {row.metric for row in found.differences}
    assert found.leaks
    write_verification(found, folder)
    _with_one_image_changed(name, theirs)
    with pytest.raises(MemobenchError, match="the same patients, but other pixels"):
        verify(folder, asked, practice=True)

    boards = build_board(into)
    assert [board.frame.data for board in boards] == [f"{name}:mini"]
    (entry,) = boards[0].entries
    assert entry.row.level == "rescored"
    write_site(boards, tmp_path / "site")
    page = (tmp_path / "site" / f"{TASKS_OF[name]}-{name}-mini.html").read_text()
    for words in (split.ids, submission.result.identity.split_digest, source.title):
        assert words in page
    assert "data:image" not in (tmp_path / "site" / "entry" / f"{entry.row.key}.html").read_text()
