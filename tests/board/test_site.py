from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError
from memobench.board.build import build_board
from memobench.board.read import Frame, Listed
from memobench.board.site import gallery, write_site
from memobench.submissions.records import Disclosures, Submitter
from PIL import Image, PngImagePlugin

from .conftest import FRAME, Shelf

MakeFrame = Callable[[str], Frame]
ATTACK = "</title></style></script>'\"><script>window.hit=1</script><img src=x onerror=window.hit=1>{{ 7*7 }}"
NAME = ATTACK.replace("/", "")  # as a folder's name


class Links(HTMLParser):
    """What a page refers to, and which ids it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and value is not None:
                (self.links if tag == "a" else self.loaded).append(value)
            if name in ("src", "srcset", "data", "action", "poster") and value is not None:
                self.loaded.append(value)


def _site(shelf: Shelf, frame: MakeFrame, folder: Path) -> Path:
    write_site(build_board(shelf.submissions, frame=frame), folder)
    return folder


def test_every_link_leads_somewhere_and_nothing_is_loaded(filled: Shelf, frame: MakeFrame, tmp_path: Path) -> None:
    site = _site(filled, frame, tmp_path / "site")
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 2 + 10
    for page in pages:
        found = Links(page)
        assert not [address for address in found.loaded if not address.startswith("data:")]
        for link in found.links:
            if not link.startswith(("https://", "#")):
                assert (page.parent / link).is_file(), f"{page} leads to {link}"
        assert "Content-Security-Policy" in page.read_text()


def test_an_entry_says_all_that_is_known(filled: Shelf, frame: MakeFrame, tmp_path: Path) -> None:
    site = _site(filled, frame, tmp_path / "site")
    (page,) = (site / "entry").glob("xray-ldm-*.html")
    text = re.sub(r"\s+", " ", page.read_text())
    for words in ("copy rate", "authenticity of holdout", "blur", "steps = 2000", "bench run --model ldm", "rescored"):
        assert words in text
    for words in ("1 number compared", 'href="https://b.example/"', "null of 150 fresh images", "Disclosures"):
        assert words in text


def test_script_in_every_text_field_stays_text(shelf: Shelf, frame: MakeFrame, tmp_path: Path) -> None:
    shelf.put(
        "ldm",
        0,
        submitter=Submitter(name=ATTACK[:100], contact=ATTACK, link="https://x/\"'><script>window.hit=1</script>"),
        disclosures=Disclosures(other_training_data=ATTACK, comment=ATTACK),
        identity={"model": NAME, "parameters": {ATTACK: ATTACK}, "data": ATTACK},
        command=ATTACK,
        texts=ATTACK,
    )
    site = _site(shelf, frame, tmp_path / "site")
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert text.count("<script>") == 1  # our own
        assert "<img src=x" not in text
        assert "{{ 7*7 }}" in text or "entry" not in str(page)


def test_a_site_replaces_a_site_and_nothing_else(filled: Shelf, frame: MakeFrame, tmp_path: Path) -> None:
    site = _site(filled, frame, tmp_path / "site")
    (site / "entry" / "xray-gone-0.html").write_text("old")
    _site(filled, frame, site)
    assert not (site / "entry" / "xray-gone-0.html").exists()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("all of it")
    with pytest.raises(MemobenchError, match="no site of the board"):
        _site(filled, frame, other)
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]


def _with_picture(shelf: Shelf, **fields: object) -> Listed:
    secret, drawn = PngImagePlugin.PngInfo(), io.BytesIO()
    secret.add_text("Patient", "SECRET NAME")
    Image.new("L", (8, 8), 128).save(drawn, "PNG", pnginfo=secret)
    named = {"gallery_sha256": hashlib.sha256(drawn.getvalue()).hexdigest()}
    put = shelf.put("ldm", 0, changes=named, **fields)  # type: ignore[arg-type]
    file = shelf.submissions / "xray" / put.name / "gallery.png"
    file.write_bytes(drawn.getvalue())
    return Listed(put.name, put.submission, put.sha256, put.verification, file)


def test_galleries_are_of_verified_phantom_data_alone(shelf: Shelf) -> None:
    assert gallery(_with_picture(shelf), FRAME) is not None
    assert gallery(_with_picture(shelf, identity={"data": "folder"}), FRAME) is None
    assert gallery(_with_picture(shelf, identity={"split_digest": "1" * 64}), FRAME) is None
    assert gallery(_with_picture(shelf, level=None), FRAME) is None


def test_a_gallery_carries_pixels_only_and_no_other_file(shelf: Shelf) -> None:
    import base64

    one = _with_picture(shelf)
    png = gallery(one, FRAME)
    assert png is not None
    assert b"SECRET" not in base64.b64decode(png)
    assert one.gallery is not None
    Image.new("L", (8, 8), 0).save(one.gallery)  # another picture than the submission names
    assert gallery(one, FRAME) is None
    one.gallery.write_text("<svg onload=alert(1)>")
    assert gallery(one, FRAME) is None


def test_the_first_page_says_how_to_take_part(filled: Shelf, frame: MakeFrame, tmp_path: Path) -> None:
    text = (_site(filled, frame, tmp_path / "site") / "index.html").read_text(encoding="utf-8")
    for part in ('href="#read"', 'id="read"', 'href="#part"', 'id="part"'):
        assert part in text
    for command in ("bench run", "bench measure", "bench submit", "bench verify", "bench attack", "bench audit"):
        assert command in text
