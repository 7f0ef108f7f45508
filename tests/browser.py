"A headless Chromium, and the servers that it looks at: JupyterLab and Voilà, on a copy of nbs/runs/demo.ipynb."
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)


@contextmanager
def chromium():
    "A browser, closed in the end"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        # without a sandbox: root, as in a container, has none; only our own pages are opened
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        try: yield browser
        finally: browser.close()


def demo_copy(folder, start_from=None):
    "The demo's notebook as papermill would run it, in a folder that holds nothing else"
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook
    nb = load_notebook_node(str(ROOT / "nbs/runs/demo.ipynb"))
    if start_from is not None: nb = parameterize_notebook(nb, dict(start_from=str(start_from)))
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, folder / "demo.ipynb")
    return folder / "demo.ipynb"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def server(folder, *args, url, env=()):
    "A Jupyter server with settings of its own, ended with its kernels; yields its address"
    port, log = free_port(), folder / "server.log"
    settings = {o: str(folder / "settings" / o.lower()) for o in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
                                                                  "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
    quiet = folder / "settings/jupyterlab_settings_dir/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps(dict(fetchNews="false", checkForUpdates=False)))
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, "-m", *map(str, args), "--no-browser", f"--port={port}"], cwd=folder, stdout=out, stderr=out,
                                   env={**os.environ, **settings, "PYTHONPATH": paths, **dict(env)})
    try:
        address = f"http://127.0.0.1:{port}/"
        for _ in range(600):
            if process.poll() is not None: raise RuntimeError(f"{args[0]} ended: {log.read_text()[-2000:]}")
            try: urllib.request.urlopen(address + "static/favicon.ico", timeout=2).read(); break
            except urllib.error.HTTPError: break               # it answers
            except OSError: time.sleep(.1)
        else: raise RuntimeError(f"{args[0]} did not answer within a minute: {log.read_text()[-2000:]}")
        yield address + url
    finally:
        process.terminate()                                    # the server ends its kernels
        try: process.wait(30)
        except subprocess.TimeoutExpired: process.kill()


def voila(notebook, env=()):
    return server(notebook.parent, "voila", notebook, "--Voila.ip=127.0.0.1", url="", env=env)


def jupyterlab(notebook, env=()):
    token = secrets.token_hex(16)
    return server(notebook.parent, "jupyterlab", "--ServerApp.ip=127.0.0.1", "--allow-root", f"--IdentityProvider.token={token}",
                  f"--ServerApp.root_dir={notebook.parent}", url=f"lab/tree/{notebook.name}?token={token}", env=env)


def kernels():
    "The processes of the kernels that the servers started here have"
    return [o for o in psutil.Process().children(recursive=True) if o.status() != psutil.STATUS_ZOMBIE and "ipykernel_launcher" in " ".join(o.cmdline())]


def run_all(page, times=5):
    "Run the notebook that JupyterLab has open, as a user would; again where a busy machine lost the click"
    from playwright.sync_api import TimeoutError
    for left in reversed(range(times)):
        try:
            click_run_all(page)
            return page.wait_for_selector(".tc-token", timeout=60_000)
        except TimeoutError:
            if not left: raise
            for o in page.locator(".jp-Dialog .jp-mod-accept").all(): o.click()   # which kernel: it was clicked before the server had told


def click_run_all(page):
    "Run > Run All Cells"
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


class Widget:
    "What a user sees and does"
    def __init__(self, page, seconds=300):
        self.page, self.root = page, page.locator(".tc")
        page.wait_for_selector(".tc-token", timeout=1000 * seconds)
        self.wait(lambda: self.drawn() > 0)

    def wait(self, holds, seconds=60):
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, f"not within {seconds} s; the page says: {self.root.inner_text()[:1500]}"
            self.page.wait_for_timeout(20)

    def drawn(self): return int(self.root.get_attribute("data-drawn") or 0)
    def after(self, action):
        "Do something, and wait until another mask is drawn"
        before = self.drawn()
        action()
        self.wait(lambda: self.drawn() > before)

    def tokens(self):
        "(text, mark) of every stretch, as the page shows it"
        marks = {"tc-kept": "k", "tc-dropped": "d", "tc-kept-by-hand": "K", "tc-dropped-by-hand": "D"}
        found = self.root.locator(".tc-token").evaluate_all("all => all.map(o => [o.textContent.replaceAll('↵\\n', '\\n'), o.classList[1]])")
        return [(text, marks[name]) for text, name in found]
    def original(self): return "".join(o for o, _ in self.tokens())
    def kept(self): return "".join(o for o, m in self.tokens() if m in "kK")
    def compressed(self): return self.root.locator(".tc-compressed").input_value()
    def note(self): return self.root.locator(".tc-note").inner_text()
    def figures(self): return dict(zip(self.root.locator("dt").all_inner_texts(), self.root.locator("dd").all_inner_texts()))
    def text_area(self): return self.page.locator(".widget-textarea textarea")
    def type(self, text): self.after(lambda: self.text_area().fill(text))
    def button(self, name): return self.page.get_by_role("button", name=name)
    def rate(self): return int(self.page.locator(".widget-slider .widget-readout").inner_text().rstrip("%")) / 100

    def drag(self, rate):
        "Drag the slider's handle with the mouse, in steps"
        bar, handle = (self.page.locator(".widget-slider " + o).bounding_box() for o in (".noUi-base", ".noUi-handle"))
        mouse, y = self.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, y)
        mouse.down()
        mouse.move(bar["x"] + bar["width"] * rate, y, steps=8)
        mouse.up()
        self.page.wait_for_timeout(100)
        return self.rate()

    def restore(self, seconds=300):
        self.button("Restore").click()
        self.wait(lambda: self.root.locator(".tc-restored .tc-piece").count() and not self.root.locator(".tc-old").count(), seconds)
    def restored(self):
        "(mark, text, bits or None) of every piece"
        found = self.root.locator(".tc-piece").evaluate_all("all => all.map(o => [o.classList[1].slice(3), o.textContent.replaceAll('↵\\n', '\\n'), o.title])")
        return [(mark, text, float(title.split()[-2]) if title.endswith("bits") else None) for mark, text, title in found]
