"""The report in a real browser: complete, readable on a desk and on a phone, light and dark, alone in the world."""

import itertools
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.opened import DESK, PHONE, WIDE, opened
from tests.unit.report.samples import hostile, profile, subject, two

pytestmark = [pytest.mark.browser]

REPORTS = {
    "fail": subject("fail"),
    "pass": subject("pass"),
    "two": two(),
    "hostile": hostile(),
    "none": subject(profile=profile(None), histograms=None, differences=[]),
}
ENOUGH = 4.5
"""Contrast of text, by WCAG 2 AA."""


@pytest.mark.parametrize("name", REPORTS)
async def test_it_fits_is_legible_and_loads_nothing(browser: Browser, tmp_path: Path, name: str) -> None:
    for size, scheme in itertools.product((DESK, PHONE), ("light", "dark")):
        async with opened(browser, tmp_path, REPORTS[name], size=size, scheme=scheme) as report:
            await report.picture(f"{name}-{'phone' if size == PHONE else 'desk'}-{scheme}")
            await report.unfold()
            wide = await report.page.evaluate(WIDE)
            assert (wide["width"], wide["out"]) == (size[0], [])
            texts = await report.contrasts()
            assert len(texts) > 20
            assert [each for each in texts if each["ratio"] < ENOUGH] == []
            assert report.said == []
            assert report.requests == [report.url]


async def test_the_verdict_and_its_reasons_are_seen_without_scrolling_on_a_phone(
    browser: Browser, tmp_path: Path
) -> None:
    async with opened(browser, tmp_path, subject("fail"), size=PHONE) as report:
        for text in (
            "✕ FAIL",
            "error_rate is 4.1 percentage points above the original's",
            "response_time p50 is 1.42 times",
        ):
            box = await report.page.get_by_text(text).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= PHONE[1]


async def test_what_went_wrong_is_open_and_the_rest_opens_without_a_script(browser: Browser, tmp_path: Path) -> None:
    context = await browser.new_context(java_script_enabled=False)
    async with opened(browser, tmp_path, subject("fail")) as report:
        page = await context.new_page()
        await page.goto(report.url)
        assert await page.get_by_text("error_rate is 0.17 percentage points above the original's").is_visible()
        assert await page.get_by_text('"12.50"').is_visible()
        hidden = page.get_by_text("Whatever the number of endpoints and fields")
        assert not await hidden.is_visible()
        await page.get_by_text("What the verdict says, and what it does not").click()
        assert await hidden.is_visible()
    await context.close()


async def test_pictures_have_names_for_those_who_do_not_see_them(browser: Browser, tmp_path: Path) -> None:
    async with opened(browser, tmp_path, subject("fail")) as report:
        pictures = report.page.get_by_role("img")
        assert await pictures.count() > 5
        assert await report.page.get_by_role("img", name="Errors, POST /orders: +0.17 %").count() == 1
        assert await report.page.get_by_role("img", name="Response times of all traffic").count() == 1
        assert await report.page.get_by_role("heading", level=1).inner_text() == "✕ FAIL v2 of catalog"


async def test_an_interval_is_drawn_on_its_side_of_the_limit(browser: Browser, tmp_path: Path) -> None:
    async with opened(browser, tmp_path, subject("pass")) as report:
        bar = report.page.locator("svg.bar").first
        limit, interval = bar.locator(".limit"), bar.locator(".range")
        line, drawn = await limit.bounding_box(), await interval.bounding_box()
        assert line is not None
        assert drawn is not None
        assert drawn["width"] > 5
        assert drawn["x"] + drawn["width"] < line["x"]
