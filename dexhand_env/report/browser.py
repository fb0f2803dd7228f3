"""Opens a page in headless Chromium over the DevTools protocol: for pictures of reports and for their tests."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dexhand_env.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Software WebGL, so that the replay draws where there is no graphics card; no traffic of the browser's own.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]
START_S = 30.0
MAX_MESSAGE_BYTES = 256 * 2**20


def find_browser() -> str | None:
    """Path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One open page. ``requests`` holds the address of everything it asked for, ``errors`` what went wrong in it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._last_id = 0
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> Any:
        """A DevTools command's result; events that come before it are noted.

        Raises:
            RuntimeError: the browser refused the command.
        """
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._last_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._note(message.get("method", ""), message.get("params", {}))

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 30.0) -> None:
        """Return once ``expression`` is true in the page.

        Raises:
            TimeoutError: it did not become true within ``timeout_s``.
        """
        wait_until(lambda: bool(self.evaluate(expression)), timeout_s, expression)

    def look(self, width: int, height: int, *, dark: bool = False, still: bool = False) -> None:
        """Give the page a window size, a colour scheme, and the wish for less motion where ``still``."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, address: str) -> None:
        """Load ``address`` and wait until it has loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def png(self, selector: str | None = None) -> bytes:
        """A picture of the window, or of the element that ``selector`` finds, which is scrolled into view."""
        clip: dict[str, Any] = {}
        if selector is not None:
            box = self.evaluate(
                f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView("
                "{block: 'center', behavior: 'instant'}); const r = e.getBoundingClientRect();"
                "return {x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height, scale: 1}; })()"
            )
            clip = {"clip": box}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])

    def _note(self, method: str, event: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(event["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            self.errors.append(str([argument.get("value", argument) for argument in event["args"]]))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(event["entry"]["text"])


@contextlib.contextmanager
def browser_page() -> Iterator[Page]:
    """A blank page in a fresh browser that is gone, with its profile, when the block ends.

    Raises:
        UserError: no Chromium is installed.
    """
    from websockets.sync.client import connect

    program = find_browser()
    if program is None:
        raise UserError("browser", "none found", ", ".join(NAMES))
    with tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_page_address(Path(profile)), max_size=MAX_MESSAGE_BYTES) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    page.call(f"{domain}.enable")
                yield page
        finally:
            process.terminate()
            process.wait(timeout=START_S)


def _page_address(profile: Path) -> str:
    """The DevTools address of the browser's first page, which the browser tells through a file in its profile."""
    from urllib.request import urlopen

    told = profile / "DevToolsActivePort"
    wait_until(lambda: told.exists() and len(told.read_text().splitlines()) == 2, START_S, str(told))
    port = int(told.read_text().splitlines()[0])
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=START_S) as answer:
        pages = [target for target in json.load(answer) if target["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll ``condition`` ten times a second.

    Raises:
        TimeoutError: it stayed false for ``timeout_s``.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(0.1)
