"What must hold of every notebook and module, whatever they contain."
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("**/*.ipynb"))
MODULES = sorted(p.stem for p in (ROOT / "tokcomp").glob("*.py") if not p.stem.startswith("_"))


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_without_outputs(path):
    assert not any(c.get("outputs") or c.get("execution_count") for c in cells(path))


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.parent.name == "runs"], ids=lambda p: p.stem)
def test_run_notebooks_have_a_parameters_cell(path):
    tagged = [c for c in cells(path) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1, "papermill would inject at the top, and the defaults below would win"
    assert "".join(tagged[0]["source"]).strip() == 'profile = "integration"'


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_in_a_fresh_process(module):
    done = subprocess.run([sys.executable, "-c", f"import tokcomp.{module}"], capture_output=True, text=True,
                          cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_imports_go_one_way():
    "A notebook imports only modules of notebooks before it (02a, 02b and 02c are parts of 02)"
    order, imports = {}, {}
    for path in (p for p in NOTEBOOKS if p.parent.name == "nbs"):
        source = ["".join(c["source"]) for c in cells(path) if c["cell_type"] == "code"]
        name = next((s.split("default_exp")[1].split()[0] for s in source if "#| default_exp" in s), None)
        if name is None:
            continue
        order[name] = int(path.stem[:2])
        exported = "\n".join(s for s in source if s.startswith("#| export"))
        imports[name] = {line.split("tokcomp.")[1].split()[0].rstrip(",") for line in exported.splitlines()
                         if line.lstrip().startswith(("from tokcomp.", "import tokcomp."))}
    backwards = [(a, b) for a, uses in imports.items() for b in uses if order[b] > order[a]]
    assert not backwards
