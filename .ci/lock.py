"""Writes requirements.lock: requirements.txt with the hashes of the files that pip takes on each platform and each Python.

    python .ci/lock.py     (make lock)

torch is left out: its builds (CPU, CUDA, Metal) are different files under one version, and setup.sh chooses among them.
"""
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")


def linux(machine):
    "Tags of wheels that run on a distribution with glibc 2.39, such as Ubuntu 24.04"
    old = [f"manylinux{o}_{machine}" for o in ("1", "2010", "2014")]
    return [f"manylinux_2_{o}_{machine}" for o in range(39, 4, -1)] + old + [f"linux_{machine}"]


# named as setup.sh names where it runs: uname -s, uname -m
PLATFORMS = {"Linux-x86_64": linux("x86_64"), "Linux-aarch64": linux("aarch64"), "Darwin-arm64": ["macosx_15_0_arm64"]}


def resolved(wanted, tags, python):
    "sha256 by (name, version), or what pip said"
    with tempfile.TemporaryDirectory() as folder:
        (listed := Path(folder) / "wanted.txt").write_text("\n".join(wanted), encoding="utf-8")
        # pip takes no other platform without a target; a dry run leaves it empty. Some packages want 3.11.5 or later
        words = ["install", "--dry-run", "--target", f"{folder}/empty", "--ignore-installed", "--no-deps", "--quiet",
                 "--report", f"{folder}/report.json", "--implementation", "cp", "--python-version", f"{python}.9",
                 *itertools.chain(*(["--platform", o] for o in tags))]
        done = subprocess.run([sys.executable, "-m", "pip", *words, "-r", str(listed)], capture_output=True, text=True)
        if done.returncode:
            return None, "\n".join(o for o in done.stderr.splitlines() if o.startswith("ERROR"))
        found = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))["install"]
    return {(o["metadata"]["name"], o["metadata"]["version"]): o["download_info"]["archive_info"]["hashes"]["sha256"] for o in found}, ""


def main():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [o for o in lines if o and not o.startswith(("#", "torch=="))]
    hashes, covered = {}, []
    for (platform, tags), python in itertools.product(PLATFORMS.items(), PYTHONS):
        found, said = resolved(wanted, tags, python)
        print(f"{platform} {python}: {len(found) if found else 'left out: ' + said}", file=sys.stderr, flush=True)
        if found is None:
            continue
        covered.append(f"{platform}-{python}")
        for key, value in found.items():
            hashes.setdefault(key, set()).add(value)
    if not covered:
        return 1
    text = ["# requirements.txt without torch, with hashes: made by `make lock`, installed by ./setup.sh on these platforms.",
            *(f"# covers {o}" for o in covered)]
    for (name, version), values in sorted(hashes.items(), key=lambda o: o[0][0].lower()):
        text.append(f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{o}" for o in sorted(values)))
    (ROOT / "requirements.lock").write_text("\n".join(text) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
