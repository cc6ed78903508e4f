#!/usr/bin/env bash
# PyArrow 25 (Linux, x86-64): `import pyarrow` starts a thread, and naming another memory pool does not keep it from it.
#
# A process that has only imported PyArrow has two threads, so that forking it is refused by code that asks for one, and
# told off by Python 3.12 and later. The thread is jemalloc's, which gives memory back in the background. One would
# expect ARROW_DEFAULT_MEMORY_POOL=system to leave jemalloc alone; its library starts the thread all the same. What stops
# it is a variable of jemalloc itself, with Arrow's prefix: JE_ARROW_MALLOC_CONF=background_thread:false.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyarrow==25.0.1'
cat > "$folder/threads.py" <<'P'
import os
import pyarrow
names = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
print(pyarrow.__version__, pyarrow.default_memory_pool().backend_name, sum(n.startswith("jemalloc") for n in names))
P
threads() { env "$@" "$folder/venv/bin/python" "$folder/threads.py"; }
usual=$(threads A=); system=$(threads ARROW_DEFAULT_MEMORY_POOL=system)
quiet=$(threads JE_ARROW_MALLOC_CONF=background_thread:false)
printf 'version, pool, threads of jemalloc\nusual   %s\nsystem  %s\nquiet   %s\n' "$usual" "$system" "$quiet"
[[ $usual == *' 1' && $system == *'system 1' && $quiet == *' 0' ]]
echo "as described"
