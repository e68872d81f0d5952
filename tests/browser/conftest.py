"""A real Chromium, a fresh one for each test, with nothing but the page."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "browser"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium; Debian's package is installed when it takes that."""
    done = subprocess.run([ROOT / "hack/chromium"], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        pytest.skip(f"no Chromium to test with: {done.stderr.strip()}")
    return done.stdout.strip()


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium with a profile folder of its own that is gone afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()
