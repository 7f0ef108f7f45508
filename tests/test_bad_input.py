"Every user error: what was expected, what arrived, what to do; and nothing earlier is harmed."
import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def reports(*args, cwd=ROOT):
    return subprocess.run([sys.executable, "-m", "tokcomp.reports", *args], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("override, message", [
    ("batch_sise=4", "did you mean 'batch_size'"),
    ("micro_batch_size=128", "micro_batch_size"),
    ("keep_rate_min=1.5", "keep_rate_min"),
    ("device=gpu", "cuda"),
    ("output_dir=../elsewhere", "output_dir"),
    ("seed=abc", "seed"),
])
def test_parameters_are_refused_before_anything_runs(override, message, tmp_path):
    done = reports("nano", "--out", str(tmp_path), "-p", override)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ['x=1;open("made","w")#', "__import__('os').system('touch made')", "batch_size\nopen('made','w')", "seed;import os"])
def test_hostile_keys_never_reach_papermill(key, tmp_path):
    done = reports("nano", "--out", str(tmp_path), "-p", f"{key}=1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()) and not (ROOT / "made").exists()


def test_hostile_values_arrive_as_text(tmp_path):
    "What papermill writes into a notebook as code is read back as the same values, and nothing else happens"
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook
    from tokcomp.reports import run_notebook
    attack = 'open("made", "w")'
    values = [f'";{attack}#', f"';{attack}#", f'"""\n{attack}\n"""', f"\\\";{attack}#", f'\n{attack}', f"\r{attack}", f"{{{attack}}}", f"%{attack}",
              "!touch made", "$(touch made)", "{{ made }}", "\\", "\x00\x1b", "\u2028" + attack, "<script>", "caf\u00e9 \U0001f600", f'x" + str({attack}) + "']
    cell = new_code_cell("values = []")
    cell.metadata["tags"] = ["parameters"]
    show = new_code_cell("import json, pathlib; pathlib.Path('values.json').write_text(json.dumps(values))")
    nbformat.write(new_notebook(cells=[cell, show]), tmp_path / "hostile.ipynb")
    run_notebook(tmp_path / "hostile.ipynb", tmp_path / "executed.ipynb", dict(values=values), tmp_path)
    assert json.loads((tmp_path / "values.json").read_text()) == values
    assert sorted(o.name for o in tmp_path.iterdir()) == ["executed.ipynb", "hostile.ipynb", "values.json"]


def test_unknown_profile_names_the_nearest():
    done = reports("nanno")
    assert done.returncode == 2 and "nano" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name, content, message", [
    ("empty.txt", b"", "is empty"),
    ("latin.txt", "caf\u00e9 ".encode("latin-1") * 100, "UTF-8"),
    ("rows.jsonl", json.dumps({"body": "x"}).encode(), "body"),
])
def test_corpus(name, content, message, tmp_path):
    from tokcomp.data import load_documents
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Exception) as caught:
        load_documents(str(tmp_path / name))
    assert message in str(caught.value) and name in str(caught.value)


def test_text_shorter_than_a_block_is_used_whole_or_refused(tmp_path, workspace):
    from tokcomp.params import profile_params
    from tokcomp.pipeline import prepared
    texts = [f"A short text, number {i}." for i in range(60)]
    (tmp_path / "short.jsonl").write_text("\n".join(json.dumps({"text": o}) for o in texts))
    def made(**overrides):
        asked = dict(corpus=str(tmp_path / "short.jsonl"), min_characters=1, near_duplicate_threshold=1., n_blocks=None)
        return prepared(profile_params("integration", overrides=asked | overrides))[0]
    corpus = made(min_tokens=2, output_dir="runs/short")
    assert sorted(o for rows in corpus.blocks.values() for o in rows["text"]) == sorted(texts)
    with pytest.raises(ValueError, match="min_tokens=40"):
        made(min_tokens=40, output_dir="runs/refused")
    assert not (workspace / "runs/refused/corpus").exists()


def test_one_document_is_too_few(tmp_path, workspace):
    from tokcomp.params import profile_params
    from tokcomp.pipeline import prepared
    (tmp_path / "short.txt").write_text("A short text.")
    params = profile_params("integration", overrides=dict(corpus=str(tmp_path / "short.txt"), min_characters=1))
    with pytest.raises(ValueError, match="too few"):
        prepared(params)
    assert not (workspace / params.output_dir / "corpus").exists()


def test_no_space_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    import torch
    import tokcomp.checkpoint as checkpoint
    checkpoint.save_checkpoint(tmp_path, 1, {"model": {"w": torch.ones(3)}}, {})
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(checkpoint.CheckpointError, match="No space left"):
        checkpoint.save_checkpoint(tmp_path, 2, {"model": {"w": torch.zeros(3)}}, {})
    monkeypatch.undo()
    tensors, state = checkpoint.load_checkpoint(checkpoint.latest_checkpoint(tmp_path))
    assert state["step"] == 1 and tensors["model"]["w"].tolist() == [1, 1, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001"]


def test_no_write_permission_is_said(workspace, monkeypatch):
    from tokcomp.params import profile_params
    from tokcomp.pipeline import output_folder
    (workspace / "runs").write_text("a file where a folder should be")   # root ignores permissions, not this
    with pytest.raises(OSError, match="cannot be written to"):
        output_folder(profile_params("integration"))


def test_unknown_device_says_what_there_is():
    from tokcomp.device import pick_device
    with pytest.raises(ValueError, match="cpu"):
        pick_device("tpu")
