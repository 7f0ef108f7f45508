"The report on rivals, dry: pairs, one family of tests, and blocks that count."
import json

import pytest

SETTINGS = ["eval_methods=[policy, random, frequency]"]


def test_every_source_rival_and_rate_in_one_family(dry_report, tmp_path):
    unseen = tmp_path / "letters.jsonl"
    words = "the clerk of the court read every letter that had come from the harbour and put it away".split()
    unseen.write_text("".join(json.dumps({"text": " ".join(words[i % 7 + j % 9] for j in range(60 + i))}) + "\n" for i in range(6)))
    done = dry_report("rivals", tmp_path, *SETTINGS, "eval_keep_rates=[0.35, 0.5]", f"eval_corpora=[{unseen}]", "near_duplicate_threshold=1.0")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "integration"
    found = json.loads((folder / "rivals.json").read_text())
    assert found["dry"] and "DRY RUN" in (folder / "rivals.html").read_text() and found["n_seen"] == 0
    keys = {(s, o, r) for s in ("test split", "letters") for o in ("random", "frequency") for r in (0.35, 0.5)}
    assert {(o["source"], o["other"], o["keep_rate"]) for o in found["differences"]} == keys and len(found["differences"]) == len(keys)
    mean = {(o["source"], o["method"], o["keep_rate"]): o["distortion"] for o in found["records"]}
    kept = {(o["source"], o["keep_rate"]): set() for o in found["records"]}
    for o in found["records"]:
        kept[o["source"], o["keep_rate"]].add((o["achieved_keep_rate"], o["n_blocks"], o["n_tokens"]))
    assert all(len(o) == 1 for o in kept.values())          # all methods keep equally much of the same blocks
    for o in found["differences"]:
        assert o["mean_difference"] == pytest.approx(mean[o["source"], "policy", o["keep_rate"]] - mean[o["source"], o["other"], o["keep_rate"]])
        assert o["low"] <= o["mean_difference"] <= o["high"]
    # Holm's step-down over all rows, by hand
    ordered, largest = sorted(found["differences"], key=lambda o: o["p_value"]), 0
    for i, o in enumerate(ordered):
        largest = max(largest, min(1, o["p_value"] * (len(ordered) - i)))
        assert o["p_holm"] == pytest.approx(largest)
    assert (folder / "headline.png").exists() and "rivals.json" in (folder / "index.html").read_text()


@pytest.mark.parametrize("overrides, said", [
    (["eval_methods=[policy]"], "eval_methods has to hold policy and a rival"),
    (["n_eval_blocks=1"], "2 or more documents after the first 0 blocks"),
])
def test_nothing_to_compare(dry_report, tmp_path, overrides, said):
    done = dry_report("rivals", tmp_path, *SETTINGS, *overrides)
    assert done.returncode == 1 and said in done.stderr
