"""Tracks on real data beside those on embedded data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.base.errors import UsageError
from memobench.board.build import board_json, build_board
from memobench.board.formats import csv_board, text_board
from memobench.board.read import Frame
from memobench.board.show import show_board
from memobench.board.site import write_site
from memobench.data.public._published import published

from .conftest import Shelf, figures

MINI = published("chestxray14", "mini")
REAL = {"data": MINI.data, "split_ids": MINI.ids, "split_digest": "5" * 64}


@pytest.fixture
def both(filled: Shelf) -> Shelf:
    """The phantom's track, and one on real data with an entry that was prepared from other files."""
    for seed in range(3):
        filled.put("ldm", seed, metrics=figures(0.1, 20.0), identity=REAL)
        filled.put("gan", seed, metrics=figures(0.0, 25.0), identity=REAL)
    filled.put("vae", 0, metrics=figures(0.0, 12.0), identity={**REAL, "split_digest": "6" * 64})
    filled.put("flow", 0, metrics=figures(0.0, 12.0), identity={**REAL, "split_ids": "7" * 64})
    filled.put("ddpm", 1, metrics=figures(0.0, 12.0), identity={"data": "my_folder"})
    return filled


def test_a_real_split_is_a_track_of_its_own(both: Shelf, frame: Callable[[str], Frame]) -> None:
    phantom, real = build_board(both.submissions, frame=frame)
    assert (phantom.frame.data, phantom.frame.slug, phantom.frame.name) == ("phantom", "xray", "xray")
    assert (real.frame.slug, real.frame.name) == ("xray-chestxray14-mini", "xray on chestxray14:mini")
    assert {entry.row.model for entry in real.ranked} == {"ldm", "gan"}
    unranked = {entry.row.model: entry.row.unranked for entry in real.entries if entry.rank is None}
    assert unranked["vae"] == "measured on images prepared from other files than the board's"
    assert unranked["flow"] == "measured on other data than the board's"
    (stray,) = [entry for entry in phantom.entries if entry.row.unranked == "measured on other data than the board's"]
    assert stray.row.model == "ddpm"
    assert {entry.row.model for entry in phantom.ranked} == {"ldm", "gan", "vae", "flow"}


def test_the_phantoms_track_stays_what_it_was(
    filled: Shelf, frame: Callable[[str], Frame], request: pytest.FixtureRequest
) -> None:
    before = json.loads(board_json(build_board(filled.submissions, frame=frame)))
    request.getfixturevalue("both")
    after = json.loads(board_json(build_board(filled.submissions, frame=frame)))
    names = {entry["key"] for entry in before["tasks"][0]["entries"]}
    held = {**after["tasks"][0], "entries": [one for one in after["tasks"][0]["entries"] if one["key"] in names]}
    assert held == before["tasks"][0]
    assert after["tasks"][1]["frame"]["data"] == "chestxray14:mini"


def test_one_track_can_be_asked_for(both: Shelf, frame: Callable[[str], Frame]) -> None:
    (real,) = build_board(both.submissions, data="chestxray14:mini", frame=frame)
    assert real.frame.data == "chestxray14:mini"
    assert "xray on chestxray14:mini: NIH ChestX-ray14, mini split, chest radiograph, 64x64" in text_board([real])
    assert csv_board([real]).splitlines()[1].startswith("xray,chestxray14:mini,1,")
    assert build_board(both.submissions, data="mrnet:mini", frame=frame) == []
    for words in ("mrnet", "mrnet:tiny", "mrnet:mini=/data", "my_folder"):
        with pytest.raises(UsageError, match="is no track; there are submissions on phantom, chestxray14:mini"):
            build_board(both.submissions, data=words, frame=frame)
    with pytest.raises(UsageError, match="one track; name it by --task and --data"):
        show_board(both.submissions, "xray", "html")


def test_the_site_says_whose_images_they_are(both: Shelf, frame: Callable[[str], Frame], tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(build_board(both.submissions, frame=frame), site)
    index = (site / "index.html").read_text()
    assert 'href="xray.html"' in index
    assert 'href="xray-chestxray14-mini.html"' in index
    page = (site / "xray-chestxray14-mini.html").read_text()
    for words in ("real patients", "NIH Clinical Center", MINI.ids, "5" * 64, "--data chestxray14:mini=DIR"):
        assert words in page
    assert "real patients" not in (site / "xray.html").read_text()
    texts = [page.read_text() for page in (site / "entry").glob("xray-gan-*.html")]
    assert sum('href="../xray-chestxray14-mini.html"' in text for text in texts) == 1
