"""Takes a picture of a report, with its replay playing, or of a viewer that runs, in headless Chromium.

    python scripts/screenshot.py results/BaseTask/report.html docs/images/report.png --width 1400 --height 1800
    python scripts/screenshot.py http://127.0.0.1:8080 docs/images/viewer.png --width 1400 --height 900

Without --height the picture holds the whole page, up to the 8,000 pixels that Chromium can draw at once. --seconds is
how long the replay plays before the picture.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dexhand_env.errors import UserError
from dexhand_env.files import write_bytes
from dexhand_env.report.browser import Page, browser_page

MAX_HEIGHT = 8000
SETTLE_S = 2.0
SPACE = "new KeyboardEvent('keydown', {code: 'Space'})"


def take(address: str, output: Path, width: int, height: int | None, dark: bool, seconds: float) -> None:
    """Write a PNG of a page to ``output``; ``width`` and ``height`` in pixels, None for the page's height."""
    if not address.startswith("http://"):
        if not Path(address).is_file():
            raise UserError(address, "file is missing", "a report.html, or the address of a viewer")
        address = Path(address).resolve().as_uri()
    with browser_page() as page:
        page.look(width, height or 900, dark=dark)
        page.open(address)
        page.evaluate("document.querySelector('#stage')?.scrollIntoView({block: 'center', behavior: 'instant'})")
        time.sleep(seconds)
        # Paused, as a picture of a moving scene takes minutes where the graphics card is emulated.
        page.evaluate(f"document.querySelector('#stage iframe')?.contentWindow.dispatchEvent({SPACE})")
        page.evaluate("document.querySelector('.mantine-Notification-closeButton')?.click()")  # of that emulation
        page.evaluate("scrollTo(0, 0)")
        page.look(width, height or page_height(page), dark=dark)
        time.sleep(SETTLE_S)
        write_bytes(output, page.png())


def page_height(page: Page) -> int:
    """The page's height in pixels, as far as a picture can hold it."""
    return min(MAX_HEIGHT, int(page.evaluate("document.documentElement.scrollHeight")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("page", help="the report, a file on disk, or the viewer's address")
    parser.add_argument("output", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1400, help="window width in pixels (default: 1400)")
    parser.add_argument("--height", type=int, help="picture height in pixels (default: the whole page)")
    parser.add_argument("--dark", action="store_true", help="as a reader with a dark desktop sees it")
    parser.add_argument("--seconds", type=float, default=6.0, help="wait before the picture (default: 6)")
    options = parser.parse_args()
    try:
        take(options.page, options.output, options.width, options.height, options.dark, options.seconds)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
