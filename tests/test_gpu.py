"What only a GPU can show: skipped where there is none"
import json, math, os, shutil, subprocess, sys
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available(): pytest.skip("needs a CUDA device", allow_module_level=True)

from datasets import Dataset, DatasetDict
from transformers import GPT2Config, GPT2LMHeadModel

from tokcomp.device import pick_device, run_in_micro_batches
from tokcomp.logs import read_logs
from tokcomp.params import profile_params
from tokcomp.policy import Policy, PolicyConfig
from tokcomp.reconstructor import build_reconstructor, pack_kept
from tokcomp.tokens import train_tokenizer
from tokcomp.trainer import PHASES, Trainer, TrainState

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def corpus():
    "Blocks of made sentences, and the tokenizer and counts of them"
    words = "the cat sat on a mat while two dogs ran under old trees near our house and barked".split()
    generator = torch.Generator().manual_seed(0)
    texts = [" ".join(words[i] for i in torch.randint(len(words), (18,), generator=generator)) + "." for _ in range(264)]
    tokenizer = train_tokenizer(texts, 300)
    ids = [tokenizer(o)["input_ids"][:40] for o in texts]
    rows = Dataset.from_dict(dict(input_ids=ids, document=list(range(264)), block=list(range(1, 265)), text=texts))
    counts = torch.bincount(torch.tensor(sum(ids, [])), minlength=len(tokenizer))
    return DatasetDict(train=rows.select(range(256)), validation=rows.select(range(256, 264))), tokenizer, counts


@pytest.fixture
def trainer(corpus, tmp_path):
    "Makes trainers that differ in their device and parameters alone"
    blocks, tokenizer, counts = corpus
    def make(name, kind="cuda", dtype="fp32", phases=PHASES, **overrides):
        small = dict(block_size=40, batch_size=8, micro_batch_size=8, masks_per_text=2, reconstructor_steps=4, policy_steps=4,
                     epochs=1, steps_per_epoch=4, log_interval=1, eval_interval=2, checkpoint_interval=2)
        params, device = profile_params("integration", overrides=small | overrides), pick_device(kind, dtype)
        reconstructor = build_reconstructor("tiny", tokenizer, gradient_checkpointing=params.gradient_checkpointing, device=device)
        torch.manual_seed(1)
        policy = Policy(PolicyConfig(len(tokenizer), 64), reconstructor.lm.get_input_embeddings().weight)
        return Trainer(params, blocks, tokenizer, reconstructor, policy, counts, device, tmp_path / name, phases, progress=False)
    return make


def weights(trainer):
    models = dict(reconstructor=trainer.reconstructor, policy=trainer.policy)
    return {f"{m}.{n}": p.detach().cpu() for m, model in models.items() for n, p in model.named_parameters()}


def furthest(a, b): return max((a[n] - b[n]).abs().max().item() for n in a)


def test_gpu_equals_cpu(trainer):
    both = [trainer(kind, kind) for kind in ("cpu", "cuda")]
    proposals, bits, guesses = [], [], []
    for one in both:
        one.state = TrainState("joint")
        batch = one.train_batch(8, 2)
        proposals.append(one.propose(batch))
        guesses.append(torch.empty(proposals[-1].masks.shape, dtype=torch.long, device=one.on))
        bits.append(one.score_masks(batch, proposals[-1].masks, guesses[-1]).cpu())
    assert torch.equal(proposals[0].masks, proposals[1].masks.cpu())
    assert (proposals[0].log_prob - proposals[1].log_prob.cpu()).abs().max() < 1e-4
    assert (bits[0] - bits[1]).abs().max() < 1e-3 and torch.equal(guesses[0], guesses[1].cpu())
    kept = pack_kept(batch.input_ids, proposals[1].masks[0])
    restored = [o.reconstructor.eval().restore(*(t.to(o.on) for t in kept), max_insertions=4) for o in both]
    assert [list(map(int, o)) for o in restored[0]] == [list(map(int, o)) for o in restored[1]]


def test_training_on_a_gpu_equals_training_on_a_cpu(trainer):
    cpu, gpu = (trainer(kind, kind).fit() for kind in ("cpu", "cuda"))
    assert furthest(weights(cpu), weights(gpu)) < 1e-3
    for a, b in zip(read_logs(cpu.folder), read_logs(gpu.folder), strict=True):
        assert a["distortion"] == pytest.approx(b["distortion"], rel=1e-3) and a["phase"] == b["phase"]


def test_resume_equals_never_stopped(trainer):
    whole = weights(trainer("whole").fit())
    for stop in (3, 6, 10): trainer("parts").fit(stop_after=stop)
    assert furthest(whole, weights(trainer("parts").fit())) < 1e-4


@pytest.mark.parametrize("profile", [dict(dtype="bf16"), dict(dtype="fp16", gradient_checkpointing=True)], ids=["cuda", "t4"])
def test_half_precision_learns(trainer, profile):
    done = trainer("half", **profile, reconstructor_steps=40, reconstructor_lr=.003).fit()
    lines = read_logs(done.folder)
    assert all(math.isfinite(v) for o in lines for v in o.values() if isinstance(v, float))
    first = [o["distortion"] for o in lines if o["phase"] == "reconstructor"]
    assert sum(first[-5:]) < .8 * sum(first[:5])
    assert {o["phase"] for o in lines} == {"reconstructor", "warm_start", "joint"}


def test_micro_batches_equal_one_batch_when_memory_runs_out(trainer):
    whole = dict(phases=("reconstructor",), batch_size=256, micro_batch_size=256)   # what is cut into micro-batches: a policy takes its batch whole
    trainer("first", **whole).fit()                       # the libraries' workspaces stay, and are no need of the second run
    torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats()
    start, free = torch.cuda.memory_allocated(), trainer("free", **whole).fit()
    need = torch.cuda.max_memory_allocated() - start      # what is reserved besides is given back before memory runs out
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + .6*need) / total)
    try: done = trainer("limited", **whole).fit()
    finally: torch.cuda.set_per_process_memory_fraction(1.)
    assert done.micro_batch_size < 256, f"{need/2**20:.0f} MiB were needed, and .6 of it sufficed"
    # not by weights: Adam moves one whose gradient is zero (a key's bias) by the sign of its rounding error
    for a, b in zip(read_logs(free.folder), read_logs(done.folder), strict=True): assert a["distortion"] == pytest.approx(b["distortion"], rel=1e-3)


def test_a_row_that_does_not_fit_is_named():
    limit = 2**30
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + limit) / torch.cuda.get_device_properties(0).total_memory)
    try:
        sizes = []
        def work(rows):
            n = rows.stop - rows.start
            torch.empty(n, limit // 4, dtype=torch.uint8, device="cuda")
            sizes.append(n)
        assert run_in_micro_batches(work, 16, 16)[1] == max(sizes) < 8 and sum(sizes) == 16
        with pytest.raises(torch.OutOfMemoryError, match="row 0 alone"):
            run_in_micro_batches(lambda rows: torch.empty(2*limit, dtype=torch.uint8, device="cuda"), 4, 4)
    finally: torch.cuda.set_per_process_memory_fraction(1.)


@pytest.mark.parametrize("profile", ["cuda", "t4"])
def test_profile_trains_a_model_of_gpt2s_shape(profile, tmp_path, corpus):
    _, tokenizer, _ = corpus
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    out = f"runs/test-{os.getpid()}-{profile}"
    command = [sys.executable, "-m", "tokcomp.train", "-f", profile, "--base_model", str(tmp_path / "gpt2"), "--output_dir", out,
               "--corpus", "pydocs:stdlib", "--max_documents", "400", "--n_seeds", "1", "--max_steps", "3", "--eval_interval", "3", "--log_interval", "1"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        card = json.loads((ROOT / out / "trained" / "card.json").read_text())
        assert card["trained"]["validation"]["joint"]["step"] == 3
    finally: shutil.rmtree(ROOT / out, ignore_errors=True)
