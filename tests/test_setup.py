"setup.sh and activate.sh say what is missing; from a folder with spaces, with stand-ins for what is not there."
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = "setup.sh activate.sh requirements.txt requirements.lock settings.ini setup.py pyproject.toml".split()


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    for name in FILES:
        shutil.copy2(ROOT / name, folder / name)
    return folder


def stand_in(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(folder, *words, path=None):
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "PYTHONPATH")}
    if path:
        env["PATH"] = f"{path}:{env['PATH']}"
    return subprocess.run([*words], cwd=folder.parent, env=env, capture_output=True, text=True)


def test_help_and_wrong_words(checkout):
    done = run(checkout, str(checkout / "setup.sh"), "--help")
    assert done.returncode == 0 and all(o in done.stdout for o in ("--cpu", "--force", "--python", "activate.sh"))
    done = run(checkout, str(checkout / "setup.sh"), "--gpu")
    assert done.returncode == 1 and "unknown option '--gpu'" in done.stderr
    done = run(checkout, str(checkout / "setup.sh"), "--python")
    assert done.returncode == 1 and "--python wants a Python" in done.stderr


@pytest.mark.parametrize("python, says", [
    ("exit 1", "no working"),
    ("echo 3.9", "too old"),
    ('case "$2" in *ensurepip*) exit 1;; *) echo 3.11;; esac', "has no venv module"),
])
def test_what_python_lacks(checkout, python, says):
    fake = stand_in(checkout, "python", python)
    done = run(checkout, str(checkout / "setup.sh"), "--python", str(fake))
    assert done.returncode == 1 and says in done.stderr and str(fake) in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("gpu, needed, free", [(False, 4, 2), (True, 12, 11)])
def test_no_space(checkout, tmp_path, gpu, needed, free):
    fake = stand_in(checkout, "python", "echo 3.11")
    (tmp_path / "bin").mkdir()
    stand_in(tmp_path / "bin", "df", f'printf "Filesystem\\n/dev/x 9 9 {free * 2**20} 1%% /\\n"')
    if gpu: stand_in(tmp_path / "bin", "nvidia-smi", "exit 0")
    done = run(checkout, str(checkout / "setup.sh"), f"--python={fake}", *([] if gpu else ["--cpu"]), path=tmp_path / "bin")
    assert done.returncode == 1 and f"expected {needed} GB" in done.stderr and f"found {free} GB" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("words", [[], ["--force"]])
def test_the_environment_of_another_checkout_is_not_emptied(checkout, tmp_path, words):
    other = tmp_path / "other" / ".venv"
    (other / "bin").mkdir(parents=True)
    stand_in(other / "bin", "python", "echo 3.11")
    (other / "bin" / "pip").write_text(f"#!{other}/bin/python\n")
    (checkout / ".venv").symlink_to(other)
    fake = stand_in(checkout, "python", "echo 3.11")
    done = run(checkout, str(checkout / "setup.sh"), "--python", str(fake), *words)
    assert done.returncode == 1 and f"link to {other}" in done.stderr
    assert (other / "bin" / "pip").exists()


def test_activate(checkout):
    activate = checkout / "activate.sh"
    done = run(checkout, "bash", str(activate))
    assert done.returncode == 1 and "to be sourced" in done.stderr
    done = run(checkout, "bash", "-c", f". '{activate}' || echo refused")
    assert done.stdout == "refused\n" and "run ./setup.sh first" in done.stderr
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/.tokcomp-setup").touch()
    (checkout / ".venv/bin/activate").write_text("echo entered\n")
    done = run(checkout, "bash", "-c", f". '{activate}'")
    assert (done.returncode, done.stdout) == (0, "entered\n")
