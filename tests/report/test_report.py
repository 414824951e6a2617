"""The run's page: read back with an HTML parser."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.report.page import Link, extend_report, write_report

PNG = base64.b64decode(  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28)
HOSTILE = """<script src="https://evil.example/x.js"></script>'&"<img src=//evil.example/a.png onerror=alert(1)>"""
LOADING_ATTRIBUTES = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"}
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Tags with attributes, text by element, and a check that every element is closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append((self.open[-1] if self.open else "", data))

    def text(self, tag):
        return [data for where, data in self.words if where == tag]

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(tmp_path, **changes):
    content = {"title": "Run", "summary": "", "tables": {}, "pictures": {}, "sounds": {}, "notes": []} | changes
    return Page(write_report(tmp_path / "report.html", **content).read_text(encoding="utf-8"))


def written(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    return file


def test_pictures_and_sounds_are_embedded_byte_for_byte(tmp_path):
    page = page_of(
        tmp_path,
        pictures={"Learning curve": written(tmp_path, "curve.png", PNG)},
        sounds={"Seed and generated": str(written(tmp_path, "sound.wav", WAV))},
    )
    (image,), (player,) = page.attributes("img"), page.attributes("audio")
    assert image["src"].startswith("data:image/png;base64,")
    assert base64.b64decode(image["src"].partition(",")[2]) == PNG
    assert image["alt"] == "Learning curve"
    assert player["src"].startswith("data:audio/wav;base64,")
    assert base64.b64decode(player["src"].partition(",")[2]) == WAV
    assert "controls" in player
    assert page.text("strong") == ["Seed and generated", "Learning curve"]


def test_nothing_is_loaded_from_outside_and_all_text_is_escaped(tmp_path):
    page = page_of(
        tmp_path,
        title=HOSTILE,
        summary=HOSTILE,
        tables={HOSTILE: [{HOSTILE: HOSTILE}], "config": {HOSTILE: HOSTILE}},
        pictures={HOSTILE: written(tmp_path, "a.png", PNG), HOSTILE + "2": tmp_path / '<img src="x">.png'},
        sounds={HOSTILE: written(tmp_path, "a.wav", WAV)},
        notes=[HOSTILE],
        explanations={HOSTILE: HOSTILE + " explained"},
    )
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in LOADING_ATTRIBUTES & set(attributes):
            assert attributes[name].startswith("data:")
    assert not any(word in style for style in page.text("style") for word in ("url(", "@import", "http"))
    for tag in ("title", "h1", "p", "h2", "th", "td", "li", "strong"):
        assert HOSTILE in page.text(tag), tag
    assert page.text("p").count(HOSTILE + " explained") == 3  # of the sound, the picture and the table
    assert len(page.attributes("img")) == 1


def test_the_browser_is_told_to_fetch_nothing(tmp_path):
    (policy,) = [m["content"] for m in page_of(tmp_path).attributes("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == rules["media-src"] == "data:"


def test_it_fits_a_telephone_and_follows_light_and_dark(tmp_path):
    page = page_of(tmp_path)
    (viewport,) = [m["content"] for m in page.attributes("meta") if m.get("name") == "viewport"]
    assert "width=device-width" in viewport
    (style,) = page.text("style")
    assert "prefers-color-scheme: dark" in style
    assert "color-scheme: light dark" in style


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "is missing"), (b"", "empty"), (b"%PDF-1.4", "is not a PNG picture")]
)
def test_a_missing_picture_is_said(tmp_path, content, reason):
    file = tmp_path / "spectrogram.png"
    if content is not None:
        file.write_bytes(content)
    page = page_of(tmp_path, pictures={"Spectrogram": file, "There": written(tmp_path, "b.png", PNG)})
    (said,) = [text for text in page.text("p") if text.startswith("Picture missing")]
    assert "Spectrogram" in said and "spectrogram.png" in said and reason in said
    assert [image["alt"] for image in page.attributes("img")] == ["There"]


@pytest.mark.parametrize("content", [None, b"RIFF but no sound", b"a text file"])
def test_a_missing_sound_is_said(tmp_path, content):
    file = tmp_path / "generated.wav"
    if content is not None:
        file.write_bytes(content)
    page = page_of(tmp_path, sounds={"Generated": file})
    assert any(text.startswith("Sound missing: Generated (generated.wav") for text in page.text("p"))
    assert page.attributes("audio") == []


def test_a_link_leads_to_a_file_beside_the_page_and_to_nothing_else(tmp_path):
    links = [{"a": Link("run <1>", "trial-0001/report.html")}, {"a": Link("x", "javascript:alert(1)")}]
    page = page_of(tmp_path, first={"Before": links}, tables={"After": [{"b": 1}]}, summary="s")
    assert [each["href"] for each in page.attributes("a")] == ["trial-0001/report.html", "javascript%3Aalert%281%29"]
    assert page.text("a") == ["run <1>", "x"] and page.text("h2") == ["Before", "After"]


def test_tables_hold_every_row_and_the_union_of_the_columns(tmp_path):
    rows = [{"model": "zero", "dB": 0.0}, {"model": "LSTM", "dB": np.float32(-12.3456789), "note": None}]
    page = page_of(tmp_path, tables={"Losses": rows})
    assert page.text("h2") == ["Losses"]
    assert page.text("th") == ["model", "dB", "note"]
    assert page.text("td") == ["zero", "0", "LSTM", "-12.3457", "None"]  # the first row's empty note has no text
    assert len(page.attributes("td")) == 6
    assert [a.get("class") for a in page.attributes("td")][:3] == [None, "number", None]


def test_a_configuration_is_a_table_of_names_and_values(tmp_path):
    page = page_of(tmp_path, tables={"Configuration": {"n_units": 300, "learning_rate": 1e-3, "resume": True}})
    assert page.text("td") == ["n_units", "300", "learning_rate", "0.001", "resume", "True"]


def test_an_explanation_stands_below_its_heading_or_caption(tmp_path):
    page = page_of(
        tmp_path,
        tables={"Losses": [{"dB": 0}], "Settings": [{"a": 1}]},
        pictures={"Curve": written(tmp_path, "a.png", PNG)},
        explanations={"Losses": "Lower is better.", "Curve": "The ring is the best."},
    )
    order = [words for _, words in page.words if words.strip()]
    assert order[order.index("Losses") + 1] == "Lower is better."
    assert order[order.index("Settings") + 1] == "a"
    assert order[order.index("Curve") + 1] == "The ring is the best."


def test_an_empty_table_says_so(tmp_path):
    assert "Nothing to show." in page_of(tmp_path, tables={"Baselines": []}).text("p")


def test_paragraphs_are_parted_at_empty_lines(tmp_path):
    assert page_of(tmp_path, summary="One.\nStill one.\n\nTwo: é, −3 dB.\n").text("p") == [
        "One.\nStill one.", "Two: é, −3 dB."
    ]  # fmt: skip


def test_an_earlier_page_survives_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    page_of(tmp_path, title="First")
    before = path.read_bytes()

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(RnnaudioError, match="No space left"):
        page_of(tmp_path, title="Second")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_is_extended_and_what_was_added_is_replaced(tmp_path):
    picture = written(tmp_path, "a.png", PNG)
    page_of(tmp_path, tables={"First": {"a": 1}})
    path = tmp_path / "report.html"
    words = {"Causes": "In words."}
    for cause in ("old", HOSTILE):
        extend_report(path, tables={"Causes": [{"cause": cause}]}, pictures={"P": picture}, explanations=words)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.text("h2") == ["First", "Causes"] and "In words." in page.text("p")
    assert HOSTILE in page.text("td") and "old" not in page.text("td") and len(page.attributes("img")) == 1
    assert text.endswith("</body>\n</html>\n") and text.count("</body>") == 1
    with pytest.raises(RnnaudioError, match="none.html cannot be read"):
        extend_report(tmp_path / "none.html", tables={}, pictures={}, explanations={})
