# Enters the environment that ./setup.sh made, in bash or zsh:  . ./activate.sh   (deactivate leaves it)
tokcomp_root=$(cd -P "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)
if ! (return 0 2>/dev/null); then
  echo "activate: this is to be sourced: . ./activate.sh" >&2
  exit 1
elif [ ! -f "$tokcomp_root/.venv/.tokcomp-setup" ]; then
  echo "activate: $tokcomp_root has no finished .venv: run ./setup.sh first" >&2
  unset tokcomp_root
  return 1
fi
. "$tokcomp_root/.venv/bin/activate"
unset tokcomp_root
