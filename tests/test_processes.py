"Two processes give the weights of one: same masks, same global batch, same sums up to floating point; whatever happens to them."
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
ARGS = ["-f", "params/base.yaml", "-f", "params/integration.yaml", "--batch_size", "8", "--micro_batch_size", "4",
        "--masks_per_text", "2", "--dtype", "fp32", "--n_seeds", "1", "--max_documents", "40", "--checkpoint_interval", "1"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
              "--dynamo_backend=no", "--main_process_port=0"]

# what the entry does, with something happening to the second process
HAPPENS = '''
import os, signal, sys, time
import torch
from tokcomp.reconstructor import Reconstructor
from tokcomp.trainer import Trainer
from tokcomp.train import main

kind, second = sys.argv[1], os.environ["RANK"] == "1"
first_time = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
step, forward, update = Trainer.joint_step, Reconstructor.forward, Trainer.by_micro_batch

def joint_step(self):
    if second and self.state.step == 1 and kind == "raises": raise ZeroDivisionError("made for this test")
    if second and self.state.step == 1 and kind == "killed" and first_time: os.kill(os.getpid(), signal.SIGKILL)
    return step(self)

def small(self, input_ids, *rest):
    if second and len(input_ids) > 1: raise torch.OutOfMemoryError("out of memory (made for this test)")
    return forward(self, input_ids, *rest)

def told(self, *args):
    result = update(self, *args)
    os.write(1, f"rank {os.environ['RANK']} of {self.accelerator.num_processes}: micro-batch {self.micro_batch_size}\\n".encode())
    return result

Trainer.joint_step = joint_step
if kind == "killed": Reconstructor.forward, Trainer.by_micro_batch = small, told
sys.exit(main(sys.argv[2:]))
'''


def train(folder, launch, *words):
    "Run the entry in a folder of its own"
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "params", folder / "params", dirs_exist_ok=True)
    (folder / "happens.py").write_text(HAPPENS)
    env = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}   # or workers that are started again do not meet
    return subprocess.run([sys.executable, *launch, *words, *ARGS], cwd=folder, capture_output=True, text=True, timeout=300, env=env)


def weights(folder):
    newest = max((folder / "runs/integration/seed-0/checkpoints").glob("step-*"))
    return {f"{name}.{key}": value for name in ("reconstructor", "policy")
            for key, value in load_file(newest / f"{name}.safetensors").items()}


def assert_same(folder, one):
    "The weights of one process, one log, and nothing half made"
    two = weights(folder)
    assert one.keys() == two.keys()
    # a few AdamW steps turn differences in the last bit of a sum into differences of at most this size
    worst = max((one[name].float() - two[name].float()).abs().max().item() for name in one)
    assert worst < 2e-4, worst
    run = folder / "runs/integration"
    lines = [json.loads(o) for o in (run / "seed-0/metrics.jsonl").read_text().splitlines()]
    assert [(o["phase"], o["step"]) for o in lines] == [(p, s) for p in ("warm_start", "joint") for s in (1, 2, 3)]
    assert (run / "trained/card.json").exists()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    done = train(folder, ["-m"], "tokcomp.train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.strip().endswith("Trained: runs/integration")
    return folder, weights(folder)


def test_two_processes_equal_one(tmp_path, one):
    "Started together without a corpus: one of them makes it"
    done = train(tmp_path, TORCHRUN, "-m", "tokcomp.train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(tmp_path, one[1])
    a, b = (json.loads((o / "runs/integration/trained/card.json").read_text())["trained"]["fingerprint"] for o in (one[0], tmp_path))
    assert a == b


def test_accelerate_launch(tmp_path, one):
    done = train(tmp_path, ACCELERATE, "-m", "tokcomp.train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(tmp_path, one[1])


def test_killed_worker_short_of_memory_is_started_again(tmp_path, one):
    "One worker takes single rows only, so that both do; then it is killed, and both go on from the last checkpoint"
    done = train(tmp_path, [*TORCHRUN, "--max-restarts=1"], "happens.py", "killed")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(tmp_path, one[1])
    # two processes write without a lock: lines may run into each other
    assert set(re.findall(r"rank (\d+) of 2: micro-batch 2", done.stdout)) == {"0", "1"}
    assert "out of memory with 2 rows: going on with 1" in done.stderr + done.stdout


def test_worker_that_fails_ends_the_run(tmp_path):
    started = time.monotonic()
    done = train(tmp_path, TORCHRUN, "happens.py", "raises")
    assert done.returncode != 0 and time.monotonic() - started < 240
    assert "ZeroDivisionError: made for this test" in done.stderr
    saved = sorted(o.name for o in (tmp_path / "runs/integration/seed-0/checkpoints").iterdir())
    assert "step-00000004" in saved    # the warm start's three steps and one of the joint phase


def test_batch_that_cannot_be_shared_is_refused_before_anything_starts(tmp_path):
    done = train(tmp_path, [*TORCHRUN[:-1], "--nproc_per_node=3"], "-m", "tokcomp.train")
    assert done.returncode != 0 and "3 processes share evenly" in done.stderr
    assert not (tmp_path / "runs").exists()
