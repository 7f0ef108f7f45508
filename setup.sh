#!/usr/bin/env bash
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")"

usage() { cat <<'END'
usage: ./setup.sh [--cpu] [--force] [--unlocked] [--python PY]

Makes .venv with what requirements.txt pins, and tokcomp itself, then checks it. Takes no time where nothing
has changed. Needs Python 3.11 to 3.13 with its venv module, a package index, and some gigabytes of disk; not root.

  --cpu         PyTorch's CPU build, whatever there is here (also replaces another build)
  --force       make .venv anew
  --unlocked    by version alone, for an index that serves other files than those whose hashes requirements.lock holds
  --python PY   the Python to use, as the variable PYTHON does (default: python3)
  --help        this text

Without --cpu: on Linux without an NVIDIA GPU the CPU build where the package index offers it; otherwise the
index's default build, with CUDA on Linux and Metal on a Mac. An environment that exists keeps its build.
Enter it with:  . ./activate.sh
END
}
say()  { printf 'setup: %s\n' "$@"; }
fail() { say "$@" >&2; exit 1; }

PYTHON=${PYTHON:-python3} cpu='' force='' unlocked=''
while [ $# -gt 0 ]; do
  case $1 in
    --cpu) cpu=1 ;;
    --force) force=1 ;;
    --unlocked) unlocked=1 ;;
    --python) [ $# -gt 1 ] || fail "--python wants a Python, such as python3.12"; PYTHON=$2; shift ;;
    --python=*) PYTHON=${1#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown option '$1'" ;;
  esac
  shift
done

version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
  fail "expected Python 3.11, 3.12 or 3.13, found no working '$PYTHON'." \
       "Install one, or name it: ./setup.sh --python /path/to/python3.12"
case $version in
  3.11 | 3.12 | 3.13) ;;
  2.* | 3.[0-9] | 3.10) fail "expected Python 3.11, 3.12 or 3.13; '$PYTHON' is $version, which is too old." \
                             "Name a newer one: ./setup.sh --python python3.12" ;;
  *) say "Python $version is newer than the pinned packages were tried with (3.11 to 3.13)" >&2 ;;
esac

torch=$(grep '^torch==' requirements.txt)
has_gpu() { [ -e /dev/nvidia0 ] || nvidia-smi -L >/dev/null 2>&1; }
is_cpu_build() { [ "$(uname)" = Darwin ] || ls -d .venv/lib/python*/site-packages/torch-*+cpu.dist-info >/dev/null 2>&1; }
stamp=.venv/.tokcomp-setup
wanted="$PWD $version $(cat requirements.txt requirements.lock settings.ini setup.py pyproject.toml | cksum)"
if [ -z "$force" ] && [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
   { [ -z "$cpu" ] || is_cpu_build; }; then exit 0; fi

# The commands in a virtual environment name its folder: one that was moved is made anew, as is one of another Python.
usable() {
  [ "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ] &&
    head -2 .venv/bin/pip 2>/dev/null | grep -qF "$PWD/.venv/bin/"
}
if [ -L .venv ] && ! usable && [ -n "$(ls -A .venv/ 2>/dev/null)" ]; then
  fail ".venv is a link to $(readlink .venv), which is no environment of this checkout, and would be emptied." \
       "Remove the link, and an environment is made here: rm .venv"
fi
if [ -n "$force" ] || ! usable; then
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "'$PYTHON' has no venv module. On Debian and Ubuntu: apt-get install python$version-venv"
  free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  need=4
  [ -z "$cpu" ] && has_gpu && need=12     # CUDA's libraries
  [ "$free" -ge "$need" ] || fail "expected $need GB of free disk here, found $free GB"
  say "making .venv with Python $version"
  "$PYTHON" -m venv --clear .venv
fi
rm -f "$stamp"

install() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ||
    fail "pip could not install: see its message above. It needs a package index (network or pip.conf)" \
         "and some gigabytes of disk. Run ./setup.sh again to go on from here."
}
cpu_build() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$torch+cpu" 2>/dev/null; }
# torch first: it is by far the largest. Its CPU build has a version of its own, which not every index offers.
has_torch() { ls -d .venv/lib/python*/site-packages/torch-*.dist-info >/dev/null 2>&1; }
say "installing $torch (minutes, the first time)"
if [ -n "$cpu" ] && [ "$(uname)" = Linux ]; then
  cpu_build || fail "pip could not install $torch+cpu: the package index does not offer it, or cannot be reached." \
                    "Name PyTorch's own index of CPU builds in PIP_EXTRA_INDEX_URL, or leave out --cpu."
elif [ "$(uname)" = Linux ] && ! has_torch && ! has_gpu; then
  cpu_build || say "no GPU here, but the package index offers no CPU build: taking its default one"
fi
install "$torch"
say "installing the other packages"
# torch is installed by now: its builds are chosen above, and the lock leaves it out
platform="$(uname -s)-$(uname -m)-$version"
if [ -n "$unlocked" ]; then install -r requirements.txt
elif grep -qx "# covers $platform" requirements.lock; then install --no-deps --require-hashes -r requirements.lock
else
  say "requirements.lock has no hashes for $platform: installing by version alone"
  install -r requirements.txt
fi
install -e . --no-deps --no-build-isolation

say "checking"
.venv/bin/python - <<'END' || fail "the packages are installed but do not work: see the message above. Try ./setup.sh --force"
import importlib, warnings
warnings.simplefilter("ignore")
packages = "torch transformers tokenizers datasets accelerate peft safetensors numpy scipy pandas papermill".split()
print("  " + ", ".join(f"{o} {importlib.import_module(o).__version__}" for o in packages))
import torch
from tokcomp.device import pick_device
device = pick_device()
assert torch.ones(3, device=device.kind).sum().item() == 3
print(f"  a tensor on {device.reason}; {device.threads} threads")
END
text="On Tuesday the committee met again, and after a long discussion it agreed to build the new library near the old bridge."
short=$(printf '%s' "$text" | .venv/bin/tokcomp compress --no-guard) && [ -n "$short" ] && [ ${#short} -lt ${#text} ] ||
  fail "the smoke test failed: expected a shorter text than '$text', got '${short:-nothing}'. Try ./setup.sh --force"
say "smoke test: '$text'" "compressed:  '$short'"
printf '%s' "$wanted" > "$stamp"
say "done. To enter the environment: . ./activate.sh"
