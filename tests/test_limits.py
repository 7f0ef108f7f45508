"The limits report, dry: what it must hold whatever the weights are."
import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ["eval_keep_rates=[0.5]", "search_masks=32", "n_seeds=1"]


def test_report_holds_bounds_and_shares(dry_report, tmp_path):
    done = dry_report("limits", tmp_path, *SETTINGS)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "integration"
    found = json.loads((folder / "limits.json").read_text())
    assert found["dry"] and "DRY RUN" in (folder / "limits.html").read_text()
    for row in found["markov"]:
        assert row["bound"] <= row["exact_k"] + 1e-6
        assert all(row[o] >= row["exact_k"] - 1e-6 for o in ("policy", "frequency", "random"))
    assert found["checks"][0]["primal_minus_dual"] < 1e-6
    share = {o["method"]: o for o in found["searched"]}
    assert share["searched"]["share"] == pytest.approx(1) and share["floor"]["share"] == pytest.approx(0)
    assert share["policy"]["low"] <= share["policy"]["share"] <= share["policy"]["high"] and share["policy"]["n_documents"] == 5
    assert share["searched"]["distortion"] <= min(o["distortion"] for o in share.values())
    assert {o.name for o in folder.glob("**/*.png")} == {"headline.png", "search.png"}
    assert "limits.json" in (folder / "index.html").read_text()
    left = ROOT / f"runs/test-{os.getpid()}-limits"     # nothing to go on from: asked for again, it is measured again
    assert not list(left.glob("search-*.json")) and not (left / "markov").exists()


def test_no_weights_to_measure(dry_report, tmp_path):
    done = dry_report("limits", tmp_path, *SETTINGS, "base_model=nano")
    assert done.returncode == 1 and "start_from has to name the weights" in done.stderr


def test_too_few_documents(dry_report, tmp_path):
    done = dry_report("limits", tmp_path, *SETTINGS, "n_eval_blocks=1")
    assert done.returncode == 1 and "2 or more documents" in done.stderr
