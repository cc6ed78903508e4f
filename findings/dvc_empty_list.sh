#!/usr/bin/env bash
# dvc 3.67.1 with ruamel.yaml 0.18.17 (and 0.19.1): `dvc exp run -S list=[]` leaves a params.yaml that no YAML parser reads.
#
# One would expect that setting one list to [] changes that list. Where the key of the list bears a comment on its own
# line, the block list that comes NEXT in the file, which nobody asked to change, is written as `other: -` and its first
# item on the line below: a syntax error for every later `dvc` command, and for the experiment itself. Any other
# value than [] is written well, and so is [] where the comment stands on the line above the key.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'dvc==3.67.1' 'ruamel.yaml==0.18.17'
cd "$folder"; mkdir project; cd project
export DVC_NO_ANALYTICS=1
try() { # a params.yaml on standard input, an override: prints what DVC's override leaves
  cat > params.yaml
  "$folder/venv/bin/python" -c 'import sys; from dvc.utils.hydra import apply_overrides; apply_overrides("params.yaml", sys.argv[1:])' "$1"
  cat params.yaml
}
readable() { "$folder/venv/bin/python" -c 'from ruamel.yaml import YAML; YAML(typ="safe").load(open("params.yaml"))' 2> /dev/null; }

beside=$(printf 'first: # why\n- a\nsecond:\n- b\n' | try 'first=[]')
printf '%s\n' "$beside"
grep -q '^second: -$' <<< "$beside" || { echo "CHANGED: the next list is written well"; exit 1; }
readable && { echo "CHANGED: the file is valid YAML"; exit 1; }
printf 'first: # why\n- a\nsecond:\n- b\n' | try 'first=[c]' > /dev/null; readable || { echo "CHANGED: a list that is not empty breaks it too"; exit 1; }
printf '# why\nfirst:\n- a\nsecond:\n- b\n' | try 'first=[]' > /dev/null; readable || { echo "CHANGED: a comment above breaks it too"; exit 1; }
echo "as described: a comment beside the key of a list that is emptied breaks the next list"
