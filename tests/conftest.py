"Shared by all tests: offline, from the repository's root, one thread a worker."
import os
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
    import shutil
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path
