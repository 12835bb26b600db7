"""report.html in a browser: nothing is fetched, nothing sticks out of a narrow window, dark is dark."""

import shutil

import pytest
from kill_and_resume import small_trainer

from minicnn.report import Report

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    settings = {"a": "a-long-word-without-any-blank-in-it-" * 4}
    small_trainer(folder, epochs=2, settings=settings, callbacks=[Report()]).fit()
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser, address, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    fetched, complaints = [], []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    assert [url for url in fetched if not url.startswith("data:")] == [address] and complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    images = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(images) > 4 and all(images)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (min(light) > 200) if scheme == "light" else (max(light) < 60)
    words, ground = (
        page.evaluate(f"getComputedStyle(document.querySelector('h2')).{name}.match(/\\d+/g).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert len(ground) >= 3 and (max(words) < 60) == (scheme == "light")
    curve = page.evaluate("document.querySelector('polyline').getBoundingClientRect().width")
    assert curve > 200  # there is a curve to be seen
    page.close()
