"""The site in headless Chromium; skips visibly where browser, driver or the extra ``browser`` is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from memobench.board.build import build_board
from memobench.board.site import write_site
from memobench.submissions.records import Disclosures, Submitter

from .conftest import FRAME, Shelf, figures
from .test_site import ATTACK, NAME

PHONE, DESKTOP = (375, 812), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("selenium", reason="needs the extra browser (selenium)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


@pytest.fixture
def site(filled: Shelf, tmp_path: Path) -> Path:
    filled.put(
        "evil",
        0,
        submitter=Submitter(name=ATTACK[:100], contact=ATTACK, link="https://x/\"'><script>window.hit=1</script>"),
        disclosures=Disclosures(other_training_data=ATTACK, comment=ATTACK),
        identity={"model": f"evil {NAME}", "parameters": {ATTACK: ATTACK}},
        metrics=figures(0.1, 40.0),
        command=ATTACK,
        texts=ATTACK,
    )
    write_site(build_board(filled.submissions, frame=lambda task: FRAME), tmp_path / "site")
    return tmp_path / "site"


def _open(browser: Any, page: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def _pages(site: Path) -> list[Path]:
    entry = next((site / "entry").glob("xray-ldm-*.html"))
    evil = next((site / "entry").glob("xray-evil-*.html"))
    return [site / "index.html", site / "xray.html", entry, evil]


def _models(browser: Any) -> list[str]:
    words = (
        "return [...document.querySelectorAll('#board tbody tr:not([hidden]) th')].map(h => h.firstChild.textContent)"
    )
    found: list[str] = browser.execute_script(words)
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_no_error_no_request_no_script_from_outside_no_sideways_scroll(
    browser: Any, site: Path, size: tuple[int, int]
) -> None:
    browser.get_log("browser")
    for page in _pages(site):
        _open(browser, page, size)
        assert browser.get_log("browser") == []
        requests = browser.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")
        assert [name for name in requests if not name.startswith("data:")] == []
        assert browser.execute_script("return window.hit === undefined")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_policy_stops_what_would_slip_through(browser: Any, site: Path) -> None:
    _open(browser, site / "xray.html")
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i);"
    )
    assert browser.execute_script("return window.hit === undefined")
    messages = " ".join(entry["message"] for entry in browser.get_log("browser"))
    assert "Content Security Policy" in messages


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "light"), (DESKTOP, "dark")])
def test_axe_finds_nothing_serious(browser: Any, site: Path, size: tuple[int, int], scheme: str) -> None:
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("needs the extra browser (axe-core-python)")
    axe = (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    for page in _pages(site):
        _open(browser, page, size, scheme)
        browser.execute_script(axe)
        found = browser.execute_async_script("const done = arguments[0]; axe.run().then(r => done(r))")
        assert len(found["passes"]) > 10
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:150] for node in one["nodes"][:3]]) for one in grave] == []


def test_the_table_sorts_and_says_so(browser: Any, site: Path) -> None:
    _open(browser, site / "xray.html")
    before = _models(browser)
    assert before[:2] == ["gan", "ldm"]
    button = browser.find_elements("css selector", "#board thead button")[2]  # Fréchet distance
    button.click()
    values = "return [...document.querySelectorAll('#board tbody tr')].map(r => r.cells[2].dataset.v)"
    ascending = browser.execute_script(values)
    numbers = [float(v) for v in ascending if v is not None]
    assert numbers == sorted(numbers)
    assert ascending[-1] is None  # what is missing stands last, either way
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    button.click()
    descending = browser.execute_script(values)
    assert [float(v) for v in descending[:-1]] == numbers[::-1]
    assert descending[-1] is None
    browser.find_elements("css selector", "#board thead button")[0].click()
    assert _models(browser) == before


def test_the_table_filters_and_counts(browser: Any, site: Path) -> None:
    _open(browser, site / "xray.html")
    browser.find_element("id", "find").send_keys("LDM")
    assert _models(browser) == ["ldm"]
    assert browser.find_element("id", "count").text == "1 of 11 entries"
    browser.find_element("id", "find").clear()
    browser.find_element("id", "find").send_keys(" ")
    browser.find_element("id", "controls").click()
    assert not {"fresh", "noise", "mean", "replay"} & set(_models(browser))
    browser.find_element("id", "front").click()
    assert _models(browser) == ["gan", "ldm", "vae", "flow"]


def test_a_long_table_shows_a_part_and_all_on_demand(browser: Any, shelf: Shelf, tmp_path: Path) -> None:
    for number in range(203):
        shelf.put(f"model{number:03d}", 0, metrics=figures(0.0, 10.0 + number))
    write_site(build_board(shelf.submissions, frame=lambda task: FRAME), tmp_path / "site")
    _open(browser, tmp_path / "site" / "xray.html")
    assert browser.find_element("id", "count").text == "203 of 203 entries, 200 shown"
    assert len(_models(browser)) == 200
    button = browser.find_elements("css selector", "#board thead button")[2]
    button.click()
    button.click()
    assert _models(browser)[:2] == ["model202", "model201"]
    browser.find_element("id", "find").send_keys("model000")
    assert _models(browser) == ["model000"]  # found although it stood beyond the part
    assert not browser.find_element("id", "more").is_displayed()
    browser.find_element("id", "find").clear()
    browser.find_element("id", "find").send_keys(" ")
    browser.find_element("id", "more").click()
    assert len(_models(browser)) == 203


def test_intervals_show_on_hover_focus_tap_and_arrow_keys(browser: Any, site: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    _open(browser, site / "xray.html")
    figure = browser.find_elements("css selector", "#board .f")[0]
    tip = figure.find_element("css selector", ".t")
    opacity = "return getComputedStyle(arguments[0]).opacity"
    assert browser.execute_script(opacity, tip) == "0"
    _still(browser)
    ActionChains(browser).move_to_element(figure).perform()
    assert browser.execute_script(opacity, tip) == "1"
    assert "13.1 to 15.1" in tip.text
    ActionChains(browser).move_to_element(browser.find_element("tag name", "h1")).perform()
    assert browser.execute_script(opacity, tip) == "0"
    browser.find_element("css selector", "#board tbody a").send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script(opacity, tip) == "1"
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert browser.execute_script(opacity, tip) == "0"
    _open(browser, site / "xray.html", PHONE)
    _still(browser)
    figure = browser.find_elements("css selector", "#board .f")[0]
    figure.click()
    assert browser.execute_script(opacity, figure.find_element("css selector", ".t")) == "1"
    browser.find_element("id", "intervals").click()
    tips = browser.find_elements("css selector", "#board .t")
    assert all(browser.execute_script(opacity, one) == "1" for one in tips)


def _still(browser: Any) -> None:
    """No transitions, so that what is seen does not depend on the clock."""
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_points_of_the_plot_lead_to_entries(browser: Any, site: Path) -> None:
    _open(browser, site / "xray.html")
    assert len(browser.find_elements("css selector", ".pareto a")) == 9  # all but the two without both coordinates
    browser.find_element("css selector", ".pareto a[aria-label^='gan by']").click()
    assert browser.find_element("tag name", "h1").text.startswith("gan")
    browser.find_element("link text", "xray").click()
    assert browser.find_element("id", "board").is_displayed()


def test_everything_can_be_read_without_script(browser: Any, site: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        _open(browser, site / "xray.html")
        assert len(browser.find_elements("css selector", "#board tbody tr")) == 11
        assert browser.find_element("css selector", ".pareto circle").is_displayed()
        assert not browser.find_element("css selector", ".filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
