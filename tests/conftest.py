"Shared by all tests: offline, from the repository's root, one thread a worker."
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel: two threads each would wait for one another
ROOT = Path(__file__).resolve().parent.parent

import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    "A folder with the parameter files in it, where runs write their output"
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dry_report():
    "Makes a report of one run notebook with the smallest profile; what the run leaves in runs/ goes with the test"
    made = []

    def report(notebook, out, *settings):
        made.append(f"runs/test-{os.getpid()}-{notebook}")
        return subprocess.run([sys.executable, "-m", "tokcomp.reports", "integration", "--notebooks", notebook, "--out", str(out),
                               "-p", f"output_dir={made[-1]}", *settings], capture_output=True, text=True, cwd=ROOT)
    yield report
    for folder in made:
        shutil.rmtree(ROOT / folder, ignore_errors=True)
