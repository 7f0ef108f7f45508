"The widget in a real browser, in JupyterLab and as a Voilà page: what is shown is what the package computes."
import re

import pytest

import browser
from tokcomp.compressor import Compressor
from tokcomp.example import untrained_weights
from tokcomp.widget import EXAMPLES, LIMIT

pytest.importorskip("playwright", reason="needs playwright (pip install playwright; no browser download)")
if browser.CHROMIUM is None: pytest.skip("needs a Chromium in PATH (apt-get install chromium)", allow_module_level=True)

TEXT = ('The cat saw the mouse, and went home at 0:30 because it was "late". The dog did not see the 😀 train.\n'
        "The old man forgot the house, and the dog chased the cat.\n") * 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return untrained_weights(tmp_path_factory.mktemp("weights") / "untrained")


@pytest.fixture(scope="module")
def c(weights):
    return Compressor(weights)


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as found: yield found


@pytest.fixture(scope="module", params=["voila", "jupyterlab"])
def opened(request, chromium, weights, tmp_path_factory):
    "The demo, run, in a page whose errors are noted"
    notebook = browser.demo_copy(tmp_path_factory.mktemp(request.param), weights)
    with getattr(browser, request.param)(notebook) as url:
        context = chromium.new_context(viewport=dict(width=1300, height=1400), permissions=["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.errors, page.kind = [], request.param
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.on("dialog", lambda o: (page.errors.append(f"dialog: {o.message}"), o.dismiss()))
        page.goto(url, wait_until="commit")
        if request.param == "jupyterlab": browser.run_all(page)
        yield page, browser.Widget(page)
        context.close()


@pytest.fixture
def shown(opened):
    "The widget with the same text and rate for every test"
    page, w = opened
    if w.text_area().input_value() != TEXT: w.type(TEXT)
    if w.button("Undo what is by hand").is_enabled(): w.after(lambda: w.button("Undo what is by hand").click())
    w.wait(lambda: w.original() == TEXT)
    page.errors.clear()
    yield page, w
    assert not page.errors


def check(w, c, text, **options):
    r = c.compress(text, w.rate(), guard=False, **options)
    w.wait(lambda: w.compressed() == r.text)
    assert w.original() == text and w.kept() == r.text
    assert w.figures()["tokens"] == f"{r.n_kept} of {r.n_tokens} kept"
    assert w.figures()["predicted"] == f"{r.distortion:.2f} bits a token"
    return r


def test_typing_and_dragging(shown, c):
    _, w = shown
    check(w, c, TEXT)
    for rate in (.25, .8, .5):
        assert abs(w.drag(rate) - rate) < .06
        check(w, c, TEXT)
    w.after(lambda: w.page.get_by_label("whole words").uncheck())
    check(w, c, TEXT, whole_words=False)
    w.after(lambda: w.page.get_by_label("whole words").check())


def test_a_hand_on_a_token_by_mouse_and_by_keyboard(shown, c):
    page, w = shown
    w.drag(.5)
    r = check(w, c, TEXT)
    dropped = next(i for i, (_, m) in enumerate(w.tokens()) if m == "d")
    w.after(lambda: w.root.locator(".tc-token").nth(dropped).click())
    assert w.tokens()[dropped][1] == "K" and w.compressed() == w.kept() != r.text
    assert w.figures()["by hand"] == "1 kept, 0 dropped"
    kept_now = int(w.figures()["tokens"].split()[0])
    assert kept_now <= r.asked
    cells = page.locator(".jp-Cell").count()
    w.root.locator(".tc-token").nth(0).focus()
    assert w.root.locator(".tc-token[tabindex='0']").count() == 1
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == w.tokens()[1][0]
    w.after(lambda: page.keyboard.press("d"))
    w.after(lambda: page.keyboard.press("d"))                     # twice: JupyterLab would delete the cell
    assert w.tokens()[1][1] == "D" and page.locator(".jp-Cell").count() == cells
    assert ": dropped by hand, keep probability" in w.root.locator(".tc-token").nth(1).get_attribute("aria-label")
    w.after(lambda: page.keyboard.press("k"))
    assert w.tokens()[1][1] == "K"
    w.after(lambda: page.keyboard.press("p"))
    assert w.tokens()[1][1] in "kd"
    page.keyboard.press("End")
    assert w.root.locator(".tc-token[tabindex='0']").evaluate("o => !o.nextSibling")
    w.after(lambda: w.button("Undo what is by hand").click())
    check(w, c, TEXT)


def test_restoring(shown, c):
    _, w = shown
    w.drag(.6)
    r = check(w, c, TEXT)
    w.restore()
    pieces = w.restored()
    assert "".join(text for mark, text, _ in pieces if mark != "missing") == c.restore(r)
    assert "".join(text for mark, text, _ in pieces if mark != "extra") == TEXT
    bits = [bits for mark, _, bits in pieces if mark != "extra"]
    measured = c.measure(r)
    assert abs(sum(bits) - measured.sum()) < .06 * len(bits)       # shown to a tenth of a bit each
    assert f"{measured.mean():.2f} bits a token measured" in w.root.locator(".tc-says").inner_text()
    assert f"measured {measured.mean():.2f} at" in w.root.locator(".tc-plot svg").get_attribute("aria-label")
    w.drag(.4)
    w.wait(lambda: w.root.locator(".tc-old").count() == 1)         # of an earlier mask, and says so
    assert "measured" not in w.root.locator(".tc-plot svg").get_attribute("aria-label")


def test_a_slider_that_moves_while_restoring(shown, c):
    _, w = shown
    w.drag(.9)
    w.type(TEXT * 4)
    for rate in (.3, .7, .5):
        w.button("Restore").click()
        w.drag(rate)
    r = check(w, c, TEXT * 4)
    w.wait(lambda: not w.root.locator("progress").count())
    assert not w.root.locator(".tc-piece").count() or w.root.locator(".tc-old").count()
    w.restore()                                                     # the newest is shown, and is of this mask
    assert "".join(text for mark, text, _ in w.restored() if mark != "missing") == c.restore(r)


def test_copy(shown):
    page, w = shown
    w.root.get_by_role("button", name="Copy").click()
    w.wait(lambda: page.get_by_text("copied", exact=True).count())
    assert page.evaluate("navigator.clipboard.readText()").replace("\r\n", "\n") == w.compressed()


def test_markup_is_text(shown, c):
    page, w = shown
    text = EXAMPLES["Text with markup"] + "</span></textarea><script>window.ran = true</script><img src=x onerror='window.ran = true'>"
    w.type(text)
    check(w, c, text)
    w.restore()
    assert page.evaluate("window.ran") is None
    assert not page.locator(".tc script, .tc img, .tc b, .tc i").count()


def test_nothing_and_too_much(shown, c):
    page, w = shown
    w.type("")
    assert w.compressed() == "" and not w.tokens() and "choose an example" in w.note() and w.button("Restore").is_disabled()
    text = ("The cat saw the mouse. " * 5000)[:100_000]
    w.type(text)
    assert "100,000 characters" in w.note() and f"{LIMIT:,} at a time" in w.note() and "part 1 of" in w.note()
    first = w.original()
    assert len(first) <= LIMIT and text.startswith(first)
    w.after(lambda: w.button("Next part").click())
    w.wait(lambda: "part 2 of" in w.note())
    assert text.startswith(first + w.original())
    check(w, c, w.original())
    w.after(lambda: page.get_by_label("Example").select_option("How bread rises"))
    check(w, c, EXAMPLES["How bread rises"])


def test_a_kernel_that_is_gone(shown):
    "Last: the widget is dead afterwards"
    page, w = shown
    lost = w.root.locator(".tc-lost")
    w.drag(.7)
    page.wait_for_timeout(6000)
    assert not lost.text_content()                             # the kernel answered
    if page.kind == "jupyterlab":
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
        page.locator(".jp-Dialog .jp-mod-accept").click()
    else:                                                      # nobody tells a Voilà page that its kernel died, or that another took its place
        for o in browser.kernels(): o.kill()
        w.drag(.3)
    w.wait(lambda: "does not answer" in (lost.text_content() or ""), 30)
