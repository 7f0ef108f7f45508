"""The notebooks' tests with the lowest and with the highest versions that settings.ini allows, each in an environment of its own.

    python tests/matrix.py [lowest] [highest] [--resolve]

Environments are made in build/matrix, anew each time. --resolve only says which versions each would have. Needs nothing but
the standard library and a package index.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import venv
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/matrix"
OFFLINE = dict(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")


def requirements():
    "What settings.ini asks for: to run, and to run the tests"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    names = ("requirements", "dev_requirements")
    return [o for name in names for o in config["DEFAULT"][name].split()]


def lowest(requirement):
    "The requirement at its lower bound; as it is where it has none (a pin, or a bound from above alone)"
    return re.sub(r">=([0-9.]+)(,.*)?$", r"==\1", requirement)


def without_lower_bound(wanted):
    return [o for o in wanted if not re.search(r">=|==", o)]


def run(*words, **env):
    print("matrix:", *words, flush=True)
    # pip and the notebooks' kernels find the environment, not the one that this was started from
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | env
    return subprocess.run(list(map(str, words)), cwd=ROOT, env=env)


def tested(which, resolve):
    "Make one environment, and run the notebooks and what must hold of all of them; whether all passed"
    wanted = [lowest(o) if which == "lowest" else o for o in requirements()]
    place, report = FOLDER / which, FOLDER / f"{which}.json"
    venv.create(place, clear=True, with_pip=True)
    bin = place / ("Scripts" if os.name == "nt" else "bin")
    pip = [bin / "python", "-m", "pip", "install", "--quiet", "--report", report]
    if run(*pip, *(["--dry-run"] if resolve else []), *wanted, "setuptools", "wheel").returncode:
        return False
    found = {o["metadata"]["name"]: o["metadata"]["version"] for o in json.loads(report.read_text(encoding="utf-8"))["install"]}
    (FOLDER / f"{which}.txt").write_text("".join(f"{k}=={found[k]}\n" for k in sorted(found, key=str.lower)), encoding="utf-8")
    print(f"matrix: {which}: {len(found)} packages, listed in {FOLDER / which}.txt", flush=True)
    if resolve:
        return True
    if run(*pip[:4], "--quiet", "--no-deps", "--no-build-isolation", "-e", ".").returncode:
        return False
    path = os.pathsep.join([str(bin), os.environ["PATH"]])
    notebooks = run(bin / "nbdev_test", "--path", "nbs", "--n_workers", "2", "--skip_folder_re", r"^([_.]|runs$)", PATH=path, **OFFLINE)
    rest = run(bin / "python", "-m", "pytest", "-q", "tests/test_notebooks.py", "tests/test_pipeline.py", PATH=path, **OFFLINE)
    return notebooks.returncode == rest.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", metavar="lowest|highest", help="which of the two (default: both)")
    parser.add_argument("--resolve", action="store_true", help="only say which versions each would have")
    args = parser.parse_args()
    if unknown := set(args.which) - {"lowest", "highest"}:
        parser.error(f"expected lowest or highest, got {', '.join(sorted(unknown))}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if args.which in ([], ["lowest"]) and (none := without_lower_bound(requirements())):
        print(f"matrix: expected a lower bound (>= or ==) on every requirement, these have none: {', '.join(none)}", file=sys.stderr)
        return 1
    states = {o: tested(o, args.resolve) for o in args.which or ["lowest", "highest"]}
    for which, passed in states.items():
        print(f"matrix: {which}: {'passed' if passed else 'FAILED'}")
    return int(not all(states.values()))


if __name__ == "__main__":
    sys.exit(main())
