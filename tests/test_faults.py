"Whatever ends a run, it goes on from what was saved and ends as if nothing had happened."
import pytest

import injected


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    return injected.whole(tmp_path_factory.mktemp("whole"))[0]


def test_killed_at_twenty_random_moments(tmp_path):
    found = injected.random_kills(tmp_path, 7, 20)
    assert len(found) == 20 and not any(o["finished"] for o in found)
    wrong = [o for o in found if o["lost"]]
    assert not wrong, wrong
    # moments of both kinds were hit, and some checkpoints were cut in the middle
    assert {o["kind"] for o in found} == {"s", "c"} and sum(bool(o["half_written"]) for o in found) >= 5


def test_sigterm_writes_a_checkpoint_within_ten_seconds(tmp_path, never_stopped):
    found = injected.sigterm(tmp_path)
    assert found["seconds"] < 10
    assert found["returncode"] == 1 and "asked to end" in found["said"] and "goes on from there" in found["said"]
    assert "step-00000004" in found["saved"]   # the fifth step was under way
    assert found["digest"] == never_stopped


def test_second_run_into_a_folder_is_refused(tmp_path):
    found = injected.second_run(tmp_path)
    assert found["returncode"] == 1 and not found["saved"]
    assert f"process {found['holder']}" in found["said"] and "choose another output_dir" in found["said"]


def test_full_disk_leaves_what_was_saved(tmp_path, never_stopped):
    found = injected.full_disk(tmp_path)
    assert found["returncode"] == 1 and "half written" in found["said"] and "Free some space" in found["said"]
    assert found["saved"] and all(o.startswith("step-") for o in found["saved"])
    assert found["digest"] == never_stopped


@pytest.mark.parametrize("how, says", [("altered", "expected sha256"), ("cut", "expected size")])
def test_damaged_checkpoint_is_passed_over_loudly(tmp_path, never_stopped, how, says):
    found = injected.damaged(tmp_path, how)
    assert len(found["saved"]) == 2
    assert "passing over a damaged checkpoint" in found["said"] and found["saved"][-1] in found["said"] and says in found["said"]
    assert found["digest"] == never_stopped
