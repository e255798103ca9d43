"""A real browser for tests of the console: Chromium without a window.

It is driven over a pipe with its DevTools protocol, one request at a time: no port, no package, and
whatever Chromium the machine has.
"""

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 30.0
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "Space": (32, " ")}
_SHIFT = 8


class Browser:
    """One Chromium process. Every page has storage of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        takes, self._requests = os.pipe()
        self._answers, gives = os.pipe()
        # Chromium reads requests from descriptor 3 and answers on 4; a shell puts them there.
        shell = f'exec "$@" 3<&{takes} 4>&{gives}'
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            "--no-proxy-server", "--hide-scrollbars", "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "browser", program, *flags, "about:blank"],
            pass_fds=(takes, gives),
            stderr=subprocess.DEVNULL,
        )
        os.close(takes)
        os.close(gives)
        self._number = 0
        self._unread = b""
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}

    def close(self) -> None:
        """End the process, whether or not it still answers."""
        try:
            with contextlib.suppress(OSError, EOFError, AssertionError, subprocess.TimeoutExpired):
                self.call("Browser.close")
                self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._requests)
            os.close(self._answers)

    def page(self, **look: Any) -> "Page":
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )["targetId"]  # fmt: skip
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"], context)
        self._listeners[attached["sessionId"]] = page.on_event
        page.prepare(**look)
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of one request; what happens until it is there goes to its page."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            answer = self._next(deadline, method)
            if answer.get("id") != self._number:
                self._happened(answer)
            elif "error" in answer:
                raise AssertionError(f"{method}: {answer['error']['message']}")
            else:
                return dict(answer["result"])

    def _next(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._answers], [], [], left)
            assert ready, f"Chromium does not answer {method}"
            read = os.read(self._answers, 1 << 20)
            if not read:
                raise EOFError("Chromium has ended")
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))

    def _happened(self, event: dict[str, Any]) -> None:
        listener = self._listeners.get(event.get("sessionId", ""))
        if listener is not None:
            listener(event["method"], event["params"])


class Page:
    """One page, as somebody with a keyboard and eyes uses it."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.complaints: list[str] = []
        """What the console of the browser says: errors, and what the page's policy refused."""

    def prepare(self, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, still])

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def on_event(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(str(details.get("exception", details).get("description")))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            # A look-up that was refused is an error to the browser, and an answer to the page.
            if entry["level"] in ("error", "warning") and entry["source"] != "network":
                self.complaints.append(entry["text"])

    def open(self, url: str) -> None:
        failure = self.call("Page.navigate", url=url).get("errorText")
        assert not failure, f"{url}: {failure}"
        self.until("document.readyState === 'complete'")

    def remember(self, key: str, value: str) -> None:
        """Put a value into the session's storage of what is opened next."""
        self.before(f"sessionStorage.setItem({json.dumps(key)}, {json.dumps(value)})")

    def before(self, script: str) -> None:
        """Run a script in what is opened next, before any of its own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true, as JavaScript has it."""
        deadline = time.monotonic() + seconds
        while not self.value(f"!!({expression})"):
            assert time.monotonic() < deadline, (
                f"not in {seconds:g} s: {expression}\n{self.text()}\n{self.complaints}"
            )
            time.sleep(0.02)

    def until_complaint(self, words: str, seconds: float = 20.0) -> None:
        """Wait until the browser complains in such words."""
        deadline = time.monotonic() + seconds
        while not any(words in complaint for complaint in self.complaints):
            assert time.monotonic() < deadline, f"no {words} in {self.complaints}"
            self.value("0")  # what has happened meanwhile is read with its answer
            time.sleep(0.02)

    def text(self, selector: str = "body") -> str:
        """What is to be read in the first element that matches; empty without one."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def until_text(self, words: str, selector: str = "body") -> None:
        found = f"document.querySelector({json.dumps(selector)})?.innerText"
        self.until(f"{found}?.includes({json.dumps(words)})")

    def focused(self) -> str:
        """The focused element: its id, or what is written on it."""
        return str(
            self.value(
                "document.activeElement.id || document.activeElement.textContent.trim()"
            )
        )  # fmt: skip

    def press(self, key: str, *, shift: bool = False) -> None:
        code, text = _KEYS[key]
        stroke = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        stroke |= {"modifiers": _SHIFT} if shift else {}
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown", **stroke, **({"text": text} if text else {}),
        )  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="keyUp", **stroke)

    def press_on(self, selector: str) -> None:
        """Press, as by a pointer, the first element that matches, once there is one."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(found)
        self.value(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.value(f"{found}.getBoundingClientRect().toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
