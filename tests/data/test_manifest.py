"""manifest.csv as people save it: separators, encodings, capitals, paths; what is wrong is named by its line."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.data.files.inspect import survey
from memobench.data.manifest import find_manifest, manifest_columns, read_manifest
from PIL import Image

ROWS = [f"sub/{k}.png,{k // 2},s{k},a" for k in range(4)]
HEAD = "file,patient_id,scan_id,site"


def _folder(root: Path, lines: Sequence[str], encoding: str = "utf-8", name: str = "manifest.csv") -> Path:
    (root / "sub").mkdir(parents=True, exist_ok=True)
    for k in range(4):
        Image.fromarray((np.arange(64, dtype=np.uint8) * (k + 1)).reshape(8, 8)).save(root / "sub" / f"{k}.png")
    (root / name).write_bytes("\n".join(lines).encode(encoding))
    return root


@pytest.mark.parametrize(
    "lines",
    [
        [line.replace(",", ";") for line in (HEAD, *ROWS)],
        [line.replace(",", "\t") for line in (HEAD, *ROWS)],
        [line.replace(",", ", ") for line in (HEAD, *ROWS)],
        ["File, Patient_ID,SCAN_ID,site", *ROWS],
        [HEAD, *[line.replace("sub/", "sub\\") for line in ROWS]],
        [HEAD, *[f"./{line}" for line in ROWS]],
        [f"{line}\r" for line in (HEAD, *ROWS, "", ",,,")],
        [f"{k},{line}" for k, line in enumerate((HEAD, *ROWS))],
    ],
    ids=["semicolons", "tabs", "spaces", "capitals", "backslashes", "dots", "empty lines", "numbered"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_people_save_them(tmp_path: Path, lines: list[str], encoding: str) -> None:
    manifest = read_manifest(_folder(tmp_path, lines, encoding))
    assert [file.name for file in manifest.files] == [f"{k}.png" for k in range(4)]
    assert manifest.patients == ("0", "0", "1", "1")
    assert manifest.scans == ("s0", "s1", "s2", "s3")
    assert manifest_columns(tmp_path, ["site"]) == {f"sub/{k}.png": ("a",) for k in range(4)}


def test_absolute_paths_from_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _folder(Path("set"), [HEAD, *[f"{tmp_path}/set/{line}" for line in ROWS]])
    found = survey(Path("set"))
    assert [item.file for item in found.items] == [f"sub/{k}.png" for k in range(4)]
    assert set(manifest_columns(Path("set"), ["site"])) == {item.file for item in found.items}


def test_a_name_in_another_form_of_unicode_is_found(tmp_path: Path) -> None:
    root = _folder(tmp_path, [HEAD, "sub/é.png,1,s,a"])
    (root / "sub" / "0.png").rename(root / "sub" / unicodedata.normalize("NFD", "é.png"))
    assert read_manifest(root).files[0].is_file()


def test_its_name_may_be_in_capitals(tmp_path: Path) -> None:
    root = _folder(tmp_path, [HEAD, *ROWS], name="Manifest.CSV")
    found = find_manifest(root)
    assert found
    assert found.name.casefold() == "manifest.csv"
    assert survey(root).how == "manifest.csv"


def test_the_line_that_is_wrong_is_named_as_an_editor_counts(tmp_path: Path) -> None:
    root = _folder(tmp_path, [HEAD, "", "", ROWS[0], "", "none.png,1,s,a"])
    with pytest.raises(DataError, match=r"line 6: there is no file none\.png"):
        read_manifest(root)


def test_many_lines_of_which_one_is_double_take_no_time(tmp_path: Path) -> None:
    root = _folder(tmp_path, [HEAD, *ROWS])
    for k in range(4, 3000):
        os.link(root / "sub" / "0.png", root / "sub" / f"{k}.png")
    lines = [HEAD, *[f"sub/{k}.png,{k},s,a" for k in range(3000)], "./sub/7.png,7,s,a"]
    (root / "manifest.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"lists sub/7\.png twice"):
        read_manifest(root)
