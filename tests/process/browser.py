"""A real browser, driven over Chromium's debugging pipe (JSON messages that end in NUL, on descriptors 3 and 4): nothing but the
standard library is needed.  As a program:  browser.py URL STEPS.json [DIR]  carries out steps, one after the other:

  {"open": "#/ranges"}                 goes there (an address, or a fragment of URL)
  {"size": [390, 844], "scale": 2}     of the window, as a phone for instance
  {"dark": true}                       what the system is said to prefer
  {"wait": "JS expression"}            until it is true, at most 30 s: otherwise that is the failure
  {"run": "JS expression"}             may be a promise
  {"is": ["name", "JS expression"]}    a check, of what may be on its way: prints "ok name" or "not ok name: what it was"
  {"shot": "overview"}                 DIR/overview.png

Every error in the page's console is a check that fails at the end: exceptions, and what its policy forbade."""
import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find():
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return None


class Browser:
    def __init__(self, path):
        self.profile = tempfile.mkdtemp(prefix="browser-")
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()

        def descriptors():
            spare = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (to_read, back_write)]  # 3 and 4 may be among the pipes' own
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        for fd in (to_read, back_write):
            os.set_inheritable(fd, True)
        self.process = subprocess.Popen(
            [path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
             "--user-data-dir=" + self.profile, "about:blank"],
            close_fds=False, preexec_fn=descriptors, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_read)
        os.close(back_write)
        self.rest = b""
        self.last = 0
        self.errors = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.rest:
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.rest += piece
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def note(self, event):
        kind, params = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif kind == "Log.entryAdded" and params["entry"]["level"] == "error":
            if params["entry"]["source"] != "network":  # an answer that is a refusal: the page says so
                self.errors.append(params["entry"]["text"])

    def call(self, method, **params):
        self.last += 1
        call = {"id": self.last, "method": method, "params": params}
        if getattr(self, "session", None):
            call["sessionId"] = self.session
        os.write(self.to, json.dumps(call).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.note(answer)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "?"))
        return answer["result"].get("value")

    def wait(self, expression, seconds=30):
        """The page looks at every frame it draws, and answers when it is true; begun again when it went elsewhere meanwhile."""
        end = time.time() + seconds
        while time.time() < end:
            try:
                return self.evaluate("""new Promise((done) => {
                    const end = performance.now() + %d;
                    const look = () => {
                        let is = false;
                        try { is = Boolean(%s); } catch (e) { /* not there yet */ }
                        if (is || performance.now() > end) done(is); else requestAnimationFrame(look);
                    };
                    look();
                })""" % ((end - time.time()) * 1000, expression))
            except RuntimeError as gone:  # the page is on its way
                if not any(why in str(gone) for why in ("destroyed", "Cannot find context", "navigated")):
                    raise
        return False

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


def carry_out(browser, url, step, folder):
    if "open" in step:
        browser.call("Page.navigate", url=step["open"] if "://" in step["open"] else url + step["open"])
    if "size" in step:
        width, height = step["size"]
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=step.get("scale", 1), mobile=width < 600)
    if "dark" in step:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if step["dark"] else "light"}])
    if "wait" in step and not browser.wait(step["wait"]):
        print("not ok it comes to pass: %s" % step["wait"])
    if "run" in step:
        browser.evaluate(step["run"])
    if "is" in step:
        name, expression = step["is"]
        value = browser.wait(expression) or browser.evaluate(expression)
        print(("ok " + name) if value is True else "not ok %s: %s is %r" % (name, expression, value))
    if "shot" in step:
        size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 2400), "scale": 1}
        data = browser.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        with open(os.path.join(folder, step["shot"] + ".png"), "wb") as out:
            out.write(base64.b64decode(data))


def main():
    url, steps, folder = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3] if len(sys.argv) > 3 else "."
    browser = Browser(find())
    try:
        for step in steps:
            carry_out(browser, url, step, folder)
        print("ok no error in the page" if not browser.errors else "not ok no error in the page: %s" % "; ".join(browser.errors))
    finally:
        browser.close()


if __name__ == "__main__":
    main()
