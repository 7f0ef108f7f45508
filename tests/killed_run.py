"""A tiny training run, killed from outside at many moments and resumed each time; test_faults.py runs this.

    python tests/killed_run.py FOLDER kills SEED N    kill N times at random moments; a JSON line for each
    python tests/killed_run.py FOLDER train           one run, slow enough to be sent a signal
    python tests/killed_run.py FOLDER full BYTES      one run that may write no file over so many bytes

Training happens in forked children, so that imports are paid once.
"""
import hashlib
import itertools
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict

import tokcomp.checkpoint as checkpoint
from tokcomp.device import pick_device
from tokcomp.logs import read_logs
from tokcomp.params import profile_params
from tokcomp.policy import Policy, PolicyConfig
from tokcomp.reconstructor import build_reconstructor
from tokcomp.tokens import train_tokenizer
from tokcomp.trainer import Trainer

STEPS = 3
PARAMS = profile_params("integration", overrides=dict(
    block_size=24, batch_size=4, micro_batch_size=2, masks_per_text=2, reconstructor_steps=STEPS, policy_steps=STEPS,
    epochs=1, steps_per_epoch=STEPS, log_interval=1, eval_interval=2, checkpoint_interval=1))


def made_blocks(n=12):
    words = "the cat sat on a mat while two dogs ran under old trees near our house and barked".split()
    draw = random.Random(0)
    texts = [" ".join(draw.choices(words, k=10)) + "." for _ in range(n)]
    tokenizer = train_tokenizer(texts, 300)
    ids = [tokenizer(t)["input_ids"][:24] for t in texts]
    rows = Dataset.from_dict(dict(input_ids=ids, document=list(range(n)), block=list(range(1, n + 1)), text=texts))
    return DatasetDict(train=rows.select(range(n - 2)), validation=rows.select(range(n - 2, n))), tokenizer


BLOCKS, TOKENIZER = made_blocks()


def trained(folder):
    "Train, or go on; a digest of all weights"
    reconstructor = build_reconstructor("tiny", TOKENIZER)
    torch.manual_seed(1)
    policy = Policy(PolicyConfig(len(TOKENIZER), 64), reconstructor.lm.get_input_embeddings().weight)
    counts = torch.bincount(torch.tensor(sum(BLOCKS["train"]["input_ids"], [])), minlength=len(TOKENIZER))
    trainer = Trainer(PARAMS, BLOCKS, TOKENIZER, reconstructor, policy, counts, pick_device("cpu", "fp32", 1), folder,
                      progress=False).fit()
    digest = hashlib.sha256()
    for module in (trainer.reconstructor, trainer.policy):
        for name, value in sorted(module.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def child(folder, events, kill_after):
    "Train in a fork that writes `s` at every step and `c` at every pause within a checkpoint; its id"
    if pid := os.fork():
        return pid
    step, sync, numbers = Trainer.train_batch, checkpoint.sync, itertools.count()

    def tell(kind):
        os.write(events, kind)
        if kill_after is not None and next(numbers) > kill_after:
            time.sleep(60)      # on a busy machine the kill comes late: no further than this

    def told_step(*args):
        tell(b"s")
        return step(*args)

    def slow_sync(path):
        tell(b"c")
        time.sleep(.004)
        sync(path)
    Trainer.train_batch, checkpoint.sync = told_step, slow_sync
    try:
        (folder.parent / f"{folder.name}.sha").write_text(trained(folder))
    finally:
        os._exit(0)


def run(folder, kill_after=None, delay=0.):
    "Train in a child; kill it `delay` seconds after event number `kill_after`. What it told"
    reads, writes = os.pipe()
    pid = child(folder, writes, kill_after)
    os.close(writes)
    told = b""
    while (byte := os.read(reads, 1)):
        told += byte
        if len(told) - 1 == kill_after:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
    os.close(reads)
    os.waitpid(pid, 0)
    return told.decode()


def kills(root, seed, n):
    draw = random.Random(seed)
    told = run(root / "whole")
    wanted = (root / "whole.sha").read_text()
    # as many in a step as in a checkpoint, of which a step has eight pauses; never the last event, after which nothing holds the run
    events = [draw.choice([j for j, o in enumerate(told[:-1]) if o == kind]) for kind in "sc" * (n // 2)]
    for i, event in enumerate(events):
        folder = root / f"{i}"
        run(folder, event, draw.uniform(0, .004 if told[event] == "c" else .03))
        finished = (root / f"{i}.sha").exists()
        left = [o.name for o in folder.glob("checkpoints/.*")]
        run(folder)
        ended = root / f"{i}.sha"
        print(json.dumps(dict(
            event=event, of=len(told), kind=told[event], finished=finished, half_written=left,
            same=ended.exists() and ended.read_text() == wanted,
            left_over=[o.name for o in folder.glob("checkpoints/.*")],
            log=[[o["phase"], o["step"]] for o in read_logs(folder)])), flush=True)


def full(folder, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    print(trained(folder), flush=True)


if __name__ == "__main__":
    root, what = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    if what == "kills":
        kills(root, int(sys.argv[3]), int(sys.argv[4]))
    elif what == "full":
        full(root, int(sys.argv[3]))
    else:
        step = Trainer.train_batch

        def slow_step(*args):
            print("step", flush=True)
            time.sleep(.5)
            return step(*args)
        Trainer.train_batch = slow_step
        print(trained(root), flush=True)
