#!/usr/bin/env bash
# DVC 3.67.1: in `dvc stage add -p FILE:a,b`, every name behind the colon is looked for in FILE.
#
# `-p` takes names of params.yaml, and `FILE:name` for another file. A list `-p code.json:digest,lr` therefore looks as
# if it took `digest` from code.json and `lr` from params.yaml. It takes both from code.json: the stage is written with
# them, `dvc stage add` says nothing, and a changed lr in params.yaml re-runs nothing. Two options, `-p code.json:digest
# -p lr`, say what was meant.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
export DVC_NO_ANALYTICS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'dvc==3.67.1' 'pathspec<1'
mkdir "$folder/project"; cd "$folder/project"
export PATH="$folder/venv/bin:$PATH"
dvc init --no-scm --quiet
echo 'lr: 0.1' > params.yaml
echo '{"digest": "x"}' > code.json
dvc stage add --quiet -n one -p code.json:digest,lr -o one.txt 'echo 1 > one.txt'
dvc stage add --quiet -n two -p code.json:digest -p lr -o two.txt 'echo 2 > two.txt'
cat dvc.yaml
python - <<'P'
import sys, yaml
from importlib.metadata import version
stages = yaml.safe_load(open("dvc.yaml"))["stages"]
print(f"one: {stages['one']['params']}; two: {stages['two']['params']}; dvc {version('dvc')}")
sys.exit(0 if stages["one"]["params"] == [{"code.json": ["digest", "lr"]}] and "lr" in stages["two"]["params"] else 1)
P
echo "as described"
