"The run notebooks end to end, on the smallest profile, as papermill and as the command run them."
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ["nano", "nano-scratch", "debug", "cpu", "default", "mps", "cuda", "t4", "evaluation"]
DRY = ["corpus=pydocs:stdlib", "base_model=tiny", "max_steps=3", "vocab_size=512", "max_documents=60", "validation_share=0.15", "test_share=0.3", "n_blocks=10", "n_eval_blocks=4",
       "n_validation_blocks=4", "restore_blocks=2", "bootstrap_samples=100", "permutation_samples=100", "n_seeds=1", "block_size=48",
       "device=cpu", "dtype=fp32", "utility_model=tiny", "utility_blocks=2", "eval_peers=[]", "similarity_model=null"]


def run(*args, **kwargs):
    return subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True, cwd=ROOT, **kwargs)


def report(profile, out, *overrides):
    settings = [f"output_dir=runs/test-{os.getpid()}-{profile}", *overrides]
    return run("-m", "tokcomp.reports", profile, "--out", out, "-p", *settings)


@pytest.fixture(scope="module", autouse=True)
def no_runs_left():
    yield
    import shutil
    for folder in (ROOT / "runs").glob(f"test-{os.getpid()}-*"):
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def integration(tmp_path_factory):
    out = tmp_path_factory.mktemp("reports")
    done = report("integration", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "integration", done


def test_report_has_what_was_measured(integration):
    folder, done = integration
    assert "index.html" in done.stdout
    records = json.loads((folder / "results.json").read_text())
    assert {"method", "seed", "keep_rate", "distortion", "n_tokens", "n_documents"} <= set(records[0])
    rates = yaml.safe_load((ROOT / "params/base.yaml").read_text())["eval_keep_rates"]
    for seed in {r["seed"] for r in records}:
        for rate in rates:   # every method keeps the same number of tokens
            kept = {r["achieved_keep_rate"] for r in records if r["seed"] == seed and r["keep_rate"] == rate}
            assert len(kept) == 1 and abs(kept.pop() - rate) < 0.02
    page = (folder / "index.html").read_text()
    for link in ("prepare.html", "train.html", "evaluate.html"):
        assert link in page and (folder / link).exists()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parameters"]["profile"] == "integration"


def test_same_seed_same_results(integration, tmp_path):
    done = report("integration", tmp_path, f"output_dir=runs/test-{os.getpid()}-again")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "integration/results.json").read_text() == (integration[0] / "results.json").read_text()


def test_manifest_is_enough_to_make_it_again(integration, tmp_path):
    done = run("-m", "tokcomp.reports", "--rerun", integration[0] / "manifest.json", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "results are the same" in done.stdout
    assert (tmp_path / "integration-rerun/results.json").read_text() == (integration[0] / "results.json").read_text()


def test_a_run_goes_on_from_the_policy_of_another(integration, tmp_path):
    (tmp_path / "README.txt").write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    done = report("integration", tmp_path, f"output_dir=runs/test-{os.getpid()}-onward", "start_policy=true", "reconstructor_steps=0",
                  f"start_from=runs/test-{os.getpid()}-integration/trained", "policy_steps=0", f"eval_corpora=[{tmp_path / 'README.txt'}]",
                  "unseen_restore_blocks=2", "neutral_steps=2", "full_seeds=1")
    assert done.returncode == 0, done.stderr[-3000:]
    others = json.loads((tmp_path / "integration/others.json").read_text())
    assert {o["n_restored"] for o in others["README"]["records"]} == {2}
    assert {o["n_restored"] for o in others["test split, neutral judge"]["records"]} == {0}
    assert {o["seed"] for o in others["README"]["records"]} == {0}
    assert {o["seed"] for o in others["test split, neutral judge"]["records"]} == {0, 1}
    results = json.loads((tmp_path / "integration/results.json").read_text())
    own = {(o["method"], o["seed"], o["keep_rate"]): o["distortion"] for o in results}
    assert all(o["distortion"] != own[o["method"], o["seed"], o["keep_rate"]] for o in others["test split, neutral judge"]["records"])
    assert {(o["seed"], o["n_restored"]) for o in results} == {(0, 2), (1, 0)}
    assert others["README"]["compression"] == []          # no cosine was asked for
    assert "earlier run 1" in (tmp_path / "integration/train.html").read_text()


def test_similarity_is_rewarded(tmp_path):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    encoder = tmp_path / "encoder"                        # random weights: nothing is fetched
    encoder.mkdir()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{o}" for o in "abcdefghijklmnopqrstuvwxyz")]
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=57, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)).save_pretrained(encoder)
    BertTokenizerFast(vocab={o: i for i, o in enumerate(pieces)}).save_pretrained(encoder)
    asked = {"similarity_weight": 5, "similarity_model": encoder}
    shell, notebook = (ROOT / f"runs/test-{os.getpid()}-{o}" for o in ("shell", "notebook"))
    done = run("-m", "tokcomp.train", "-f", "integration", "--n_seeds", 1, "--output_dir", shell.relative_to(ROOT),
               *(o for k, v in asked.items() for o in (f"--{k}", v)))
    assert done.returncode == 0, done.stderr[-3000:]
    done = report("integration", tmp_path, f"output_dir={notebook.relative_to(ROOT)}", "n_seeds=1", *(f"{k}={v}" for k, v in asked.items()))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cosine, policy" in (tmp_path / "integration/train.html").read_text()
    logs = [(o / "seed-0/metrics.jsonl").read_text().splitlines() for o in (shell, notebook)]
    for lines in logs:
        last = json.loads(lines[-1])
        assert last["similarity"] and last["val_similarity"] and last["val_similarity_frequency"]
        assert not any("similarity" in o for o in lines if '"warm_start"' in o)
    same = [[{k: v for k, v in json.loads(o).items() if k != "tokens_per_second"} for o in lines] for lines in logs]
    assert same[0] == same[1]                             # from a shell and in the notebook
    assert "similarity_error" in json.loads((shell / "trained/card.json").read_text())["trained"]["calibration"]


def test_papermill_by_itself(tmp_path):
    done = run("-m", "papermill", "nbs/runs/train.ipynb", tmp_path / "out.ipynb", "-f", "params/base.yaml",
               "-f", "params/integration.yaml", "-p", "batch_size", "4",
               "-p", "output_dir", f"runs/test-{os.getpid()}-papermill", "--cwd", ROOT)
    assert done.returncode == 0, done.stderr[-3000:]


def test_papermill_answers_a_misspelt_key(tmp_path):
    done = run("-m", "papermill", "nbs/runs/prepare.ipynb", tmp_path / "out.ipynb", "-p", "batch_sise", "4",
               "--cwd", ROOT)
    assert done.returncode != 0 and "did you mean 'batch_size'" in done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_runs(profile, tmp_path):
    from tokcomp.params import Params, profile_params
    # weights to start from fit one base only: such a profile runs with what it names
    fixed = {"base_model", "vocab_size"} if profile_params(profile).start_from else set()
    allowed = [o for o in DRY if o.split("=")[0] in set(Params.model_fields) - fixed]
    done = report(profile, tmp_path, *allowed, "batch_size=8", "micro_batch_size=4", "masks_per_text=2")
    assert done.returncode == 0, done.stderr[-3000:]
    page = next(tmp_path.glob("*/index.html")).read_text()
    assert "DRY RUN" in page.upper()
    assert profile_params(profile).profile == profile


def test_the_compressor_keeps_its_promises(tmp_path):
    done = run("-m", "tokcomp.reports", "integration", "--notebooks", "compressor", "--out", tmp_path, "-p",
               f"output_dir=runs/test-{os.getpid()}-compressor", "max_documents=40")
    assert done.returncode == 0, done.stderr[-3000:]
    promises = json.loads((tmp_path / "integration/compressor.json").read_text())["promises"]
    kept = ("one token or more over the budget", "below it though more would have fitted", "string over its target",
            "string though a longer one was found that fits", "network calls of fresh processes")
    assert {o: promises[o] for o in kept} == dict.fromkeys(kept, 0)


def test_speed_is_measured_and_a_missing_peer_is_said(tmp_path):
    (tmp_path / "some.txt").write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    done = run("-m", "tokcomp.reports", "integration", "--notebooks", "speed", "--out", tmp_path, "-p",
               f"output_dir=runs/test-{os.getpid()}-speed", f"corpus={tmp_path / 'some.txt'}", "eval_peers=[llmlingua]",
               env=dict(os.environ, TOKCOMP_CACHE=str(tmp_path / "cache")))
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "integration/speed.json").read_text())
    assert "not installed: python -m tokcomp.peers install" in found["failed"]["llmlingua"]
    assert {"tokenizer", "policy", "compressor", "frequency", "surprisal", "mixture", "stop words", "surprisal, tiny", "phrases, tiny",
            "llmlingua-2 small (random weights)"} == {o["method"] for o in found["compressing"]}
    assert all(0 < o["fastest_s"] <= o["seconds"] <= o["slowest_s"] for o in found["compressing"])
    compressed = [o for o in found["answering"] if o["keep_rate"] < 1]
    assert compressed and all(o["prompt_tokens"] < o["full_tokens"] and o["cache_ratio"] > 1 for o in compressed)
    assert all(o["first_token_lowest"] <= o["first_token_highest"] for o in compressed)
