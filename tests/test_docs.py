"""The site: every notebook a chapter, every module a page, no link that leads nowhere"""
import importlib.util, subprocess, sys
from pathlib import Path
import pytest

pytest.importorskip("sphinx"); pytest.importorskip("myst_nb"); pytest.importorskip("furo")
ROOT = Path(__file__).resolve().parent.parent

def load_build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT/"docs"/"build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path/"a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">b</a> <a href="#top">up</a> <a href="https://example.org/x">out</a>')
    (tmp_path/"b.html").write_text('<p id="here">B</p> <a href="a.html#gone">a</a> <img src="no.png"> <a href="c.html">c</a>')
    assert load_build().broken_links(tmp_path) == ["b.html: a.html#gone", "b.html: no.png", "b.html: c.html"]

def test_links_to_reports_are_html_in_what_cells_write_too():
    sources = ["".join(o["source"]) for o in load_build().chapter(ROOT/"nbs"/"index.ipynb", set())[0]["cells"]]
    assert any('<a href="reports/{profile}/index.html">' in o for o in sources) and not any("](reports/" in o for o in sources)

def test_the_widgets_notebook_runs_in_a_kernel(tmp_path):
    # the other notebooks are run without one, where nothing that a widget sends can fail to be sent
    done = subprocess.run([sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(tmp_path), "nbs/15_widget.ipynb"],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

def test_the_site_has_every_notebook_and_every_module(tmp_path):
    done = subprocess.run([sys.executable, "docs/build.py", "--no-execute", "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = tmp_path/"html"
    for notebook in [*ROOT.glob("nbs/*.ipynb"), *ROOT.glob("nbs/runs/*.ipynb")]:
        assert (html/notebook.relative_to(ROOT/"nbs").with_suffix(".html")).exists(), notebook
    modules = {o.stem for o in ROOT.glob("tokcomp/*.py")} - {"__init__", "_modidx"}
    assert {o.stem for o in (html/"api").glob("*.html")} == modules
    page = (html/"api"/"compressor.html").read_text()
    assert "Tokens of the compressed string at most" in page and "Compressor.restore" in page     # docments, and what is inherited
    assert "default_exp" not in (html/"03_policy.html").read_text()
