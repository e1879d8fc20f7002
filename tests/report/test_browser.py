"""The page as a reader's browser shows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowroad.report import write_report
from report.synthetic import LABELS, make_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

PHONE = {"viewport": {"width": 380, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}

UNDRAWN = """() => [...document.querySelectorAll(".chart")].filter((chart) => {
  const box = chart.getBoundingClientRect();
  const scene = chart.querySelector(".gl-container canvas");
  if (scene && !scene.getContext("webgl").isContextLost()) return box.height < 100;
  const marks = chart.querySelectorAll(
    ".scatterlayer path, .contourlayer path, .points path, .heatmaplayer image");
  if (!chart.offsetParent) return false;
  return box.height < 100 || !chart.querySelector("svg.main-svg") || marks.length === 0;
}).map((chart) => chart.id)"""

OVERFLOWING = """() => {
  const boxes = document.querySelectorAll("pre, .verdict, h1, h2, h3, h4, .legend, .chooser");
  return [...boxes].filter((box) => box.offsetParent && box.scrollWidth > box.clientWidth + 1)
    .map((box) => box.className + ": " + box.textContent.trim().slice(0, 60));
}"""

# Axis labels of a chart that reach beyond its box, and panels' boxes that overlap.
CUT = """() => [...document.querySelectorAll(".chart")].flatMap((chart) => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter((text) => {
    const inner = text.getBoundingClientRect();
    return inner.width > 0 && (inner.left < box.left - 1 || inner.right > box.right + 1 ||
      inner.top < box.top - 1 || inner.bottom > box.bottom + 1);
  }).map((text) => chart.id + ": " + text.textContent);
})"""

EMPTY_CELLS = """() => [...document.querySelectorAll("tbody td, tbody th, dd")]
  .filter((cell) => !cell.textContent.trim()).length"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of a study with twelve weight sets, many runs and long curves."""
    directory = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowroad.report.page.save_figures", lambda *_: [])
        optimizers = ("sgd", "momentum", "adam", "rmsprop", "lbfgs", "sam")
        write_report(
            make_results(("mlp",), optimizers, seeds=30, keep=24, pairs=24, steps=400), directory
        )
    return directory


NAMES = {
    "one": "0.1",
    "two": "0.01",
    "three": "black",
    "four": "R&D <b>x</b> %{y} $z$",
    "five": "Adam, learning rate 0.001, weight decay 0.0001, no warming",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of sets whose names are numbers, colours, in plotly's language, or long."""
    directory = tmp_path_factory.mktemp("named")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowroad.report.page.save_figures", lambda *_: [])
        for name, label in NAMES.items():
            patch.setitem(LABELS, name, label)
        write_report(make_results(("mlp",), tuple(NAMES), test=False), directory)
    return directory


def opened(browser: Any, directory: Path, device: dict[str, Any]) -> Any:
    """The page, offline, with every chart drawn; fails on any message of the console."""
    context = browser.new_context(offline=True, **device)
    page = context.new_page()
    messages: list[str] = []
    page.on(
        "console",
        lambda message: None if _of_driver(message.text) else messages.append(message.text),
    )
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("requestfailed", lambda request: messages.append(f"asked for {request.url}"))
    page.goto((directory / "report.html").as_uri())
    for name in ("beforeprint", "afterprint"):
        page.evaluate(f"window.dispatchEvent(new Event('{name}'))")
    page.wait_for_function(f"({UNDRAWN})().length === 0", timeout=120_000, polling=500)
    assert messages == []
    return page


def _of_driver(message: str) -> bool:
    """Whether a message is a renderer's on its own speed."""
    known = ("GL Driver Message", "willReadFrequently", "auto-margin redraws")
    return any(words in message for words in known)


@pytest.mark.parametrize(("study", "device"), [("written", PHONE), ("large", DESKTOP)])
def test_everything_is_drawn_and_nothing_is_cut(browser, study, device, request):
    page = opened(browser, request.getfixturevalue(study), device)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= device["viewport"]["width"]
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(EMPTY_CELLS) == 0
    page.context.close()


def test_sets_have_their_names_in_charts(browser, named):
    """Beside a matrix and beside rows, as they are, and they leave half of the width to both."""
    page = opened(browser, named, PHONE)
    for chart in ("#between-train .chart", "#path-heights-train .chart"):
        chart = page.locator(chart).first
        ticks = chart.locator(".ytick text").evaluate_all(
            "texts => texts.map((text) => [...text.querySelectorAll('tspan')]"
            ".map((line) => line.textContent).join(' ') || text.textContent)"
        )
        assert sorted(tick.removesuffix(" n = 6") for tick in ticks) == sorted(NAMES.values())
        panel = chart.locator(".bglayer .bg, .plotbg .bg, .gridlayer").first.bounding_box()
        assert panel["width"] > 0.5 * chart.bounding_box()["width"]
    assert page.evaluate(CUT) == []
    page.context.close()


def test_charts_are_drawn_when_they_come_near(browser, written):
    context = browser.new_context(offline=True, **DESKTOP)
    page = context.new_page()
    page.goto((written / "report.html").as_uri())
    last = page.locator(".chart").last
    assert last.locator("svg.main-svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator("svg.main-svg").first.wait_for(state="attached", timeout=30_000)
    context.close()


def test_readers_choose_what_they_compare(browser, large):
    context = browser.new_context(offline=True, **DESKTOP)
    page = context.new_page()
    page.goto((large / "report.html").as_uri())
    shown = "#questions .option:not([hidden]) caption"
    assert page.locator(shown).all_text_contents() == ["Training loss, mlp"]
    page.locator("#questions select[data-key=question]").select_option("Vector lengths")
    assert page.locator(shown).all_text_contents() == ["Vector lengths, mlp"]
    context.close()


def test_on_paper_nothing_is_folded_and_no_buttons_lie_over_data(browser, written, tmp_path):
    context = browser.new_context(offline=True, color_scheme="dark", **DESKTOP)
    page = context.new_page()
    page.goto((written / "report.html").as_uri())
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    hidden = page.locator(".modebar-container").evaluate_all(
        "boxes => boxes.every((box) => getComputedStyle(box).display === 'none')"
    )
    assert hidden
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    context.close()


def test_dark_theme_is_readable(browser, written):
    contrasts = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, offline=True, **DESKTOP)
        page = context.new_page()
        page.goto((written / "report.html").as_uri())
        page.locator(".chart").first.scroll_into_view_if_needed()
        page.locator(".chart text").first.wait_for(state="attached", timeout=30_000)
        contrasts[scheme] = page.evaluate(
            """() => {
              const light = (color) => {
                const parts = color.match(/[0-9.]+/g).slice(0, 3).map((part) => {
                  const share = part / 255;
                  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
              };
              const back = light(getComputedStyle(document.body).backgroundColor);
              const contrast = (color) => {
                const [low, high] = [light(color), back].sort((a, b) => a - b);
                return (high + 0.05) / (low + 0.05);
              };
              const colors = ["p", "a", "dt", ".about", ".verdict.holds", ".verdict.does-not-hold",
                ".verdict.not-enough-runs", ".files"].map(
                (name) => getComputedStyle(document.querySelector(name)).color);
              colors.push(getComputedStyle(document.querySelector(".chart text")).fill);
              return colors.map(contrast);
            }"""
        )
        context.close()
    # WCAG 2.2, level AA, for text.
    assert min(contrasts["light"] + contrasts["dark"]) >= 4.5
