"""Faults made on purpose, in runs of killed_run.py: what happened, as facts that test_faults.py asserts and nbs/runs/scale.ipynb shows."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = [[phase, step] for phase in ("reconstructor", "warm_start", "joint") for step in (1, 2, 3)]
NO_LIMIT = 10**9


def start(folder, *what, warnings="ignore"):
    return subprocess.Popen([sys.executable, "-W", warnings, "tests/killed_run.py", str(folder), *map(str, what)], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole(folder, **kwargs):
    "Train, or go on, to the end; the digest of the weights, and what was said"
    run = start(folder, "full", NO_LIMIT, **kwargs)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    return out.strip(), err


def saved(folder):
    return sorted(o.name for o in (folder / "checkpoints").glob("*"))


def random_kills(folder, seed, n):
    "SIGKILL at n random moments, half of them within a checkpoint; each run goes on to its end"
    run = start(folder, "kills", seed, n)
    out, err = run.communicate(timeout=280)
    assert run.returncode == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    return [{**o, "lost": not o["same"] or o["log"] != STEPS or bool(o["left_over"])} for o in found]


def after_steps(folder, n, number):
    "Send a signal in the middle of step n; the exit status, what was said, seconds until the end"
    run = start(folder, "train")
    for _ in range(n):
        assert run.stdout.readline() == "step\n"
    sent = time.monotonic()
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    return run.returncode, err, time.monotonic() - sent


def sigterm(folder):
    code, err, seconds = after_steps(folder, 5, signal.SIGTERM)
    return dict(returncode=code, said=err, seconds=seconds, saved=saved(folder), digest=whole(folder)[0])


def second_run(folder):
    "A run into a folder that this process holds"
    from tokcomp.interrupts import sole_run
    with sole_run(folder):
        run = start(folder, "full", NO_LIMIT)
        _, err = run.communicate(timeout=120)
    return dict(returncode=run.returncode, said=err, saved=saved(folder), holder=os.getpid())


def full_disk(folder):
    "The first phases' checkpoints fit; those of the joint phase, with two optimisers, do not"
    whole(folder / "whole")
    sizes = [o.stat().st_size for o in (folder / "whole/checkpoints").glob("step-*/policy_optimizer.*")]
    run = start(folder / "run", "full", min(sizes) - 1)
    _, err = run.communicate(timeout=120)
    return dict(returncode=run.returncode, said=err, saved=saved(folder / "run"), digest=whole(folder / "run")[0])


def damaged(folder, how):
    "The newest checkpoint of a killed run `altered` by one bit or `cut` in half; the run goes on from the one before"
    after_steps(folder, 6, signal.SIGKILL)
    kept = [o for o in saved(folder) if o.startswith("step-")]
    file = folder / "checkpoints" / kept[-1] / "policy.safetensors"
    data = bytearray(file.read_bytes())
    if how == "cut":
        del data[len(data) // 2:]
    else:
        data[len(data) // 2] ^= 1
    file.write_bytes(data)
    digest, said = whole(folder, warnings="default")
    return dict(saved=kept, said=said, digest=digest)
