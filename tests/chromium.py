"""A real Chromium without a window, spoken to by the DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from tests.servers.server_places import SHORT

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="needs a browser: install chromium (apt-get install chromium)"
)
_ANSWERS_WITHIN_S = 60.0
Json = dict[str, "Json"] | list["Json"] | str | float | bool | None


class Browser:
    """One tab. All that the page logs, all that its policy refuses, and all that it asks for is kept."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._rest = b""
        self._number = 0
        self._session = ""
        self.events: list[tuple[str, dict[str, Json]]] = []
        """Since the page was opened."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self._call(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Shows a file, from its beginning to its last script."""
        self.visit(path.as_uri())

    def visit(self, url: str) -> None:
        """The same for an address, which must be of this machine."""
        self.events.clear()
        self._call("Page.navigate", url=url)
        self.until("Page.loadEventFired")

    def size(self, width: int, height: int = 800, *, phone: bool = False) -> None:
        """The size of the screen, in CSS pixels; it is held upright if it is higher than wide."""
        held = "landscape" if width > height else "portrait"
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
            screenOrientation={"type": f"{held}Primary", "angle": 90 if held == "landscape" else 0},
        )

    def prefer(self, theme: str) -> None:
        """The system's colours: `light` or `dark`."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def scripts(self, allowed: bool) -> None:
        """Whether pages that are opened from now on may run scripts."""
        self._call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def before_pages(self, script: str) -> None:
        """Has a script run in pages that are opened from now on, before their own."""
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def keep_downloads(self, folder: Path) -> None:
        """Writes what pages have downloaded to `folder`, and lets them use the clipboard."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])

    def evaluate(self, expression: str) -> Json:
        """The value of an expression in the page. Raises AssertionError if it throws."""
        done = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, json.dumps(done["exceptionDetails"])[:2000]
        return cast(dict[str, Json], done["result"]).get("value")

    def press(self, key: str, code: int = 0) -> None:
        """A key, by its DOM name; `code` is its virtual key code, for those that aren't letters."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        pressed = {"key": key, "windowsVirtualKeyCode": code, **text}
        self._call("Input.dispatchKeyEvent", type="keyDown", **pressed)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Writes what is on the screen as PNG."""
        path.write_bytes(base64.b64decode(str(self._call("Page.captureScreenshot")["data"])))

    def until(self, event: str) -> None:
        """Returns once such an event has come."""
        while not any(name == event for name, _ in self.events):
            self._take(self._message())

    def _call(self, method: str, **parameters: object) -> dict[str, Json]:
        self._number += 1
        call: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            call["sessionId"] = self._session
        os.write(self._writing, json.dumps(call).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return cast(dict[str, Json], message["result"])
            self._take(message)

    def _take(self, message: dict[str, Json]) -> None:
        if "method" in message:
            self.events.append((str(message["method"]), cast(dict[str, Json], message["params"])))

    def _message(self) -> dict[str, Json]:
        deadline_s = time.monotonic() + _ANSWERS_WITHIN_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, "the browser doesn't answer"
            more = os.read(self._reading, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        one, self._rest = self._rest.split(b"\0", 1)
        return cast(dict[str, Json], json.loads(one))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `folder`, which loads nothing from any other machine."""
    assert PROGRAM is not None
    to_browser, writing = os.pipe()
    reading, from_browser = os.pipe()

    def connect() -> None:
        # The protocol's pipe is descriptors 3 and 4 (Chromium, devtools_pipe_handler.cc).
        taken = os.dup(to_browser), os.dup(from_browser)
        os.dup2(taken[0], 3)
        os.dup2(taken[1], 4)

    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROGRAM,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
                *("--hide-scrollbars", "--disable-background-networking", "--disable-extensions"),
                *(
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                    f"--user-data-dir={folder / 'profile'}",
                ),
                "--remote-debugging-pipe",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "TMPDIR": str(SHORT)},  # for a socket
            preexec_fn=connect,
            close_fds=False,
            start_new_session=True,
        )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Browser(reading, writing)
    finally:
        os.close(writing)
        os.close(reading)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
