"""Whether ingest, qc_measure, caption, cache_latents and sample leave the same bytes on Ray: runs the tests of that.

``python -m tests.bench.engine_bytes`` prints the share of them that pass: all five stages on two nodes that see nothing
of the project, one of which is killed; a worker that dies; every fault of an item.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.bench.figures import figure

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/data/test_ray_nodes.py", "tests/data/test_ray_engine.py")


def main(*tests: str) -> None:
    """Run them and print the share; a test that is skipped counts neither way.

    Raises:
        SystemExit: none of them ran.
    """
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        told = Path(place) / "told.xml"
        words = ["-q", "-p", "no:cacheprovider", "-m", "", "--timeout", "3000", f"--junitxml={told}"]
        subprocess.run([sys.executable, "-m", "pytest", *words, *(tests or TESTS)], cwd=ROOT, check=False)
        suite = ElementTree.parse(told).getroot().find("testsuite")
    assert suite is not None
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    ran = count["tests"] - count["skipped"]
    if not ran:
        raise SystemExit("no test ran")
    passed = ran - count["failures"] - count["errors"]
    figure("tests of equal bytes on Ray and in local processes, share that passes", passed / ran, least=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
