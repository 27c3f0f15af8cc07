"""What the documents say about the tree is true of the tree."""

import ast
import importlib
import importlib.util
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from actorllama.config.config import SECTIONS
from actorllama.options import option_docs
from actorllama.telemetry import Event, SpanEvents, describe_events

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "actorllama"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [path for room in ("actorllama", "tests", "props") for path in sorted((ROOT / room).rglob("*.py"))]
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

N_LINES_MAX = 400
OVERSIZED: dict[str, str] = {}  # path -> reason; empty, and meant to stay so
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
IMPORT_S_MAX = 0.25
HEAVY = {"llama_cpp", "numpy", "gguf", "torch", "structlog", "rich", "prompt_toolkit", "jinja2"}
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "ROADMAP.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("actorllama", "tests", "props", "config", "docs"),
    *(
        ".ci",
        ".github",
        ".gitattributes",
        ".gitignore",
        ".pre-commit-config.yaml",
        ".python-version",
        "uv.lock",
    ),
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def documents() -> list[Path]:
    """List what speaks of the present; ROADMAP.md speaks of what is not there yet."""
    found = {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *PACKAGE.rglob("*.md")}
    return sorted(found - {ROOT / "ROADMAP.md"})


# -- the front of each module ----------------------------------------------------------------------


def assigned_names(node: ast.stmt) -> Iterator[str]:
    """Give the names that a top-level statement binds, imports aside."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case _:
            pass


def imported_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def declared_front(tree: ast.Module) -> list[str] | None:
    """Read ``__all__``; ``None`` where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in assigned_names(node):
            front: list[str] = ast.literal_eval(node.value)
            return front
    return None


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_the_front_of_a_module_names_what_the_module_has(path: Path) -> None:
    tree = ast.parse(path.read_text())
    branches = [node for node in tree.body if isinstance(node, ast.If)]
    nodes = [*tree.body, *(node for branch in branches for node in (*branch.body, *branch.orelse))]
    own = {name for node in nodes for name in assigned_names(node)}
    front = declared_front(tree)

    if front is None:
        public = {name for name in own if not name.startswith("_")}
        assert public == set() or path.name.startswith("__"), "public names need an __all__"
        return
    assert len(set(front)) == len(front)
    missing = set(front) - own - {name for node in tree.body for name in imported_names(node)}
    if "__getattr__" in own:  # a lazy front: the names must be there when asked for
        module = importlib.import_module(module_name(path))
        missing = {name for name in missing if not hasattr(module, name)}
    assert missing == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_lets_out_its_front_and_nothing_else(room: str) -> None:
    """What a room's ``__init__`` binds in public, at once or on first use, is what its ``__all__`` says."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    lazy = [node for block in tree.body if isinstance(block, ast.If) for node in block.body]
    bound = {name for node in (*tree.body, *lazy) for name in (*assigned_names(node), *imported_names(node))}
    public = {name for name in bound if not name.startswith("_")} - {"annotations"}
    if lazy:
        public -= {"TYPE_CHECKING", "on_first_use"}

    assert public == set(declared_front(tree) or [])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_explains_itself_under_five_headings(room: str) -> None:
    words = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or ""
    headings = (
        "What lives here",
        "Who owns it and what always holds",
        "What it may import",
        "Why this way, and what we refused",
        "Read next",
    )
    assert [heading for heading in headings if heading not in " ".join(words.split())] == []


# -- size and names --------------------------------------------------------------------------------


def test_no_module_is_longer_than_a_sitting() -> None:
    n_lines = {relative(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: n for path, n in n_lines.items() if n > N_LINES_MAX and path not in OVERSIZED} == {}


def test_no_module_is_named_for_being_useful() -> None:
    assert [relative(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES] == []


def test_nothing_is_left_for_later() -> None:
    marker = re.compile(r"\x23.*\b(TODO|FIXME|XXX)\b")  # \x23 is the sign of a comment
    assert [relative(path) for path in SOURCES if marker.search(path.read_text())] == []


def test_only_agreed_names_stand_at_the_top() -> None:
    listing = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False, encoding="utf-8"
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    assert {path.partition("/")[0] for path in listing.stdout.splitlines()} - TOP_LEVEL == set()


# -- walls -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_walls_stand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_importing_the_package_is_quick() -> None:
    """At most a quarter of a second more than the bare interpreter, best of five.

    Counted in seconds of the processor, so that a machine that is busy with something else does not
    fail it; nothing in an import waits.
    """

    def best_s(code: str) -> float:
        times_s: list[float] = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        return min(times_s)

    assert best_s("import actorllama") - best_s("pass") <= IMPORT_S_MAX


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, actorllama; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert set(done.stdout.split()) & HEAVY == set()


# -- events ----------------------------------------------------------------------------------------


def declared_events(room: str) -> list[Event]:
    """Collect every event that a room's ``events.py`` declares, spans opened into their three."""
    module = importlib.import_module(f"actorllama.{room}.events")
    found: list[Event] = []
    for value in vars(module).values():
        if isinstance(value, Event):
            found.append(value)
        elif isinstance(value, SpanEvents):
            found.extend(value)
    return found


ROOMS_WITH_EVENTS = [room for room in ROOMS if (PACKAGE / room / "events.py").exists()]


@pytest.mark.parametrize("room", ROOMS_WITH_EVENTS)
def test_a_room_declares_its_own_events_and_lists_them_all(room: str) -> None:
    module = importlib.import_module(f"actorllama.{room}.events")
    assert {event.name[0] for event in declared_events(room)} <= {room}
    assert {str(event) for event in module.EVENTS} == {str(event) for event in declared_events(room)}


def test_no_two_events_of_the_house_share_a_name() -> None:
    events = [event for room in ROOMS_WITH_EVENTS for event in declared_events(room)]
    assert describe_events(events).count("\n") == 2 + len({event.name for event in events})


# -- documents -------------------------------------------------------------------------------------


def test_the_map_in_the_readme_is_the_tree() -> None:
    words = (ROOT / "README.md").read_text()
    section = re.search(r"^## Map$(.*?)(?=^## |\Z)", words, re.DOTALL | re.MULTILINE)
    assert section, "README.md has no section '## Map'"
    named = re.findall(r"^\s*actorllama/(\w+)/?(?=\s|$)", section[1], re.MULTILINE)
    files = re.findall(r"^\s*actorllama/(\w+\.py)", section[1], re.MULTILINE)

    assert sorted(named) == ROOMS
    assert [name for name in files if not (PACKAGE / name).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=relative)
def test_a_document_names_only_paths_that_exist(document: Path) -> None:
    named = re.findall(
        r"`((?:actorllama|tests|props|config|docs|\.ci)/[^`\s]*)`", document.read_text(), re.MULTILINE
    )
    assert [path for path in named if "<" not in path and not exists_in_tree(path)] == []


def exists_in_tree(named: str) -> bool:
    """Look a path up, with ``::test_name`` behind it, and with ``*`` in it."""
    path, _, inner = named.partition("::")
    found = list(ROOT.glob(path.rstrip("/")))
    if not inner:
        return bool(found)
    return any(
        re.search(rf"^(?:async )?def {re.escape(inner)}\(", one.read_text(), re.MULTILINE) for one in found
    )


@pytest.mark.parametrize("document", documents(), ids=relative)
def test_a_document_names_only_modules_that_exist(document: Path) -> None:
    named = set(re.findall(r"`(?:python -m )?(actorllama(?:\.\w+)+)", document.read_text()))
    assert [name for name in sorted(named) if not exists_in_code(name)] == []


def exists_in_code(dotted: str) -> bool:
    """Look up a module, or a name in a module, without importing more than its parent."""
    parent, _, name = dotted.rpartition(".")
    try:
        if importlib.util.find_spec(dotted) is not None:
            return True
    except ModuleNotFoundError:
        pass  # the parent is no package; it may be a module or a class that has this name
    try:
        return hasattr(importlib.import_module(parent), name)
    except ModuleNotFoundError:
        grandparent, _, holder = parent.rpartition(".")
        return hasattr(getattr(importlib.import_module(grandparent), holder, None), name)


@pytest.mark.parametrize("document", documents(), ids=relative)
def test_a_document_names_only_variables_that_set_an_option(document: Path) -> None:
    known = {
        f"ACTORLLAMA_{section}_{facts.name}".upper()
        for section, options_class in SECTIONS.items()
        for facts in option_docs(options_class)
    }
    named = set(re.findall(r"\bACTORLLAMA_[A-Z0-9_]+", document.read_text()))
    assert {name for name in named if not name.endswith("_")} - known == set()


@pytest.mark.parametrize("document", documents(), ids=relative)
def test_a_program_in_a_document_parses_and_names_what_the_package_has(document: Path) -> None:
    programs = re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    used = {
        node.attr
        for program in programs
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "actorllama"
    }
    modules = {path.stem for path in PACKAGE.glob("*.py")} | set(ROOMS)
    assert used - set(importlib.import_module("actorllama").__all__) - modules == set()
