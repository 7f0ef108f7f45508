"Two processes give the weights of one: same masks, same global batch, same sums up to floating point."
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = '''
import sys
from pathlib import Path
import torch
from tokcomp.params import profile_params
from tokcomp.pipeline import device_for, prepared, train_policy, train_reconstructor

params = profile_params("integration", overrides=dict(batch_size=8, micro_batch_size=4, masks_per_text=2, dtype="fp32"))
corpus, tokenizer, counts = prepared(params)      # made before the processes start: only read here
device = device_for(params)
torch.set_num_threads(1)
train_reconstructor(params, corpus, tokenizer, counts, device, progress=False)
trainer = train_policy(params, corpus, tokenizer, counts, device, 0, progress=False)
trainer.accelerator.wait_for_everyone()
'''


def train(folder, processes):
    import shutil
    folder.mkdir()
    shutil.copytree(ROOT / "params", folder / "params")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    prepare = ("from tokcomp.params import profile_params; from tokcomp.pipeline import prepared; "
               "prepared(profile_params('integration'))")
    subprocess.run([sys.executable, "-c", prepare], cwd=folder, check=True, capture_output=True)
    launch = [sys.executable] if processes == 1 else [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run([*launch, str(script)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    newest = max((folder / "runs/integration/seed-0/checkpoints").glob("step-*"))
    return {f"{name}.{key}": value for name in ("reconstructor", "policy")
            for key, value in load_file(newest / f"{name}.safetensors").items()}


def test_two_processes_equal_one(tmp_path):
    one, two = train(tmp_path / "one", 1), train(tmp_path / "two", 2)
    assert one.keys() == two.keys()
    # a few AdamW steps turn differences in the last bit of a sum into differences of at most this size
    worst = max((one[name].float() - two[name].float()).abs().max().item() for name in one)
    assert worst < 2e-4, worst
    lines = (tmp_path / "two/runs/integration/seed-0/metrics.jsonl").read_text().splitlines()
    assert len(lines) == 6   # one process writes
