"""A browser without a window, driven by the DevTools protocol over two pipes.

The protocol is JSON, one message after another with a zero byte between them
(https://chromedevtools.github.io/devtools-protocol), so no client library is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Names under which the browser may be found; the variable comes first.
VARIABLE = "PSIPRUNE_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_PATIENCE = 60.0


def find_browser() -> str | None:
    """The program of a browser: from the environment, else on the path; None if there is none."""
    named = os.environ.get(VARIABLE)
    found = map(shutil.which, [named] if named else NAMES)
    return next((program for program in found if program), None)


class Browser:
    """One open page and what it complained of."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._in, self._out = incoming, outgoing
        self._number, self._buffer = 0, b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def open(self, file: Path) -> None:
        """Open a file and wait until all of it is there."""
        self._events.clear()
        self.send("Page.navigate", url=file.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._read())

    def resize(self, width: int, height: int) -> None:
        """The size of the page in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        names = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, **names)

    def picture(self, width: int, height: int) -> bytes:
        """The upper left of the page as PNG, in pixels, whatever of it is in sight."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = self.send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        return base64.b64decode(found["data"])

    def printed(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    @property
    def complaints(self) -> list[str]:
        """Errors, warnings and uncaught exceptions since the page was opened."""
        methods = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for event in self._events if event["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """The addresses of all that the page asked for but data of its own, itself first."""
        sent = [each for each in self._events if each["method"] == "Network.requestWillBeSent"]
        addresses: list[str] = [each["params"]["request"]["url"] for each in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@contextmanager
def browsing(program: str) -> Iterator[Browser]:
    """A browser that runs until the block ends."""
    folder = tempfile.mkdtemp()
    (theirs_in, ours_out), (ours_in, theirs_out) = _pipe(), _pipe()
    nowhere = os.open(os.devnull, os.O_RDWR)
    process = os.posix_spawn(
        program,
        [
            program,
            "--headless=new",
            "--no-sandbox",  # of which a container has none
            "--disable-gpu",
            "--hide-scrollbars",  # as on a phone
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-pipe",  # reads from 3, writes to 4
            f"--user-data-dir={folder}",
        ],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, nowhere, 0),
            (os.POSIX_SPAWN_DUP2, nowhere, 1),
            (os.POSIX_SPAWN_DUP2, nowhere, 2),
            (os.POSIX_SPAWN_DUP2, theirs_in, 3),
            (os.POSIX_SPAWN_DUP2, theirs_out, 4),
        ],
        setpgroup=0,
    )
    for end in (theirs_in, theirs_out, nowhere):
        os.close(end)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        os.close(ours_out)
        os.close(ours_in)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are beyond the numbers that the browser's own get."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return read, write
