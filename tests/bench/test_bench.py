"""`make bench` runs what it can and says what it leaves out and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import ingest_cost, latent_read


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not bench.against_peers(tmp_path / "shared/bench/models/peers.py")
    assert not bench.against_decoding(tmp_path / "shared/clips/open")
    assert not ingest_cost.main(tmp_path / "shared/clips/open")
    assert not latent_read.main(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("models against peers: skipped, peers.py is not in shared/bench/models")
    assert said[1].startswith("quality control: skipped, there is no film in shared/clips/open")
    assert said[2].startswith("ingest: skipped, there is no film") and said[3].startswith("cached latents: skipped")


def test_our_plug_ins_are_handed_to_the_harness(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    harness = tmp_path / "peers.py"
    harness.write_text(
        "import sys, importlib.util\nplug, name = sys.argv[sys.argv.index('--with') + 1].split(':')\n"
        "with open(importlib.util.find_spec(plug).origin) as file:\n"
        "    print(sys.argv[1], name if f'def {name}(' in file.read() else 'absent')\n"
    )
    assert bench.against_peers(harness)
    told = [line for line in capfd.readouterr().out.splitlines() if not line.startswith("==")]
    assert told == ["transformer transformer", "video-vae like_ltx", "video-vae like_wan"]
