from __future__ import annotations

import os
from pathlib import Path

from memobench.data.files.walk import files_in, shown


def test_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.dcm", "a/IM1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in (
        ".hidden",
        ".git/x.png",
        "__MACOSX/b.png",
        "manifest.csv",
        "n.JSON",
        "r.txt",
        "a/DICOMDIR",
        "Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_in(tmp_path) == (["a/IM1", "a/c.dcm", "b.png"], 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret.png").touch()
    (root / "a.png").touch()
    (root / "file.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    assert files_in(root) == (["a.png"], 3)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert files_in(tmp_path) == ([], 0)


def test_a_name_that_is_no_text_can_be_printed() -> None:
    assert shown(os.fsdecode(b"a\xff.png")) == "a\\udcff.png"
