"""The pictures of a report in the manual, of the audit of "A first audit": needs the extra ``browser`` and Chromium.

``python docs/_pages/report_picture.py audit/report.html``
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options

WIDTH, COLOURS = 900, 48
SHOWN = {
    "audit-report.png": ("Audit of a synthetic data set", 1120),
    "audit-matches.png": ("The strongest matches", 620),
}


def screenshot(page: Path, heading: str, height: int) -> Image.Image:
    """A page as a browser shows it, from a heading on."""
    options = Options()
    for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options)
    try:
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.resolve().as_uri())
        found = browser.find_element("xpath", f"//*[self::h1 or self::h2 or self::h3][contains(., '{heading}')]")
        browser.execute_script("arguments[0].scrollIntoView()", found)
        return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    finally:
        browser.quit()


if __name__ == "__main__":
    for name, part in SHOWN.items():
        out = Path(__file__).resolve().parents[1] / "pictures" / name
        screenshot(Path(sys.argv[1]), *part).quantize(COLOURS).save(out, optimize=True)
