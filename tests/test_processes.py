"Two processes give the weights of one: same masks, same global batch, same sums up to floating point; whatever happens to them."
import json
import re
import signal
import time

import pytest

import launched
from launched import SAME, TORCHRUN, largest_difference

ARGS = ["-f", "params/base.yaml", "-f", "params/integration.yaml", "--batch_size", "8", "--micro_batch_size", "4",
        "--masks_per_text", "2", "--dtype", "fp32", "--n_seeds", "1", "--max_documents", "40", "--checkpoint_interval", "1"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
              "--dynamo_backend=no", "--main_process_port=0"]


def train(folder, launch, *words):
    return launched.train(folder, ARGS, launch, *words)


def weights(folder):
    return launched.weights(folder / "runs/integration")


def assert_same(folder, one):
    "The weights of one process, one log, and nothing half made"
    worst = largest_difference(one, weights(folder))
    assert worst < SAME, worst
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
    logs = [[json.loads(o) for o in (o / "runs/integration/seed-0/metrics.jsonl").read_text().splitlines()] for o in (one[0], tmp_path)]
    for alone, both in zip(*logs):                         # what is logged is said of all processes, not of the first
        for name in {"loss", "distortion", "reward", "entropy", "policy_loss"} & set(alone):
            assert both[name] == pytest.approx(alone[name], abs=1e-4), name
    assert "policy_loss" in logs[0][-1]


def test_accelerate_launch(tmp_path, one):
    done = train(tmp_path, ACCELERATE, "-m", "tokcomp.train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(tmp_path, one[1])


def test_two_nodes_equal_one(tmp_path, one):
    codes, said = launched.train_on_nodes(tmp_path, ARGS)
    assert codes == [0, 0], said
    assert_same(tmp_path, one[1])


def test_sigterm_to_the_launcher_saves_and_goes_on(tmp_path, one):
    "It passes the signal on, at another moment to each worker: they save after the same step"
    found = launched.interrupted(tmp_path, ARGS, signal.SIGTERM, 1, TORCHRUN)
    assert found["finished"] and found["ended_s"] < 30, found
    assert "asked to end" in found["said"] and found["steps_again"] <= 1, found
    assert_same(tmp_path, one[1])


def test_killed_worker_short_of_memory_is_started_again(tmp_path, one):
    "One worker takes single rows only, so that both do; then it is killed, and both go on from the last checkpoint"
    done = train(tmp_path, [*TORCHRUN, "--max-restarts=1"], "happens.py", "killed+short")
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
