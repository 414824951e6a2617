"""How Sphinx builds these pages: ``make docs``."""

import logging
import sys
from pathlib import Path

import matplotlib

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
matplotlib.use("agg")
logging.getLogger("pytensor.configparser").setLevel(logging.WARNING)  # it would say at length what it left out
logging.getLogger("grimp").setLevel(logging.WARNING)  # each use of its cache

import api  # noqa: E402
import architecture  # noqa: E402
import commands  # noqa: E402
import settings  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.errors import ExtensionError  # noqa: E402

import rnnaudio  # noqa: E402

project = "rnnaudio"
author = "The rnnaudio authors"
copyright = "2026, the rnnaudio authors"
version = release = rnnaudio.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_generated", "gallery", "**/GALLERY_HEADER.rst"]
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf holds a function

# Pages are Markdown, with a heading's words as its anchor.
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"rnnaudio {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88
autosummary_generate = False
napoleon_numpy_docstring = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 0,
    "plot_gallery": True,
}


def rooms_without_circle(package: str) -> architecture.Graph:
    """The rooms of a package; ExtensionError, so that the build fails, if they import each other in a circle."""
    graph = architecture.rooms(package)
    if found := architecture.circles(graph):
        raise ExtensionError(f"imports within {package} run in a circle: {found}")
    return graph


def write_generated_pages(app: Sphinx) -> None:
    """Everything that is made from the code, before Sphinx looks for pages."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    graph, runs = rooms_without_circle("rnnaudio"), rooms_without_circle("rnnaudio.runs")
    pages = {
        "architecture.svg": architecture.as_svg(graph),
        "architecture.inc": architecture.as_table(graph),
        "runs.svg": architecture.as_svg(runs, "rnnaudio.runs"),
        "commands.inc": commands.as_markdown(),
        "settings.inc": settings.as_markdown(),
        "presets.inc": settings.presets_as_markdown(),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    api.write_pages(HERE / "reference" / "api")


def as_plain_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are no reStructuredText."""
    lines[:] = api.plain(lines)


def leave_out(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Fields of a NamedTuple have no docstring of their own: the signature shows them."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_generated_pages, priority=100)
    app.connect("autodoc-process-docstring", as_plain_text, priority=100)
    app.connect("autodoc-skip-member", leave_out)
