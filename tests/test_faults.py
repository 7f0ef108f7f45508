"Whatever ends a run, it goes on from what was saved and ends as if nothing had happened."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS = [[phase, step] for phase in ("reconstructor", "warm_start", "joint") for step in (1, 2, 3)]


def start(folder, *what):
    return subprocess.Popen([sys.executable, "-W", "ignore", "tests/killed_run.py", str(folder), *map(str, what)], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    run = start(tmp_path_factory.mktemp("whole"), "full", 10**9)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    return out.strip()


def test_killed_at_twenty_random_moments(tmp_path):
    run = start(tmp_path, "kills", 7, 20)
    out, err = run.communicate(timeout=280)
    assert run.returncode == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 20 and not any(o["finished"] for o in found)
    wrong = [o for o in found if not o["same"] or o["log"] != STEPS or o["left_over"]]
    assert not wrong, wrong
    # moments of both kinds were hit, and some checkpoints were cut in the middle
    assert {o["kind"] for o in found} == {"s", "c"} and sum(bool(o["half_written"]) for o in found) >= 5


def test_sigterm_writes_a_checkpoint_within_ten_seconds(tmp_path, never_stopped):
    run = start(tmp_path, "train")
    for _ in range(5):
        assert run.stdout.readline() == "step\n"
    sent = time.monotonic()
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert run.returncode == 1 and "asked to end" in err and "goes on from there" in err
    assert "step-00000004" in [o.name for o in (tmp_path / "checkpoints").iterdir()]   # the fifth step was under way
    again = start(tmp_path, "full", 10**9)
    out, err = again.communicate(timeout=120)
    assert out.strip() == never_stopped, err


def test_second_run_into_a_folder_is_refused(tmp_path):
    from tokcomp.interrupts import sole_run
    with sole_run(tmp_path):
        second = start(tmp_path, "full", 10**9)
        _, err = second.communicate(timeout=120)
    assert second.returncode == 1 and not (tmp_path / "checkpoints").exists()
    assert f"process {os.getpid()}" in err and "choose another output_dir" in err


def test_full_disk_leaves_what_was_saved(tmp_path, never_stopped):
    "The first phases' checkpoints fit; those of the joint phase, with two optimisers, do not"
    whole = start(tmp_path / "whole", "full", 10**9)
    whole.communicate(timeout=120)
    sizes = {o.parent.name: o.stat().st_size for o in (tmp_path / "whole/checkpoints").glob("step-*/policy_optimizer.*")}
    assert sizes   # what the limit below cuts
    run = start(tmp_path / "run", "full", min(sizes.values()) - 1)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 1 and "half written" in err and "Free some space" in err
    saved = sorted(o.name for o in (tmp_path / "run/checkpoints").iterdir())
    assert saved and all(o.startswith("step-") for o in saved)
    again = start(tmp_path / "run", "full", 10**9)
    out, err = again.communicate(timeout=120)
    assert out.strip() == never_stopped, err
