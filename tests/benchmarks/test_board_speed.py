"""The board of 1,000 submissions: time to build, size of the table page, time to sort it in a browser.

    pytest tests/benchmarks/test_board_speed.py -s

prints the figures. The page's size is asserted, times are not: read them on an idle machine (bars: 10 s on two cores,
0.3 s to sort).
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.board.build import board_json, build_board
from memobench.board.site import write_site
from memobench.results import ChallengeRow, Metric
from memobench.submissions.records import Submitter

_spec = importlib.util.spec_from_file_location("board_shelf", Path(__file__).parents[1] / "board" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
shelf = importlib.util.module_from_spec(_spec)
sys.modules["board_shelf"] = shelf
_spec.loader.exec_module(shelf)

SUBMISSIONS = 1000
MOST_BYTES = 3_000_000
SORT = """
const done = arguments[0], button = document.querySelectorAll('#board thead button')[2];
const start = performance.now();
button.click();
document.getElementById('board').getBoundingClientRect();  // layout included
requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));  // and painted
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As large as honest submissions are: 45 metrics, 13 perturbations, a note each."""
    found = shelf.Shelf(tmp_path_factory.mktemp("board"))
    rng = np.random.default_rng(0)
    more = {f"made_up_{n}": Metric(value=float(n), low=0.0, high=99.0, better="null", note="a note") for n in range(36)}
    line = {name: shelf.metric(0.9, 0.1) for name in ("sensitivity", "false_positive_rate", "auc", "right_source")}
    rows = [
        ChallengeRow(perturbation=f"p{n}", strength="weak", copies=20, non_copies=20, metrics=line) for n in range(13)
    ]
    for number in range(SUBMISSIONS):
        rate = max(0.0, float(rng.normal(0.0, 0.2)))
        figures = {**shelf.figures(rate, float(rng.lognormal(3, 0.7))), **more}
        who = Submitter(name=f"Group {number // 7} of a university hospital")
        put = found.put(f"model-{number:04d}", 0, metrics=figures, submitter=who)
        challenge = put.submission.result.challenge.model_copy(update={"rows": rows})
        result = put.submission.result.model_copy(update={"challenge": challenge})
        found.put(f"model-{number:04d}", 0, metrics=figures, submitter=who, changes={"result": result})
    return found


def test_a_thousand_submissions(filled: Any, tmp_path: Path) -> None:
    size = sum(file.stat().st_size for file in filled.submissions.rglob("*.json"))
    start, cpu = time.perf_counter(), time.process_time()
    boards = build_board(filled.submissions, frame=lambda task: shelf.FRAME)
    board_json(boards)
    built, built_cpu = time.perf_counter() - start, time.process_time() - cpu
    write_site(boards, tmp_path / "site")
    wall, busy = time.perf_counter() - start, time.process_time() - cpu
    page = tmp_path / "site" / "xray.html"
    print(f"\n{SUBMISSIONS} submissions of {size / 1e3 / SUBMISSIONS:.0f} kB")  # noqa: T201 (the benchmark's output)
    print(f"board {built:.1f} s ({built_cpu:.1f} s of a core)")  # noqa: T201 (the same)
    print(f"board and site {wall:.1f} s ({busy:.1f} s of a core)")  # noqa: T201 (the same)
    print(f"table page {page.stat().st_size / 1e6:.2f} MB")  # noqa: T201 (the same)
    assert page.stat().st_size < MOST_BYTES

    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("the sort needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        browser.get(page.as_uri())
        times = [browser.execute_async_script(SORT) for _ in range(7)]
        assert len(browser.find_elements("css selector", "#board tbody tr")) == SUBMISSIONS
    finally:
        browser.quit()
    shown = ", ".join(f"{taken:.0f}" for taken in times)
    print(f"sort with layout and paint: {shown} ms; median {np.median(times):.0f}")  # noqa: T201 (the same)
