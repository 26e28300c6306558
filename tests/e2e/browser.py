"""A headless Chromium driven over its DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/).

One Browser is one process with a profile of its own in a temporary folder; close() ends both. Only
what the page tests need: open an address, run an expression, press keys, type, click, take a
picture, hear what went wrong.
"""

import base64
import itertools
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import websocket

PROGRAMS = ["chromium", "chromium-browser", "google-chrome"]
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, None),
    "Tab": ("Tab", 9, None),
    "ArrowUp": ("ArrowUp", 38, None),
    "ArrowDown": ("ArrowDown", 40, None),
    "F2": ("F2", 113, None),
}
MODIFIERS = {"alt": 1, "ctrl": 2, "shift": 8}


def find_chromium():
    """The path of an installed Chromium, or None."""
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


class BrowserError(Exception):
    """The browser refused a command, or an expression threw."""


class Browser:
    """A browser with one tab. `problems` holds uncaught exceptions and console errors since the
    last open().
    """

    def __init__(self, timeout_s=30):
        self._profile = tempfile.mkdtemp(prefix="inferno-browser-")
        self._log = open(pathlib.Path(self._profile, "log"), "wb")
        self._process = subprocess.Popen(
            [
                find_chromium(),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-extensions",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={self._profile}/data",
                "about:blank",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self._ids = itertools.count(1)
        self._timeout_s = timeout_s
        self.problems = []
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self):
        port_file = pathlib.Path(self._profile, "data", "DevToolsActivePort")
        deadline = time.monotonic() + self._timeout_s
        while not (port_file.exists() and port_file.read_text().count("\n") >= 1):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrowserError(f"Chromium did not start: {self._read_log()}")
            time.sleep(0.05)
        port, path = port_file.read_text().split("\n")[:2]
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=self._timeout_s
        )
        self._session = None
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def _read_log(self):
        self._log.flush()
        return pathlib.Path(self._profile, "log").read_text(errors="replace")[-2000:]

    def _send(self, method, **parameters):
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.problems.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    def open(self, address):
        """Goes to an address and waits until its scripts have run."""
        self._send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")
        self.problems.clear()

    def size(self, width, height, phone=False):
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self._send("Emulation.setTouchEmulationEnabled", enabled=phone)

    def colours(self, scheme):
        """What the system prefers: "light" or "dark"."""
        self._send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def offline(self, is_offline):
        self._send(
            "Network.emulateNetworkConditions",
            offline=is_offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def run(self, expression):
        """The value of a JavaScript expression; a promise is awaited."""
        result = self._send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait(self, expression, timeout_s=20):
        """Returns the expression's value once it is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = self.run(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(
                    f"still not true after {timeout_s} s: {expression}; problems: {self.problems}"
                )
            time.sleep(0.03)

    def text(self, selector):
        """The visible text of the first element, or None."""
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText")

    def click(self, selector):
        place = self.run(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            if (!node) return null;
            node.scrollIntoView({{block: "nearest"}});
            const box = node.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        if place is None:
            raise BrowserError(f"nothing to click: {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self._send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def wheel(self, selector, distance):
        box = self.run(f"""(() => {{
            const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        self._send(
            "Input.dispatchMouseEvent",
            type="mouseWheel",
            x=box[0],
            y=box[1],
            deltaX=0,
            deltaY=distance,
        )

    def type(self, text):
        """Types into what has the focus."""
        self._send("Input.insertText", text=text)

    def key(self, name, *modifiers):
        """Presses a key of KEYS, or a letter, with "alt", "ctrl", "shift" held."""
        held = sum(MODIFIERS[modifier] for modifier in modifiers)
        if name in KEYS:
            code, number, text = KEYS[name]
            key = name
        else:
            code, number, key = f"Key{name.upper()}", ord(name.upper()), name
            text = None if held & 3 else name
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        self._send(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown",
            **event,
            **({"text": text} if text else {}),
        )
        self._send("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path):
        """Writes what the tab shows as PNG."""
        data = self._send("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)
