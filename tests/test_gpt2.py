"GPT-2 of the published shape (124 M parameters, random weights, from a folder) on a CPU within 8 GB"
import json, subprocess, sys

import pytest

# Its own process, so that the peak is this job's alone.
JOB = """
import json, resource, sys
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from tokcomp.device import pick_device
from tokcomp.reconstructor import build_reconstructor, pack_kept

class Numbers:
    eos_token_id, all_special_ids, is_fast = 50256, [50256], False

torch.manual_seed(0)
folder, tuning = sys.argv[1:]
if tuning == 'write':
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    sys.exit()
device = pick_device('cpu', 'auto')
model = build_reconstructor(folder, Numbers(), tuning, device=device)
ids = torch.randint(0, 50256, (8, 96))
mask, keep = torch.ones_like(ids, dtype=torch.bool), torch.rand(ids.shape) < .5
found = dict(total=sum(p.numel() for p in model.lm.parameters()))
with device.autocast(): bits = model.score(ids, mask, keep)
found['bits'] = bits.mean().item()
trained = [p for p in model.parameters() if p.requires_grad]
found['trained'] = sum(p.numel() for p in trained)
optimizer = torch.optim.AdamW(trained, lr=1e-3)
with device.autocast(): loss = model(ids, mask, *pack_kept(ids, keep))[0].mean()
loss.backward(); optimizer.step()
with device.autocast(): found['after'] = model.score(ids, mask, keep).mean().item()
try: model.score(torch.zeros(1, 600).long(), torch.ones(1, 600).bool(), torch.ones(1, 600).bool())
except ValueError as error: found['too_long'] = str(error)
found['peak_gb'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == 'darwin' else 1e6)
print(json.dumps(found))
"""


def run(*args):
    done = subprocess.run([sys.executable, '-c', JOB, *map(str, args)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('gpt2')
    run(path, 'write')
    return path


@pytest.mark.parametrize('tuning', ['lora', 'full'])
def test_one_scoring_batch_and_one_step(folder, tuning):
    found = json.loads(run(folder, tuning).splitlines()[-1])
    assert 124e6 < found['total'] < 127e6
    assert found['trained'] < 3e6 if tuning == 'lora' else found['trained'] > 124e6
    assert found['bits'] > 15                    # random weights: about log2(50257) = 15.6 bits
    assert found['after'] < found['bits']        # the step went downhill
    assert '1024' in found['too_long'] and 'block_size' in found['too_long']
    assert found['peak_gb'] < 8, found
