"""Chromium driven over the WebDriver protocol, with the standard library alone."""

import base64
import json
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER, SPACE, RIGHT, ESCAPE = "\ue007", "\ue00d", "\ue014", "\ue00c"


def missing():
    """Say which program is absent, None where both are there."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


class Browser:
    """One window. `device` is the screen as the page sees it, in CSS pixels."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}"
        options = {
            "binary": shutil.which("chromium"),
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", "--force-device-scale-factor=1"],
        }  # fmt: skip
        capabilities = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{made['sessionId']}"

    def _send(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, method=verb)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def post(self, path, **body):
        return self._send("POST", self.session + path, body)

    def devtools(self, command, **params):
        return self.post("/goog/cdp/execute", cmd=command, params=params)

    def open(self, url):
        self.post("/url", url=url)

    def run(self, script, *args):
        """Run JavaScript in the page; return what it returns."""
        return self.post("/execute/sync", script=script, args=list(args))

    def find(self, selector):
        found = self.post("/element", using="css selector", value=selector)
        return f"/element/{found[ELEMENT]}"

    def click(self, selector):
        self.post(self.find(selector) + "/click")

    def type(self, selector, keys):
        self.post(self.find(selector) + "/value", text=keys)

    def press(self, keys):
        """Press keys wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def device(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 500)  # fmt: skip

    def scheme(self, name):
        """Make the system prefer light or dark."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def log(self, kind):
        """Return what was logged since the last call, of the kind `browser` or `performance`."""
        return self.post("/se/log", type=kind)

    def requests(self):
        """Return the addresses the page asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [m for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [message["params"]["request"]["url"] for message in sent]

    def screenshot(self, path, *, whole=False):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self._send("DELETE", self.session)


@contextmanager
def browser():
    """Yield a browser; nothing of it outlives the block."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in driver.stdout if "started successfully on port" in line)
        window = Browser(int(line.rstrip(".\n ").rsplit(" ", 1)[1]))
        try:
            yield window
        finally:
            window.close()
    finally:
        driver.terminate()
        driver.wait()
