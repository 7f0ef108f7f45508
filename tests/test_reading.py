"The reading report, dry: what it must hold whatever the weights are."
import json

import pytest

SETTINGS = ["eval_keep_rates=[0.5]", "eval_methods=[policy, random, position]", "utility_blocks=3"]


def test_report_holds_every_text_and_five_draws(dry_report, tmp_path):
    done = dry_report("reading", tmp_path, *SETTINGS)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "integration"
    found = json.loads((folder / "reading.json").read_text())
    assert found["dry"] and "DRY RUN" in (folder / "reading.html").read_text()
    assert {o["method"] for o in found["records"]} == {"compressor", "policy", "random", "position", "last", "restored"}
    draws = [o for o in found["records"] if o["method"] == "random"]
    assert [o["seed"] for o in draws] == [0, 1, 2, 3, 4] and len({o["utility"] for o in draws}) == 5 and found["draws"]["0.5"]["sd"] > 0
    for o in found["records"]:
        assert o["n_documents"] == found["n_documents"] == 3
        assert o["utility_low"] <= o["utility"] <= o["utility_high"]
    # what was restored has more for the reader than what was sent; a difference is one of the means, paired
    given = {o["method"]: o["reader_keep_rate"] for o in found["records"]}
    assert given["restored"] >= given["compressor"]
    assert f"{given['restored']:.2f} of the tokens of the whole" in (folder / "index.html").read_text()
    mean = {o["method"]: o["utility"] for o in found["records"] if o["seed"] == 0}
    for o in found["differences"]:
        assert o["mean_difference"] == pytest.approx(mean["compressor"] - mean[o["other"]])
    # kinds of following tokens share out all of the rise, and nothing is lost after the same text
    for o in found["where"].values():
        assert sum(found["shares"][k] * v for k, v in o.items() if k != "all" and v is not None) == pytest.approx(o["all"], abs=1e-6)
    assert "reading.json" in (folder / "index.html").read_text() and (folder / "headline.png").exists()


def test_nobody_to_read(dry_report, tmp_path):
    done = dry_report("reading", tmp_path, *SETTINGS, "utility_model=null")
    assert done.returncode == 1 and "utility_model has to name the model that reads" in done.stderr


def test_too_few_documents(dry_report, tmp_path):
    done = dry_report("reading", tmp_path, *SETTINGS, "utility_blocks=1")
    assert done.returncode == 1 and "2 or more documents" in done.stderr
