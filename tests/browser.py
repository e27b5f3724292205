"""Headless Chromium, by the WebDriver protocol (W3C) and nothing else: for pages and programs interfaces that only a browser has.

    with browser.Browser() as chromium:
        chromium.go(f"http://127.0.0.1:{port}/page.html")
        chromium.run("return document.title")
        chromium.wait("return window.events.length == 3")

Pages are loaded over the loopback: a browser knows no unix sockets (Site(..., http=...) with `listen 127.0.0.1:PORT`).
"""

import base64
import http.client
import json
import shutil
import time

import pytest

import harness


class Browser(harness.Server):
    """chromedriver and one session of its. Skips the test where there is none."""

    name = "browser"

    def __init__(self):
        if not shutil.which("chromedriver") or not shutil.which("chromium"):
            pytest.skip("there is no chromium")
        super().__init__()
        self.port, self.session = harness.free_port(), None
        self.environment = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder)}

    def command(self):
        return ["chromedriver", f"--port={self.port}"]

    def ready(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except ConnectionError:
            return False

    def start(self):
        super().start()
        # No sandbox: it needs rights on the machine that a test does not have; the pages are our own.
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.folder}/profile"]
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                                                   "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}}
        self.session = "/session/" + self.ask("POST", "/session", wanted)["sessionId"]
        return self

    def stop(self):
        if self.session and self.running():
            self.ask("DELETE", self.session)
        self.session = None
        return super().stop()

    def ask(self, method, path, body=None):
        """One order of the protocol; its value."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def go(self, url):
        self.ask("POST", f"{self.session}/url", {"url": url})

    def run(self, script, *arguments):
        """JavaScript in the page; what it returns, as JSON has it."""
        return self.ask("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def entries(self, kind):
        """What was logged since the last time: "browser", the console; "performance", what DevTools would be told."""
        return self.ask("POST", f"{self.session}/se/log", {"type": kind})

    def picture(self):
        """PNG."""
        return base64.b64decode(self.ask("GET", f"{self.session}/screenshot"))

    def wait(self, script, what=None, timeout=30):
        """Until the script returns something that counts as true; gives that."""
        deadline = time.monotonic() + timeout * harness.PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"waited for {what or script}"
            time.sleep(0.05)
        return value
