"""Chromium without a window, driven through chromedriver by the W3C WebDriver protocol, which is JSON over HTTP."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MISSING = next((f"there is no {name} here" for name in ("chromium", "chromedriver") if shutil.which(name) is None), "")


class Browser:
    """One window."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One command of the protocol."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a script of the page returns, or what its promise comes to."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, condition: str, seconds: float = 30) -> Any:
        """The value of an expression of the page as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            assert time.monotonic() < end, f"not in {seconds} s: {condition}; the page says {self.text()[:500]}"
            time.sleep(0.05)
        return value

    def press(self, *keys: str) -> None:
        """Press and release keys one after the other, as a keyboard does."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """The size of the page; a phone's also in how it lays out and is touched."""
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": values})

    def dark(self, on: bool) -> None:
        """Which colours the person prefers."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def complaints(self) -> list[str]:
        """What the console says since it was asked last: errors, and what a policy refused."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.ask("GET", "/screenshot"))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, ended with the block."""
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            assert driver.stdout is not None
            port = next(m.group(1) for line in driver.stdout if (m := re.search(r"on port (\d+)\.", line)))
            flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--hide-scrollbars"]
            flags += ["--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}", "--no-first-run"]
            options = {"args": flags, "binary": shutil.which("chromium")}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            base = f"http://127.0.0.1:{port}/session"
            opened = Browser(base).ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            window = Browser(f"{base}/{opened['sessionId']}")
            try:
                yield window
            finally:
                window.ask("DELETE", "")
        finally:
            driver.terminate()
