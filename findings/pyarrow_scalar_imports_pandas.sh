#!/usr/bin/env bash
# pyarrow 25.0.1: making an array from a list, or one scalar, imports all of pandas 3.1 where it is installed.
#
# pa.scalar("x"), pa.array([1.0]) and with them pa.table({...}) look whether they were given something of pandas, and
# import it to look: in a short command about half a second and 30 MiB, for nothing. Importing pyarrow, its Parquet
# reader, pa.nulls and joining arrays do not. A test that a program "does not load pandas" so fails at its first array.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyarrow==25.0.1' 'pandas==3.1.1'
failed=0
expect() {
  found=$("$folder/venv/bin/python" -c "import sys, pyarrow as pa, pyarrow.parquet
$1
print('pandas' in sys.modules)")
  echo "$1: pandas imported: $found"
  [ "$found" = "$2" ] || failed=1
}
expect 'pa.nulls(3)' False
expect 'pa.chunked_array([pa.nulls(2)]).to_pylist()' False
expect 'pa.scalar("x")' True
expect 'pa.array([1.0])' True
expect 'pa.table({"a": [1]})' True
"$folder/venv/bin/python" -c 'import pyarrow, pandas; print("pyarrow", pyarrow.__version__, "pandas", pandas.__version__)'
[ "$failed" = 0 ]
echo "as described"
