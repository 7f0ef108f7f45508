"""Pictures of the widget with the weights that ship and how long it takes to redraw, of the site and of each report: `make screenshots` writes reports/demo.

Needs a Chromium in PATH and the shipped weights' base model (fetched once where it is not there)."""
import html
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import browser
import psutil
from tokcomp.checkpoint import replace_folder
from tokcomp.first_page import CSS, details_html
from tokcomp.params import profile_params, replace_params
from tokcomp.reports import code_state, make_manifest
from tokcomp.widget import EXAMPLES

# a step of the slider, by its keyboard, until the next frame after the new mask was drawn
STEP = """(key) => new Promise(done => {
  const root = document.querySelector('.tc'), handle = document.querySelector('.widget-slider .noUi-handle'), start = performance.now()
  new MutationObserver((_, o) => { o.disconnect(); requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))) })
    .observe(root, {attributes: true, attributeFilter: ['data-drawn']})
  handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))
})"""
SIZES = (500, 1300)   # tokens, about; the second is about a full part


def cpu_seconds():
    "Processor time that browser, server and kernel have taken so far, all threads together"
    return sum(o.cpu_times().user + o.cpu_times().system for o in psutil.Process().children(recursive=True))


def redraws(w, steps=40):
    "Milliseconds of slider steps, by number of tokens, and the processor time that one takes"
    found, text = [], "\n".join(EXAMPLES[o] for o in ("A meeting", "How bread rises", "A bug report"))
    for n in SIZES:
        part = (text + "\n") * 5
        w.type(part[:int(n * len(text) / 262)])
        w.page.wait_for_timeout(1000)
        before = cpu_seconds()
        times = [w.page.evaluate(STEP, "ArrowRight" if i % 20 < 10 else "ArrowLeft") for i in range(steps)]
        cpu = 1000 * (cpu_seconds() - before) / steps
        found.append(dict(tokens=int(w.figures()["tokens"].split()[2]), steps=steps, median_ms=round(statistics.median(times), 1),
                          p95_ms=round(statistics.quantiles(times, n=20)[-1], 1),
                          least_ms=round(min(times), 1), cpu_ms=round(cpu, 1), load=round(os.getloadavg()[0], 1)))
        print(found[-1], flush=True)
    return found


def overrule(w):
    "Keep one dropped word, and drop a kept one"
    marks = [m for _, m in w.tokens()]
    w.after(lambda: w.root.locator(".tc-token").nth(marks.index("d", 10)).click())
    w.after(lambda: w.root.locator(".tc-token").nth(marks.index("k", 25)).click())


def pictures(chromium, kind, folder, home):
    "One server's pictures and times"
    notebook = browser.demo_copy(home / kind)
    with getattr(browser, kind)(notebook) as url:
        page = chromium.new_page(viewport=dict(width=1400 if kind == "jupyterlab" else 1100, height=1000))
        page.goto(url, wait_until="commit")
        if kind == "jupyterlab":
            browser.run_all(page)
            page.keyboard.press("Control+b")                       # the list of files
        w = browser.Widget(page)
        times = redraws(w)
        page.get_by_label("Example").select_option("How bread rises")
        w.wait(lambda: w.original() == EXAMPLES["How bread rises"])
        w.drag(.7)
        overrule(w)
        start = time.perf_counter()
        w.restore()
        seconds = time.perf_counter() - start
        page.locator(".tc-head button").focus()
        page.set_viewport_size(dict(width=page.viewport_size["width"], height=1250 if kind == "jupyterlab" else 1020))
        page.locator(".widget-dropdown").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"{kind}.png")
        if kind == "voila":
            page.get_by_label("Example").select_option("Text with markup")
            w.wait(lambda: w.original() == EXAMPLES["Text with markup"])
            page.screenshot(path=folder / "markup.png")
        page.close()
    return dict(redraws=times, restored_s=round(seconds, 1))


def first_pages(chromium, folder, home, root):
    "Pictures of the site's front page and of each report's; their captions by name"
    subprocess.run([sys.executable, root / "docs/build.py", "--no-execute", "--output", home / "site"], check=True)
    pages = {"site": (home / "site/html/index.html", "The site's front page")}
    for path in sorted(root.glob("reports/[!.]*/index.html")):
        if path.parent.name != "demo": pages[f"report-{path.parent.name}"] = path, f"The report {path.parent.name}"
    page = chromium.new_page(viewport=dict(width=1400, height=1300))
    for name, (path, _) in pages.items():
        page.goto(path.as_uri())
        page.screenshot(path=folder / f"{name}.png")
    page.close()
    return {name: caption for name, (_, caption) in pages.items()}


def browser_tests(root):
    "The browser tests, run now: their log, without this machine's folders and times"
    done = subprocess.run([sys.executable, "-m", "pytest", "-v", "--no-header", "-p", "no:cacheprovider", "tests/test_widget.py", "tests/test_docs.py"],
                          cwd=root, capture_output=True, text=True)
    if done.returncode: sys.exit(f"the browser tests fail, nothing was pictured:\n{done.stdout[-3000:]}")
    return "\n".join(o for o in done.stdout.splitlines() if o.strip()) + "\n"


def page_html(found, captions, manifest, log):
    "The report's page"
    rows = "".join(f"<tr><td>{html.escape(kind)}</td>" + "".join(f"<td>{o[k]}</td>" for k in ("tokens", "cpu_ms", "least_ms", "median_ms", "p95_ms", "load")) + "</tr>"
                   for kind, f in found.items() for o in f["redraws"])
    head = "".join(f'<th scope="col">{o}</th>' for o in ("", "tokens", "processor time, ms", "least, ms", "median, ms", "95 %, ms", "load average"))
    shots = "".join(f'<figure><img alt="{text}" src="{name}.png"><figcaption>{text}.</figcaption></figure>' for name, text in captions.items())
    plain = {k: v for k, v in manifest.items() if k not in ("packages", "parameters")}
    return f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>tokcomp: the widget</title><style>{CSS}</style></head><body><h1>The masking widget</h1>
<p class="note">Made {html.escape(manifest['date'])} by <code>{html.escape(manifest['command'])}</code>, with the weights that ship.</p>{shots}
<h2>Redrawing</h2><p>From a key on the slider to the frame after the new mask is drawn, the way to the kernel and back included;
browser, server and kernel share {manifest['processors']} processors with whatever else made the load average. Processor time is theirs alone, over all
threads; what they wait for is not in it.</p>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<h2>Tests in this browser</h2><pre>{html.escape(log)}</pre>
{details_html('Where it comes from', plain)}{details_html('Versions', manifest['packages'])}</body></html>"""


def main():
    start, root = time.perf_counter(), browser.ROOT
    if browser.CHROMIUM is None: sys.exit("expected a Chromium in PATH, found none: apt-get install chromium")
    params, command = replace_params(profile_params("integration"), profile="demo"), "make screenshots"
    code = code_state(params, root, ["demo"], command)
    final, log = root / "reports/demo", browser_tests(root)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=root / "reports") as made, tempfile.TemporaryDirectory() as home:
        folder = Path(made) / "demo"
        folder.mkdir()
        with browser.chromium() as chromium:
            found = {kind: pictures(chromium, kind, folder, Path(home)) for kind in ("voila", "jupyterlab")}
            version = chromium.version
            captions = dict(voila="The widget as a page, served by Voilà", jupyterlab="The same in JupyterLab", markup="A text with markup in it is a text")
            captions |= first_pages(chromium, folder, Path(home), root)
        manifest = make_manifest(params, root, {"demo": time.perf_counter() - start}, {"device": "cpu"}, command, code) | {"chromium": version}
        (folder / "demo.json").write_text(json.dumps(found, indent=1))
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
        (folder / "index.html").write_text(page_html(found, captions, manifest, log), encoding="utf-8")
        replace_folder(folder, final)
    print(f"Report: {final.relative_to(root) / 'index.html'}")


if __name__ == "__main__": main()
