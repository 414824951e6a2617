"""The documents: links lead somewhere, every page is found, code runs, and what is made from the code is complete."""

import dataclasses
import fnmatch
import json
import os
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from experiments.proofs.advice import with_options
from rnnaudio.audio import write_wav
from rnnaudio.cli import entry as console_script
from rnnaudio.data.demo import build_demo_corpus, embedded_recordings
from rnnaudio.diagnostics.causes import CAUSES
from rnnaudio.runs import presets
from rnnaudio.runs.config import read_toml
from rnnaudio.runs.defects import DEFECTS, in_words
from rnnaudio.runs.frames.batchers import BATCHERS
from rnnaudio.runs.frames.cells import CELLS
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.remedies import OTHER_RECIPE, REMEDIES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = {"_build", "_generated", "auto_gallery"}
PAGES = sorted(page for page in DOCS.rglob("*.md") if not MADE & set(page.parts))
ALL = [*sorted(ROOT.glob("*.md")), *PAGES]
CODE = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
# What makes an example fast enough for a test; everything else runs as it is written.
SMALLER = {
    '"n_steps": 32, "batch_size": 16': '"n_steps": 2, "batch_size": 32',
    '"n_steps": 16, "batch_size": 16': '"n_steps": 2, "batch_size": 8',
    "LSTM(200, 100": "LSTM(200, 3",
    "Elman(200, 100": "Elman(200, 3",
    "Dense(100": "Dense(3",
    "max_updates=20, validate_every=10": "max_updates=2, validate_every=2",
    "max_updates=100, validate_every=50": "max_updates=2, validate_every=2",
    "n_samples=2 * corpus": "n_samples=corpus",
}


def text_of(page):
    return page.read_text(encoding="utf-8")


def without_code(text):
    return re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)


def links(page):
    """Targets of Markdown links and pictures and of HTML's, those within the repository."""
    text = without_code(text_of(page))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page):
    """What a heading is linked by: its words in small letters, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "auto_gallery" in target.parts:  # made by the build
            assert (DOCS / "gallery").is_dir()
            continue
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}: no such heading"


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[there](page.md#a-heading) [nowhere](none.md)\n\n# A heading\n")
    with pytest.raises(AssertionError, match=r"none\.md"):
        test_relative_links_lead_somewhere(page)


def toctree(page):
    """The pages that a page's toctrees name, without their endings; patterns stay patterns."""
    entries = []
    for block in re.findall(r"```\{toctree\}\n(.*?)```", text_of(page), flags=re.DOTALL):
        lines = [line.strip() for line in block.splitlines()]
        entries += [line for line in lines if line and not line.startswith(":")]
    return [os.path.normpath(page.parent.relative_to(DOCS) / entry) for entry in entries]


def test_every_page_is_reached_from_the_first():
    names = {str(page.relative_to(DOCS).with_suffix("")): page for page in PAGES}
    reached, waiting = set(), ["index"]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in names:
            continue
        reached.add(name)
        for entry in toctree(names[name]):
            waiting += fnmatch.filter(names, entry)
    assert reached == names.keys()


def test_pages_have_one_title_and_fit_the_width():
    for page in PAGES:
        text = text_of(page)
        titles = re.findall(r"^# ", without_code(text), flags=re.MULTILINE)
        assert len(titles) == 1 or "{include} ../" in text, page
        prose = [line for line in text.splitlines() if not line.startswith(("|", "![", "### music"))]
        assert max(map(len, prose)) <= 119, page


NOTEBOOK = DOCS / "tutorials/in-a-notebook.md"  # run by tests/runs/test_notebook.py
WITH_CODE = [page for page in PAGES if CODE.search(text_of(page)) and page != NOTEBOOK]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """All its blocks, one after the other, where `make demo` has left a corpus and a recording."""
    monkeypatch.chdir(tmp_path)
    demo = tmp_path / "runs/demo"
    (demo / "codes").mkdir(parents=True)
    build_demo_corpus(demo / "corpus.h5")
    audio, rate = embedded_recordings()[0].load()
    write_wav(demo / "codes/original.wav", audio[: 3 * rate], rate)
    code = "\n".join(CODE.findall(text_of(page)))
    if "checkpoint.safetensors" in code:
        leave_a_checkpoint(demo / "codes")
    for written, smaller in SMALLER.items():
        code = code.replace(written, smaller)
    exec(compile(code, str(page.name), "exec"), {"__name__": "page"})


def leave_a_checkpoint(folder):
    from rnnaudio.training import checkpoint

    arrays = {"best/dense.bias": embedded_recordings()[0].load()[0][:3]}
    checkpoint.save(folder / "checkpoint.safetensors", checkpoint.Checkpoint(arrays, {"n_updates": 1}))


def test_phases_from_magnitudes_are_as_good_as_the_page_says(tmp_path, monkeypatch, capsys):
    (page,) = (page for page in PAGES if page.stem == "phases-from-magnitudes")
    test_the_code_of_a_page_runs(page, tmp_path, monkeypatch)
    assert float(capsys.readouterr().out.split()[0]) < -20.0


# ---------------------------------------------------------------- tables that stand in records


def recorded(name):
    return json.loads((ROOT / f"experiments/results/{name}.json").read_text(encoding="utf-8"))


def training_row(row, sgemm):
    """A row of the table of training steps, as the page has it; None for other cells than those."""
    ours, point = row["rnnaudio"]["seconds"], row["point"]
    if row["cell"] not in ("lstm", "gru"):
        return None
    sizes = ", ".join(str(point[key]) for key in ("n_in", "n_units", "n_steps", "n_batch", "n_layers"))
    ratios = " | ".join(f"{row[peer]['ratio']:.2f}" for peer in ("torch", "jax", "scan"))
    milliseconds = f"{1e3 * ours:.0f} | {1e3 * row['torch']['seconds']:.0f}"
    return f"| {row['cell']} | {sizes} | {milliseconds} | {ratios} | {row['gflop'] / ours / sgemm:.0%} |"


def test_the_tables_of_speed_are_those_of_the_records():
    page = text_of(DOCS / "results/speed.md").replace(" %", "%")
    bench = recorded("bench")
    rows = [line for row in bench["rows"] if (line := training_row(row, bench["sgemm_gflops"]))]
    assert len(rows) == 18 and not [line for line in rows if line not in page]
    means = {(row["cell"], row["peer"]): f"**{row['mean']:.2f}**" for row in bench["summary"]}
    assert all(means[cell, "torch"] in page for cell in ("lstm", "gru", "memory-lstm"))
    for row in recorded("generation-speed")["rows"]:
        micro = [1e6 * row["rnnaudio"][key] for key in ("step_seconds", "lowest", "highest")]
        start = f"| {row['cell']} | {row['streams']} | {row['threads']} | "
        start += "{:.0f} ({:.0f} to {:.0f}) | ".format(*micro)
        rates = (f"{row[peer]['times_real_time']:.0f}" for peer in ("rnnaudio", "graph", "scan", "torch"))
        assert start + " | ".join(rates) in page
    for cell in ("lstm", "gru"):
        series = recorded(f"growth-{cell}")["series"].values()
        cells = (f"{s['exponent']:.2f} ({s['predicted']:.2f})".removeprefix("0") for s in series)
        assert f"| {cell.upper()} | {' | '.join(cells)} |" in page
    for name in ("compile-times-pytensor", "compile-times-theano"):
        for row in recorded(name)["rows"]:
            times = f"{row['cold_seconds']:.1f} s | {row['warm_seconds']:.1f} s | {row['milliseconds_per_step']:.0f} |"
            assert f"{row['kernel']}, `{row['mode']}` | {times}" in page


def numbers(value):
    """All numbers in a record, those within its sentences too."""
    if isinstance(value, dict):
        value = [item for name, item in value.items() if name != "versions"]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    if isinstance(value, str):
        return [float(number) for number in re.findall(r"\d*\.?\d+(?:e-?\d+)?", value)]
    return [float(value)] if isinstance(value, int | float) else []


@pytest.mark.parametrize("page", ["README.md", "docs/results/index.md"])
def test_each_decimal_number_of_the_results_is_recorded(page):
    """In some record, to the digits on the page; which one is not checked, so a short number proves little."""
    paths = (ROOT / "experiments/results").glob("*.json")
    known = np.abs([number for path in paths for number in numbers(recorded(path.stem))])
    known = np.append(known, 100.0 - 2.29)  # the error of 2016, recorded as such
    text = re.sub(r"^```.*?^```|`[^`\n]+`|\]\([^)]*\)", "", text_of(ROOT / page), flags=re.DOTALL | re.MULTILINE)
    for written in re.findall(r"(?<![\w.])\d*\.\d+(?![\w.]*\+)", text):
        unit = 10.0 ** -len(written.split(".")[1])
        distance = np.abs(np.multiply.outer([1.0, 100.0], known) - float(written))  # per cent of a share, too
        assert distance.min() <= 0.5001 * unit or written == "3.11", f"{written} is in no record"


# ---------------------------------------------------------------- what is made from the code


@pytest.fixture(scope="module")
def extension():
    """Modules of docs/_ext, which need no Sphinx."""
    import importlib

    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module
    sys.path.remove(str(DOCS / "_ext"))


def test_imports_between_rooms_run_in_no_circle(extension):
    pytest.importorskip("grimp")
    architecture = extension("architecture")
    graph = architecture.rooms()
    assert architecture.circles(graph) == []
    level = {room: k for k, floor in enumerate(architecture.floors(graph)) for room in floor}
    assert all(level[room] > level[other] for room, others in graph.items() for other in others)
    picture = architecture.as_svg(graph)
    assert all(f">{room}</text>" in picture for room in graph)
    width = float(re.search(r'viewBox="0 0 (\d+) ', picture)[1])
    boxes = re.findall(r'<rect x="([-.\d]+)" y="\S+" width="(\S+)"', picture)
    assert len(boxes) == len(graph) and all(0 < float(x) < float(x) + float(w) < width for x, w in boxes)
    assert {"engine", "nn", "training", "cli", "losses"} <= graph.keys()


def test_the_parts_of_runs_are_plotted_and_import_in_no_circle(extension):
    pytest.importorskip("grimp")
    architecture = extension("architecture")
    graph = architecture.rooms("rnnaudio.runs")
    assert {"frames", "codes", "samples", "diagnosis", "recipe", "fit", "load"} <= graph.keys()
    assert architecture.circles(graph) == []
    recipes = {"frames", "codes", "samples"}
    assert all("recipe" in graph[name] and not recipes & graph[name] for name in recipes)
    picture = architecture.as_svg(graph, "rnnaudio.runs")
    assert all(f">{room}</text>" in picture for room in graph)
    assert picture.count('<path class="arrow"') == len(architecture.needed_arrows(graph)) >= len(recipes)


@pytest.mark.parametrize("package", ["rnnaudio", "rnnaudio.runs"])
def test_the_tables_of_the_architecture_name_each_part(extension, package):
    pytest.importorskip("grimp")
    rows = [line.split("|")[1] for line in text_of(DOCS / "explanation/architecture.md").splitlines() if "|" in line]
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert extension("architecture").rooms(package).keys() <= named


def test_a_circle_is_found_and_has_no_floors(extension):
    pytest.importorskip("grimp")
    architecture = extension("architecture")
    graph = {"a": frozenset("b"), "b": frozenset("cd"), "c": frozenset("a"), "d": frozenset()}
    assert architecture.circles(graph) == [["a", "b", "c"]]
    with pytest.raises(ValueError, match="a -> b -> c -> a"):
        architecture.floors(graph)


def test_arrows_that_a_longer_path_implies_are_left_out(extension):
    pytest.importorskip("grimp")
    graph = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert extension("architecture").needed_arrows(graph) == [("a", "b"), ("b", "c")]


def test_the_reference_of_commands_has_them_all(extension):
    commands = extension("commands")
    page = commands.as_markdown()
    assert "## rnnaudio train\n" in page and "## rnnaudio corpus build\n" in page
    assert "--n-units" in page and "╭" not in page
    assert len(re.findall(r"^##+ ", page, flags=re.MULTILINE)) == len(console_script.commands())


def test_the_reference_of_settings_has_each_field_with_its_default(extension):
    settings = extension("settings")
    configs = settings.configs()
    assert {"frames", "codes", "samples"} <= {config.__module__.split(".")[2] for config in configs}
    for config in configs:
        rows = settings.settings_of(config)
        assert [row.name for row in rows] == [field.name for field in dataclasses.fields(config)]
    rows = {row.name: row for config in configs for row in settings.settings_of(config)}
    assert rows["cell"].default in ("`lstm`", "`gru`") and "`lstm`" in rows["cell"].type
    assert rows["batch_size"].type == "`int`" and rows["dropout"].default == "`0.2`"
    assert sum(not row.meaning for row in rows.values()) < len(rows) / 2


def test_the_reference_has_what_the_registries_name_and_the_presets(extension):
    settings = extension("settings")
    page = settings.as_markdown()
    assert all(f"`{name}`" in page for registry in (CELLS, BATCHERS) for name in registry)
    assert "## frames: options of the cell lstm\n" in page and "| `peepholes` | `bool` | `False` |" in page
    shown = settings.presets_as_markdown()
    for name in presets.names():
        (block,) = re.findall(rf"^### {name}\n.*?```toml\n(.*?)```", shown, flags=re.DOTALL | re.MULTILINE)
        assert tomllib.loads(block) == read_toml(presets.path_of(name))


def test_docstrings_become_text_that_sphinx_shows_as_it_is(extension):
    plain = extension("api").plain
    assert plain(["Sum a * b of `x`, |y| and z_.", "", "    y = a * b", "", "More."]) == [
        r"Sum a \* b of ``x``, \|y\| and z\_.", "", "::", "", "    y = a * b", "", "More.",
    ]  # fmt: skip
    assert plain(["Say.", "", "mask", "    where it is *0*", "path: where", "rate: in Hz, or", "    in kHz"]) == [
        "Say.", "", "mask", r"    where it is \*0\*", "", "``path``", "    where", "", "``rate``", "    in Hz, or",
        "    in kHz",
    ]  # fmt: skip


def test_every_public_package_has_a_page(extension):
    names = {module.__name__ for module in extension("api").modules()}
    assert {f"rnnaudio.{name}" for name in ("audio", "audio.phase", "data", "nn", "training", "losses")} <= names


# ---------------------------------------------------------------- what pages say is there


def test_the_table_of_causes_has_each_with_its_place_and_what_it_can_type():
    rows = re.findall(r"^\| `([a-z-]+)` \| (\.\d+) \|.*\| ([^|]+) \|$", text_of(DOCS / "reference/causes.md"), re.M)
    assert [(name, float(place)) for name, place, _ in rows] == [(name, place) for name, _, place in CAUSES]
    typed = {name: text for name, _, text in rows}
    for name in REMEDIES:
        assert "--" in typed[name], name
    repaired = {defect.name: in_words(defect.repaired) for defect in DEFECTS if defect.of == "audio"}
    plain = FramesConfig(max_gradient_norm=None)
    fixed = ("exploding-gradient", "bounded-output", "free-run-explodes", "worse-than-baseline")
    constant = repaired | {name: in_words(REMEDIES[name](plain)) for name in fixed} | OTHER_RECIPE
    for name, options in constant.items():
        assert name not in typed or f"`{options}`" in typed[name], (name, options)
    # What is printed can be typed: a None is an option's value, too.
    planted = FramesConfig(target_shift=0)
    assert with_options(planted, constant["target-is-input"].split()).target_shift is None


def test_environment_variables_are_documented():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "rnnaudio").rglob("*.py"))
    page = text_of(DOCS / "reference/environment.md")
    assert set(re.findall(r"RNNAUDIO_[A-Z]+", source)) == set(re.findall(r"RNNAUDIO_[A-Z]+", page))


def typed_commands():
    """(page, words) of each line that calls rnnaudio, in a fenced block of a page or in a script."""
    blocks = [
        (page, block)
        for page in ALL
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE)
    ]
    for page, block in [*blocks, *((script, text_of(script)) for script in DOCS.rglob("*.sh"))]:
        for line in block.splitlines():
            call = re.match(r" *(?:\$ )?(?:[A-Z_]+=\S+ )?(?:\S*/)?rnnaudio ([^#|>]+)", line)
            if call:
                yield page, call[1].split()


def test_commands_and_options_in_the_pages_exist(extension):
    commands = extension("commands")
    known = set(console_script.commands())
    help_texts = {}
    n_checked = 0
    for page, words in typed_commands():
        command = next(tuple(words[:k]) for k in (2, 1) if tuple(words[:k]) in known)
        if command[0] in ("experiment", "bench", "gradcheck", "verify"):  # which read their options themselves
            continue
        text = help_texts.setdefault(command, commands.help_of(*command))
        for option in (word for word in words if word.startswith("--")):
            assert option in text, f"{page.name}: rnnaudio {' '.join(words)}"
            n_checked += 1
    assert n_checked > 20
