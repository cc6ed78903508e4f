"""The documentation: links lead somewhere, the reference covers what there is, and nothing is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

from aiprod.commands.param_files import SECTIONS
from aiprod.governance.exports.json_schemas import MODELS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
GENERATED = {ROOT / "docs/reference" / f"{name}.md" for name in ("cli", "parameters", "manifests")}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/hooks/reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _anchors(page: Path) -> set[str]:
    """Ids that the site and code hosts give to headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists() or place in GENERATED, target
        assert not anchor or place in GENERATED or anchor in _anchors(place), target


def _blocks(text: str) -> list[list[str]]:
    """Lines of text that begin with a bar, outside of code, by the stretch in which they stand together."""
    blocks: list[list[str]] = [[]]
    code = False
    for line in text.splitlines():
        code ^= line.lstrip().startswith("```")
        if line.startswith("|") and not code:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_row_stands_in_a_table_as_wide_as_it(page: Path) -> None:
    """An empty line within a table ends it, and the rows after it are shown as bars."""
    for head, *rest in _blocks(page.read_text(encoding="utf-8")):
        assert rest and re.fullmatch(r"[|:\- ]+", rest[0]), head
        for row in (head, *rest):
            assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"\|", rest[0])), row


def test_code_that_a_page_names_is_there() -> None:
    """Pages outlive the files that they name; tutorials name files that the reader writes."""
    pages = [page for page in PAGES if page.parent.name != "tutorials"]
    rooms = {"src", "pipeline", "tests", "docs", *(p.name for p in (ROOT / "src/aiprod").iterdir())}
    missing = [
        f"{page.name}: {name}"
        for page in [*pages, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        for name in re.findall(r"`((?:src/[\w/-]+|(?:[\w-]+/)+(?:[\w-]+\.py)?))`", page.read_text(encoding="utf-8"))
        if name.split("/")[0] in rooms
        and not any((folder / name).exists() for folder in (ROOT, ROOT / "src/aiprod", ROOT / "src/aiprod/core"))
    ]
    assert not missing


def _is_defined(name: str) -> bool:
    """Whether a dotted name is a module of the package, or is defined in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT / "src" / "/".join(parts[:count])
        source = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
        if source is not None:
            return all(re.search(rf"\b{part}\b", source.read_text(encoding="utf-8")) for part in parts[count:])
    return False


_ENDS = {"#", "|", ">", ";", "&&", "·"}  # of a command within a line


def _told_commands(text: str) -> list[str]:
    """What pages tell to type that begins with ``aiprod``: lines of blocks, and words set as code."""
    text = re.sub(r"\\\n\s*", " ", text)
    blocks = re.findall(r"^ *```(?:sh|console)?\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    spans = re.findall(r"`(aiprod [^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    return [line for line in (*lines, *spans) if line.startswith("aiprod ")]


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_tells_to_type_is_there_with_its_options(page: Path) -> None:
    from typer.main import get_command

    from aiprod.cli import app

    if page.name == "CHANGELOG.md":  # it names what there was
        return
    wrong = []
    for told in _told_commands(page.read_text(encoding="utf-8")):
        words = re.findall(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""", told)[1:]
        words = words[: next((n for n, word in enumerate(words) if word in _ENDS), len(words))]
        command = get_command(app)
        while words and words[0] in getattr(command, "commands", ()):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        if getattr(command, "commands", None) and words and not re.match(r"[-…A-Z<]", words[0]):
            wrong.append(f"no command: {told}")
        known = {name for part in command.params for name in (*part.opts, *part.secondary_opts)} | {"--help"}
        asked = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        wrong += [f"no {name}: {told}" for name in sorted(asked - known)]
    assert not wrong


def test_modules_and_outputs_that_a_page_names_are_there() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    outputs = [out if isinstance(out, str) else next(iter(out)) for stage in stages for out in stage.get("outs", [])]
    missing = []
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        missing += [
            f"{page.name}: {name}" for name in re.findall(r"`(aiprod(?:\.\w+)+)[`(]", text) if not _is_defined(name)
        ]
        missing += [
            f"{page.name}: {name}"
            for name in re.findall(r"`(datasets/v1/[\w./-]+)`", text)
            if not any(f"{name}/".startswith(f"{out}/") or out.startswith(name) for out in outputs)
        ]
    assert not missing


def test_the_menu_names_every_page_and_no_other() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": (\S+\.md)$", menu, re.M))
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in {*PAGES, *GENERATED}}


def test_pages_load_nothing_from_other_hosts() -> None:
    settings = YAML(typ="safe").load(ROOT / "mkdocs.yml")
    assert settings["theme"]["font"] is False and "analytics" not in settings.get("extra", {})
    assert not [page for page in PAGES if "```mermaid" in page.read_text(encoding="utf-8")], "loads a script"
    assert not [page for page in PAGES if re.search(r"!\[[^]]*\]\(https?:", page.read_text(encoding="utf-8"))]


def test_the_reference_covers_every_command_section_and_manifest(reference: ModuleType) -> None:
    pages = reference.pages()
    from typer.main import get_command

    from aiprod.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    names = [f"aiprod {name}" for name in commands]
    names += [f"aiprod {name} {inner}" for name, c in commands.items() for inner in getattr(c, "commands", ())]
    for page, heads in (("cli", names), ("parameters", SECTIONS), ("manifests", MODELS)):
        found = re.findall(r"^#+ (.+)$", pages[f"reference/{page}.md"], re.M)
        assert set(heads) <= set(found)
    assert not [name for name, text in pages.items() if str(ROOT) in text], "the folder of this checkout"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("needs the extra `docs` (make docs installs it)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=[\"']?https?://[^>]*")
    for page in (tmp_path / "site").rglob("*.html"):
        assert not loaded.findall(page.read_text(encoding="utf-8")), page.name
