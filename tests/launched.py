"""Training in one process or several, each run in a folder of its own, with things happening to it; test_processes.py asserts
what nbs/runs/scale.ipynb measures."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAME = 2e-4   # a few AdamW steps turn differences in the last bit of a sum into differences of at most this size
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]

# what the entry does, with something happening to the second process, and steps told as they begin
HAPPENS = '''
import json, os, signal, sys, time
import torch
from tokcomp.reconstructor import Reconstructor
from tokcomp.trainer import Trainer
from tokcomp.train import main

kinds, at, rank, restart = sys.argv[1].split("+"), int(os.environ["AT_STEP"]), int(os.environ.get("RANK", 0)), int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
batch, step, forward, update = Trainer.train_batch, Trainer.joint_step, Reconstructor.forward, Trainer.by_micro_batch

def tell(what, state):   # one write, so that two processes' lines stay apart
    os.write(1, (json.dumps(dict(what=what, rank=rank, restart=restart, phase=state.phase, step=state.step, total=state.total, time=time.time())) + "\\n").encode())

def told_batch(self, *args):
    tell("step", self.state)
    if "held" in kinds and self.state.phase == "joint" and self.state.step == at: time.sleep(.2)   # until the signal is here
    return batch(self, *args)

def joint_step(self):
    if rank == 1 and self.state.step == at and "raises" in kinds: raise ZeroDivisionError("made for this test")
    if rank == 1 and self.state.step == at and "killed" in kinds and not restart:
        tell("killed", self.state)
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self)

def small(self, input_ids, *rest):
    if rank == 1 and len(input_ids) > 1: raise torch.OutOfMemoryError("out of memory (made for this test)")
    return forward(self, input_ids, *rest)

def told_update(self, *args):
    result = update(self, *args)
    os.write(1, f"rank {rank} of {self.accelerator.num_processes}: micro-batch {self.micro_batch_size}\\n".encode())
    return result

Trainer.joint_step = joint_step
if "told" in kinds: Trainer.train_batch = told_batch
if "short" in kinds: Reconstructor.forward, Trainer.by_micro_batch = small, told_update
sys.exit(main(sys.argv[2:]))
'''


def prepare(folder, at):
    "A folder to train in, and the environment: things happen in step `at` of the joint phase"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "params", folder / "params", dirs_exist_ok=True)
    (folder / "happens.py").write_text(HAPPENS)
    # the package that is tested, and workers that meet again when they are started again
    return {**os.environ, "PYTHONPATH": str(ROOT), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "AT_STEP": str(at)}


def train(folder, args, launch, *words, at=1, timeout=300):
    "Run the entry in a folder of its own"
    env = prepare(folder, at)
    return subprocess.run([sys.executable, *launch, *words, *args], cwd=folder, capture_output=True, text=True, timeout=timeout, env=env)


def train_on_nodes(folder, args, nodes=2, timeout=300):
    "A launcher a node, with one process each: on one machine they find each other at an address, as several with one file system do"
    env = prepare(folder, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={port}"]
    running, codes = [], []
    for k in range(nodes):
        with open(folder / f"node-{k}.err", "w") as err:
            running.append(subprocess.Popen([*launch, f"--node_rank={k}", "-m", "tokcomp.train", *args], cwd=folder, env=env,
                                            stdout=subprocess.DEVNULL, stderr=err))
    try:
        codes += [o.wait(timeout) for o in running]
    except subprocess.TimeoutExpired:
        for o in running:
            o.terminate()     # a launcher ends its worker
    return codes, [(folder / f"node-{k}.err").read_text()[-3000:] for k in range(nodes)]


def weights(run):
    "All tensors of a run's first policy and its reconstructor"
    from safetensors.torch import load_file
    newest = max((run / "seed-0/checkpoints").glob("step-*"))
    return {f"{name}.{key}": value for name in ("reconstructor", "policy")
            for key, value in load_file(newest / f"{name}.safetensors").items()}


def largest_difference(a, b):
    assert a.keys() == b.keys()
    return max((a[name].float() - b[name].float()).abs().max().item() for name in a)


def relative_difference(a, b):
    "Norm of the difference of all weights, over their norm"
    assert a.keys() == b.keys()
    return (sum((a[name].double() - b[name].double()).square().sum().item() for name in a)
            / sum(o.double().square().sum().item() for o in a.values())) ** .5


def told(lines):
    return [json.loads(o) for o in lines if o.startswith("{")]


def interrupted(folder, args, number, at, launch=("-W", "ignore"), timeout=300):
    "A signal in the middle of step `at` of the joint phase, and the same command again: seconds to end and to go on, whole steps done twice"
    env = prepare(folder, at)

    def begun(kind, happens):
        command = [sys.executable, *launch, "happens.py", happens, *args]
        with open(folder / f"{kind}.err", "w") as err:
            return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True, env=env)

    def step(run, kind, wanted):
        for line in run.stdout:
            for o in told([line]):
                if wanted(o):
                    return o
        raise RuntimeError(f"no step was begun: {(folder / f'{kind}.err').read_text()[-3000:]}")

    first = begun("first", "told+held")
    last = step(first, "first", lambda o: o["phase"] == "joint" and o["step"] == at)
    sent = time.time()
    first.send_signal(number)
    rest = told(first.communicate(timeout=timeout)[0].splitlines())
    ended = time.time()
    last = max([last, *rest], key=lambda o: o["total"])
    again = begun("again", "told")
    on = step(again, "again", lambda o: True)
    again.communicate(timeout=timeout)
    return dict(signal=signal.Signals(number).name, returncode=first.returncode, said=(folder / "first.err").read_text(),
                finished=again.returncode == 0, ended_s=ended - sent, going_on_s=on["time"] - sent, steps_again=last["total"] - on["total"])
