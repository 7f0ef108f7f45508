"Several workers on one study: every trial once, none lost with the worker that had it."
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
ARGS = ["-f", "params/base.yaml", "-f", "params/integration.yaml", "--max_documents", "40", "--max_trials", "4",
        "--search_sampler", "random", "--search_warmup_trials", "9", "--threads", "1", "--checkpoint_interval", "1"]


def worker(folder, *words):
    return subprocess.Popen([sys.executable, "-W", "ignore", "-m", "tokcomp.search", *ARGS, *words], cwd=folder, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process):
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err[-3000:]
    return out


def trials(folder):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    import optuna
    storage = JournalStorage(JournalFileBackend(str(folder / "runs/integration/study.journal")))
    return optuna.load_study(storage=storage, study_name="integration").trials


def test_two_workers_one_of_them_killed(tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    first, second = worker(tmp_path), worker(tmp_path)
    # the first is killed in the middle of its trial, when that has a checkpoint to go on from
    until, mine = time.monotonic() + 240, None
    while mine is None and time.monotonic() < until and first.poll() is None:
        for holder in tmp_path.glob("runs/integration/trial-*/.lock-holder"):
            begun = list(holder.parent.glob("reconstructor/checkpoints/step-*"))
            if begun and holder.read_text().startswith(f"process {first.pid} "):
                mine = holder.parent
        time.sleep(.02)
    assert mine is not None, "the first worker trained nothing"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    ended(second)
    ended(worker(tmp_path))          # takes over what is left, which the second worker may have done already
    found = trials(tmp_path)
    done = [o for o in found if o.state.name == "COMPLETE"]
    lost = [o for o in found if o.state.name == "FAIL"]
    assert len(done) == 4 and len(found) == 5 and len(lost) == 1
    again = [o for o in done if o.params == lost[0].params]
    assert len(again) == 1 and again[0].user_attrs["run"] == lost[0].number and mine.name == f"trial-{lost[0].number:04d}"
    folders = sorted(o.name for o in (tmp_path / "runs/integration").glob("trial-*"))
    assert len(folders) == 4
    for o in done:                   # a whole training each, with a seed of its own
        run = o.user_attrs.get("run", o.number)
        lines = (tmp_path / f"runs/integration/trial-{run:04d}/seed-{run}/metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1, 2, 3] * 2


def test_hyperopt_notebook(tmp_path):
    out = f"runs/test-{os.getpid()}-hyperopt"
    try:
        done = subprocess.run([sys.executable, "-m", "tokcomp.reports", "integration", "--out", str(tmp_path),
                               "--notebooks", "hyperopt", "-p", f"output_dir={out}", "max_documents=40"],
                              cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        made = tmp_path / "integration"
        assert {"history.png", "curves.png"} <= {o.name for o in (made / "figures").iterdir()}
        best = yaml.safe_load((ROOT / out / "best.yaml").read_text())
        found = json.loads((made / "run.json").read_text())["best"]
        assert best["profile"] == "integration-best" and all(best[k] == v for k, v in found.items() if k in best)
        papermill = subprocess.run([sys.executable, "-m", "papermill", "nbs/runs/train.ipynb", str(tmp_path / "out.ipynb"), "-f",
                                    "params/base.yaml", "-f", f"{out}/best.yaml", "-p", "output_dir", f"{out}/best", "--cwd", ROOT],
                                   cwd=ROOT, capture_output=True, text=True)
        assert papermill.returncode == 0, papermill.stderr[-3000:]
    finally:
        shutil.rmtree(ROOT / out, ignore_errors=True)
