"""A report, opened in the browser from a file, and all that the browser says meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.browser.conftest import PICTURES
from xds_server.report.html_page import html
from xds_server.report.subject import Subject

DESK, PHONE = (1280, 900), (360, 740)

CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = numbers(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const made = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), element = walk.currentNode.parentElement;
    if (!text || ["STYLE", "title"].includes(element.tagName) || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const fore = light(numbers(element instanceof SVGElement ? style.fill : style.color));
    const back = light(behind(element));
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    made.push({text: text.slice(0, 40), ratio, tag: element.tagName, class: element.getAttribute("class")});
  }
  return made;
}"""
"""Contrast of every text that is shown, by WCAG 2."""

WIDE = """() => {
  const out = [...document.body.querySelectorAll("*")].filter(e => !e.closest("pre") && !e.closest("svg *") &&
    e.getBoundingClientRect().right > innerWidth + 0.5 && e.getClientRects().length);
  return {width: document.documentElement.scrollWidth, out: out.map(e => e.outerHTML.slice(0, 120))};
}"""
"""What reaches beyond the right edge."""


@dataclass
class Opened:
    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    """Console, errors of scripts, dialogs."""
    requests: list[str] = field(default_factory=list)

    async def unfold(self) -> None:
        """Open whatever can be opened, as a reader does."""
        for summary in await self.page.query_selector_all("details:not([open]) > summary"):
            await summary.click()

    async def contrasts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.page.evaluate(CONTRAST)
        return found

    async def picture(self, name: str) -> Path:
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        await self.page.screenshot(path=path, full_page=True)
        return path


@asynccontextmanager
async def opened(
    browser: Browser, folder: Path, subject: Subject, *, size: tuple[int, int] = DESK, scheme: Any = "light"
) -> AsyncIterator[Opened]:
    path = folder / "report.html"
    path.write_text(html(subject))
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
    )
    try:
        page = await context.new_page()
        made = Opened(page, path.as_uri())
        page.on("console", lambda message: made.said.append(message.text))
        page.on("pageerror", lambda error: made.said.append(str(error)))
        page.on("dialog", lambda dialog: made.said.append(dialog.message))
        page.on("request", lambda request: made.requests.append(request.url))
        await page.goto(made.url)
        yield made
    finally:
        await context.close()
