"""What is promised outside the code is there: version, typing marker, commands, targets, who imports what."""

import ast
import configparser
import json
import re
import shutil
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rnnaudio
from experiments.catalogue import EXPERIMENTS
from rnnaudio.cli.entry import commands
from rnnaudio.cli.experiments import VERBS

ROOT = Path(__file__).resolve().parents[2]
# Each with the only modules of the package that may import it.
RESTRICTED = {
    "pytensor": {"rnnaudio.engine"},
    "jax": {"rnnaudio.engine", "experiments.benchmarks"},
    "theano": {"rnnaudio.engine"},
    "onnx": {"rnnaudio.export"},
    "sounddevice": {"rnnaudio.audio"},
    "matplotlib": {"rnnaudio.plots", "rnnaudio.report"},
}

# Imports inside functions: commands are read before the engine is imported, and the engine imports the one that was
# chosen. Anywhere else such an import would hide that two modules need each other.
FUNCTIONS, IMPORTS = (ast.FunctionDef, ast.AsyncFunctionDef), (ast.Import, ast.ImportFrom)
LAZY = ("rnnaudio/cli/*.py", "rnnaudio/engine/*.py")


def pages():
    """README.md and the documents."""
    return [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def code_of(path):
    """Fenced blocks but those of Python, and `inline code`: prose such as "make a corpus" is not a command."""
    text = re.sub(r"```python.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


def make_help():
    """Targets that `make help` lists."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", "help"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [re.fullmatch(r"make ([a-z-]+) +(\S.*)", line) for line in listing.splitlines()]
    assert rows and all(rows), f"not of the form 'make TARGET  what it does':\n{listing}"
    return {row[1] for row in rows}


def makefile():
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def phony_targets():
    """Sets of targets, a line of .PHONY each: first the commands, then their parts."""
    return [set(line.split()) for line in re.findall(r"^\.PHONY:(.*)$", makefile(), flags=re.MULTILINE)]


def console_commands():
    """Every command of the console script, those with verbs by their verbs."""
    verbs = (f"rnnaudio experiment {verb}" for verb in VERBS)
    return [*(f"rnnaudio {' '.join(words)}" for words in commands() if words != ("experiment",)), *verbs]


def imported_roots(path):
    """First component of every absolute import in a file, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_make_help_lists_every_command_and_no_part():
    commands, *parts = phony_targets()
    assert make_help() == commands
    assert len(commands) <= 14, "few verbs: experiments are named by NAME="
    assert not commands.intersection(*parts)


def test_every_make_target_that_is_named_exists():
    targets = set().union(*phony_targets())
    for path in pages():
        missing = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(path))) - targets
        assert not missing, f"{path}: no such target of make: {missing}"


def test_every_make_target_is_documented():
    documented = set().union(*(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(path)) for path in pages()))
    assert phony_targets()[0] <= documented | {"help"}


def test_every_console_command_is_documented():
    code = "\n".join(map(code_of, pages()))
    missing = [command for command in console_commands() if command not in code]
    assert not missing, f"neither in README.md nor in docs: {missing}"


def test_every_console_command_that_is_named_exists():
    every = [*console_commands(), *(f"rnnaudio {name}" for name in ("corpus", "experiment"))]
    for path in pages():
        for line in code_of(path).splitlines():
            for words in re.findall(r"(?<![\w./-])(?:\.venv/bin/)?rnnaudio((?: [a-z][\w-]*){1,2})", line):
                known = any(f"rnnaudio{words} ".startswith(f"{command} ") for command in every)
                assert known, f"{path}: no such command: rnnaudio{words}"


def test_the_command_is_written_one_way():
    """As it is found once the environment is activated, which the README and the first tutorial tell."""
    for path in pages():
        assert ".venv/bin/rnnaudio" not in code_of(path), path
    for path in ("README.md", "docs/tutorials/first-run.md"):
        assert "source .venv/bin/activate" in (ROOT / path).read_text(encoding="utf-8")


def test_every_experiment_that_is_named_exists():
    for path in pages():
        named = set(re.findall(r"\brnnaudio experiment run ([a-z][\w-]*)", code_of(path)))
        named |= set(re.findall(r"\bmake experiment NAME=([\w-]+)", code_of(path)))
        assert named <= EXPERIMENTS.keys() | {"all"}, path
        assert "python -m experiments" not in code_of(path), path


def test_make_calls_what_exists():
    commands = set(re.findall(r"\$\(BIN\)/(rnnaudio(?: [a-z]+){1,2})", makefile()))
    every = console_commands()
    assert commands and all(any(f"{command} ".startswith(f"{known} ") for known in every) for command in commands)
    named = set(re.findall(r"\bNAME=([a-z-]+)", makefile()))
    assert named and named <= EXPERIMENTS.keys() | {"all"}


def test_version_is_that_of_the_installed_package():
    try:
        installed = metadata.version("rnnaudio")
    except metadata.PackageNotFoundError:
        pytest.skip("rnnaudio is run from its folder without being installed")
    assert installed == rnnaudio.__version__


def test_typing_marker_and_piano_are_package_data():
    package = resources.files(rnnaudio)
    assert (package / "py.typed").is_file()
    assert any(entry.name.endswith(".flac") for entry in (package / "data" / "piano").iterdir())


def test_python_below_the_promised_one_is_refused_by_make():
    minimum = configuration()["options"]["python_requires"].removeprefix(">=")
    assert f"sys.version_info < ({minimum.replace('.', ', ')})" in makefile()


def configuration():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements(text):
    """Name -> whole requirement, of lines that are not comments."""
    lines = [line.strip() for line in text.splitlines()]
    return {re.match(r"[\w-]+", line)[0]: line for line in lines if line and not line.startswith("#")}


def test_theano_environment_has_what_the_package_needs():
    needed = requirements(configuration()["options"]["install_requires"]).keys() - {"pytensor"}
    given = requirements((ROOT / "requirements-theano.txt").read_text(encoding="utf-8"))
    assert needed <= given.keys()
    assert given["theano"] == "theano==1.0.5"


def test_every_dependency_says_what_it_is_for():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    block = re.search(r"^install_requires =\n((?:[ \t]+.*\n)+)", text, flags=re.MULTILINE)[1].splitlines()
    unexplained = [
        line for before, line in zip(["", *block], block, strict=False) if "#" not in line and "#" not in before
    ]
    assert not unexplained


@pytest.mark.parametrize("library", RESTRICTED)
def test_only_the_named_modules_import(library):
    importers = set()
    for path in [*(ROOT / "rnnaudio").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]:
        if library in imported_roots(path):
            importers.add(".".join(path.relative_to(ROOT).with_suffix("").parts[:2]))
    assert importers <= RESTRICTED[library]
    assert importers, f"nobody imports {library}: is this test looking in the right place?"


def test_data_and_metrics_import_nothing_above_them():
    """Imported in a process of their own they pull in neither an engine nor matplotlib."""
    program = (
        "import sys, rnnaudio.data, rnnaudio.metrics;"
        "print(sorted({'pytensor', 'theano', 'matplotlib', 'rnnaudio.engine'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def imports_inside_functions(source):
    """Line numbers of the imports within a function, at any depth."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)]
    inside = {node.lineno for function in functions for node in ast.walk(function) if isinstance(node, IMPORTS)}
    return sorted(inside)


def test_imports_inside_functions_stand_where_they_are_allowed_only():
    lazy = {path for path in (ROOT / "rnnaudio").rglob("*.py") if imports_inside_functions(path.read_text("utf-8"))}
    allowed = {path for pattern in LAZY for path in ROOT.glob(pattern)}
    assert not lazy - allowed, "import at the top of the file; if that is a circle, divide the modules otherwise"
    assert all(lazy & set(ROOT.glob(pattern)) for pattern in LAZY), "a place in LAZY that needs no exception"


def test_an_import_inside_a_function_is_found():
    source = "import a\n\nclass C:\n    def f(self):\n        if self:\n            from b import c\n"
    assert imports_inside_functions(source) == [6]
    assert imports_inside_functions("try:\n    import a\nexcept ImportError:\n    a = None\n") == []


def locked():
    """Requirements of the lock file by name: a list of (version, marker, number of hashes) each."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    every = {}
    for entry in filter(None, map(str.strip, entries)):
        requirement = Requirement(entry.partition(" \\")[0])
        (pin,) = requirement.specifier
        row = (pin.version, requirement.marker, len(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)))
        every.setdefault(canonicalize_name(requirement.name), []).append(row)
    return every


def test_the_lock_has_a_version_in_range_of_every_requirement_with_hashes():
    every, text = locked(), configparser.ConfigParser()
    text.read(ROOT / "setup.cfg")
    wanted = text["options"]["install_requires"] + text["options.extras_require"]["dev"]
    requirements = [Requirement(line) for line in wanted.splitlines() if line and not line.startswith("#")]
    assert len(requirements) > 15
    for requirement in requirements:
        versions = [version for version, _, _ in every[canonicalize_name(requirement.name)]]
        assert versions and all(requirement.specifier.contains(version) for version in versions), requirement
    assert all(n_hashes for rows in every.values() for _, _, n_hashes in rows)


def test_the_bill_of_materials_is_that_of_the_lock():
    """Its versions are those of Python 3.11 on Linux, with which it was made."""
    place = {"python_full_version": "3.11.7", "python_version": "3.11", "sys_platform": "linux"}
    expected = {
        name: version
        for name, rows in locked().items()
        for version, marker, _ in rows
        if marker is None or marker.evaluate(place)
    }
    bom = json.loads((ROOT / "sbom.cdx.json").read_text(encoding="utf-8"))
    found = {canonicalize_name(part["name"]): part["version"] for part in bom["components"]}
    assert bom["bomFormat"] == "CycloneDX" and found == expected
    unnamed = {part["name"] for part in bom["components"] if not part.get("licenses")}
    by_their_files = {"cons", "miniKanren", "mpich", "multipledispatch", "protobuf", "PySocks"}  # BSD, or much like it
    assert unnamed <= by_their_files
