"""`make bench` runs the parts asked for, says what it leaves out and why, and goes on where it was interrupted."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import against_peers, engine_bytes, growth, ingest_cost, latent_read, qc_cost
from tests.bench.figures import Figure, figure, read_figures


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not against_peers.main(tmp_path / "shared/bench/models/peers.py")
    assert not qc_cost.main(tmp_path / "shared/clips/open")
    assert not ingest_cost.main(tmp_path / "shared/clips/open")
    assert not latent_read.main(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("models against peers: skipped, peers.py is not in shared/bench/models")
    assert said[1].startswith("quality control: skipped, there is no film in shared/clips/open")
    assert said[2].startswith("ingest: skipped, there is no film") and said[3].startswith("cached latents: skipped")


def test_our_plug_ins_are_handed_to_the_harness_and_its_ratios_are_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = tmp_path / "peers.py"
    harness.write_text(
        "import json, sys, importlib.util\nplug, name = sys.argv[sys.argv.index('--with') + 1].split(':')\n"
        "with open(importlib.util.find_spec(plug).origin) as file:\n"
        "    print(sys.argv[1], name if f'def {name}(' in file.read() else 'absent')\n"
        "with open(sys.argv[sys.argv.index('--json') + 1], 'w') as told:\n"
        "    json.dump({'pairs': [{'a': name, 'b': 'peer', 'op': 'step', 'ratio': {'median': 0.5}}]}, told)\n"
    )
    monkeypatch.setenv("AIPROD_BENCH_FIGURES", str(tmp_path / "kept"))
    assert against_peers.main(harness)
    told = [line for line in capfd.readouterr().out.splitlines() if re.match(r"[\w-]+ \w+$", line)]
    assert told == ["transformer transformer", "video-vae like_ltx", "video-vae like_wan"]
    assert [(each.what, each.value) for each in read_figures(tmp_path / "kept")] == [
        ("transformer, step: ours over peer's time", 0.5),
        *[("video-vae, step: ours over peer's time", 0.5)] * 2,
    ]


def test_a_ratio_of_at_most_one_holds_on_either_side_of_a_bound() -> None:
    assert Figure("time", 3, "s", wanted=2).ratio == 1.5 and not Figure("time", 3, "s", wanted=2).holds
    assert Figure("share", 0.95, wanted=0.9, at_least=True).ratio < 1
    assert Figure("share", 0.45, wanted=0.9, at_least=True).ratio == 2
    assert not Figure("share", 0, wanted=0.9, at_least=True).holds
    assert Figure("seconds alone", 5).holds
    assert (
        str(Figure("speed", 8.0, "x", wanted=10, at_least=True)) == "speed: 8.00 x (at least 10 x: 1.25 of it, MISSED)"
    )


def test_every_part_has_a_module_and_every_part_of_growth_is_known() -> None:
    for part in bench.PARTS.values():
        for module, *words in (*part.commands, *part.small):
            assert find_spec(f"tests.bench.{module}") is not None, module
            if module == "growth":
                assert {word for word in words if not word.isdigit()} <= growth.MEASURED.keys()


def test_parts_are_chosen_by_name_and_a_failure_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "KEPT", tmp_path / "kept")
    runs = tmp_path / "runs"
    lines = {
        "good": "from tests.bench.figures import figure; figure('time', 1, 's', most=2)\n"
        f"with open({str(runs)!r}, 'a') as runs: runs.write('+')",
        "slow": "from tests.bench.figures import figure; figure('time', 3, 's', most=2)",
        "broken": "raise SystemExit(3)",
        "absent": "print('nothing here')",
    }
    made = {name: bench.Part(name, ((f"../{name}",),), 1) for name in lines}
    monkeypatch.setattr(bench, "PARTS", made)
    real = bench.subprocess.run

    def run(command: list[str], **words: object) -> object:
        if command[1:2] == ["-m"]:
            command = [command[0], "-c", lines[command[2].rsplit("/", 1)[1]]]
        return real(command, **words)  # type: ignore[call-overload]

    monkeypatch.setattr(bench.subprocess, "run", run)
    assert bench.main(["--skip", "broken"]) == 0
    said = capfd.readouterr().out
    assert re.search(r"^good +time +1\.00 s +≤ 2 s +0\.50$", said, re.M)
    assert re.search(r"^slow +time +3\.00 s +≤ 2 s +1\.50  MISSED$", said, re.M)
    assert re.search(r"^absent +skipped", said, re.M) and "broken" not in said
    assert re.search(r"\d+ cores, ", said)
    assert bench.main(["good", "broken", "--resume"]) == 1
    said = capfd.readouterr().out
    assert "good: ended before" in said and re.search(r"^good +time +1\.00 s", said, re.M)
    assert re.search(r"^broken +FAILED: .* ended with 3$", said, re.M)
    assert runs.read_text() == "+"
    monkeypatch.setattr(bench, "code_digest", lambda: "other")
    assert bench.main(["good", "--resume"]) == 0 and runs.read_text() == "++"


def test_an_unknown_part_is_refused_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["scn"]) == 2
    assert "no part scn → one of peers" in capsys.readouterr().err
    assert bench.main(["--skip", "other"]) == 2
    assert "other needs OTHER=DIR" in capsys.readouterr().err
    assert bench.main(["--list", "--other", "../before"]) == 0
    assert "against before" in capsys.readouterr().out


def test_figures_are_kept_only_where_the_bench_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIPROD_BENCH_FIGURES", raising=False)
    figure("one", 1)
    monkeypatch.setenv("AIPROD_BENCH_FIGURES", str(tmp_path / "kept"))
    made = [figure("two", 2, "s", most=3), figure("three", 3, least=2)]
    assert read_figures(tmp_path / "kept") == made


def test_the_share_of_tests_that_pass_leaves_out_skipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "test_three.py"
    file.write_text(
        "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n"
        "@pytest.mark.long\ndef test_b(): pass\ndef test_c(): assert False\n"
    )
    monkeypatch.setenv("AIPROD_BENCH_FIGURES", str(tmp_path / "kept"))
    engine_bytes.main(str(file))
    [found] = read_figures(tmp_path / "kept")
    assert found.value == 0.5 and not found.holds
