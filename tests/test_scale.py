"The scale report, dry: two processes equal one, nothing is lost, and the figures are there, whatever they say."
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_scale_notebook(tmp_path):
    out = f"runs/test-{os.getpid()}-scale"
    try:
        done = subprocess.run([sys.executable, "-m", "tokcomp.reports", "integration", "--out", str(tmp_path), "--notebooks", "scale",
                               "-p", f"output_dir={out}", "max_documents=40"],
                              cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        made = tmp_path / "integration"
        assert {o.name for o in made.glob("figures/*")} == {"scaling.png"} and "DRY RUN" in (made / "scale.html").read_text()
        found = json.loads((made / "scale.json").read_text())
        assert found["dry"] and found["same"] and {o["way"]: o["norm"] < 1e-2 for o in found["difference"]}["2 processes"]
        assert {o["way"] for o in found["training"]} == {"1 process", "1 process, 2 threads", "2 processes", "1 process, half micro-batches"}
        assert {o["phase"] for o in found["training"]} == {"reconstructor", "warm_start", "joint"}
        one, two = found["compressing"]
        assert (one["n_tokens"], one["n_kept"]) == (two["n_tokens"], two["n_kept"]) and found["identical_shards"] == 2
        hours = found["petabyte"]["tokens"] / found["petabyte"]["tokens_per_core_second"] / 3600
        assert abs(found["petabyte"]["core_hours"] / hours - 1) < 1e-9
        assert all(o["finished"] and o["going_on_s"] > 0 and 0 <= o["steps_again"] <= 3 for o in found["going_on"])
        assert len(found["faults"]) == 9 and found["faults"][0]["times"] == 4
        assert all(o["as_expected"] and not o["lost"] for o in found["faults"])
        assert not (ROOT / out / "work").exists()
    finally:
        shutil.rmtree(ROOT / out, ignore_errors=True)
