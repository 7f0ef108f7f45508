#!/usr/bin/env bash
# Makes .venv with what requirements.txt pins, and tokcomp itself. Takes no time where nothing has changed.
# Usage: ./setup.sh        PYTHON=python3.12 ./setup.sh
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")"
PYTHON=${PYTHON:-python3}

fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
  fail "expected Python 3.11, 3.12 or 3.13, found no working '$PYTHON'." \
       "Install one, or name it: PYTHON=/path/to/python3.12 ./setup.sh"
case $version in
  3.11 | 3.12 | 3.13) ;;
  2.* | 3.[0-9] | 3.10) fail "expected Python 3.11, 3.12 or 3.13; '$PYTHON' is $version, which is too old." \
                             "Name a newer one: PYTHON=python3.12 ./setup.sh" ;;
  *) echo "setup: Python $version is newer than the pinned packages were tried with (3.11 to 3.13)" >&2 ;;
esac

stamp=.venv/.tokcomp-setup
wanted="$PWD $version $(cat requirements.txt settings.ini setup.py pyproject.toml | cksum)"
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

# The commands in a virtual environment name its folder: one that was moved is made anew, as is one of another Python.
usable() {
  [ "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ] &&
    head -2 .venv/bin/pip 2>/dev/null | grep -qF "$PWD/.venv/bin/"
}
if ! usable; then
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "'$PYTHON' has no venv module. On Debian and Ubuntu: apt-get install python$version-venv"
  echo "setup: making .venv with Python $version"
  "$PYTHON" -m venv --clear .venv
fi
rm -f "$stamp"

install() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ||
    fail "pip could not install: see its message above. It needs a package index (network or pip.conf)" \
         "and some gigabytes of disk. Run ./setup.sh again to go on from here."
}
# torch first: it is by far the largest, and which build comes is decided by pip's configuration
# (see requirements.txt), so a wrong one is noticed before anything else is fetched.
echo "setup: installing $(grep '^torch==' requirements.txt) (minutes, the first time)"
install "$(grep '^torch==' requirements.txt)"
echo "setup: installing the other packages"
install -r requirements.txt
install -e . --no-deps --no-build-isolation
printf '%s' "$wanted" > "$stamp"
echo "setup: done"
