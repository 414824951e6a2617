"""The run's page: read back with an HTML parser; its sounds and spectrograms with readers of their formats."""

import base64
import hashlib
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from PIL import Image

from rnnaudio.audio.clip import Clip
from rnnaudio.errors import RnnaudioError
from rnnaudio.markup import Link
from rnnaudio.report import Deck, Findings, replace_findings, write_report

PNG = base64.b64decode(  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
RATE = 16_000
TONE = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(2 * RATE) / RATE).astype(np.float32)
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
    content = {"title": "Run", "summary": "", "tables": {}, "pictures": {}, "notes": []} | changes
    return Page(write_report(tmp_path / "report.html", **content).read_text(encoding="utf-8"))


def written(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    return file


def embedded(address, mime):
    assert address.startswith(f"data:{mime};base64,")
    return base64.b64decode(address.partition(",")[2])


def deck(**changes):
    """A second of a tone, and two seconds of it at half the rate: both sound the same."""
    recorded = Clip(TONE[:RATE], RATE, "What was recorded.", "recorded.wav")
    return Deck({"recorded": recorded, "played": Clip(TONE[::2], 8000)}, **changes)


def test_pictures_are_embedded_byte_for_byte(tmp_path):
    page = page_of(tmp_path, pictures={"Learning curve": written(tmp_path, "curve.png", PNG)})
    (image,) = page.attributes("img")
    assert embedded(image["src"], "image/png") == PNG and image["alt"] == "Learning curve"
    assert page.text("strong") == ["Learning curve"] and not page.attributes("script")


def test_sounds_are_embedded_compressed_and_hardly_changed(tmp_path):
    page = page_of(tmp_path, sounds=deck())
    for player, clip in zip(page.attributes("audio"), deck().clips.values(), strict=True):
        content = embedded(player["src"], "audio/ogg")
        audio, rate = soundfile.read(io.BytesIO(content), dtype="float32")
        assert rate == clip.sample_rate_hz and len(audio) == len(clip.audio) and "controls" in player
        assert np.sqrt(np.mean((audio - clip.audio) ** 2)) < 0.06 * np.sqrt(np.mean(clip.audio**2))
        assert len(content) < len(clip.audio)  # half a WAV file would be that long
    assert [player["aria-label"] for player in page.attributes("audio")] == ["recorded", "played"]
    (link,) = page.attributes("a")
    assert link["href"] == "recorded.wav" and "What was recorded." in page.text("p")


def test_spectrograms_lie_on_one_axis_of_time_and_of_frequency(tmp_path):
    page = page_of(tmp_path, sounds=deck(prime_seconds=0.5))
    strips = [image for image in page.attributes("img") if image["alt"].startswith("Spectrogram")]
    assert [strip["style"] for strip in strips] == ["width:50%", "width:100%"]  # of one and two seconds
    for strip, rate in zip(strips, (16_000, 8_000), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(embedded(strip["src"], "image/png"))).convert("L"), float)
        middle = pixels[:, pixels.shape[1] // 2]
        row = 192 - 192 * 1000.0 / 8000.0  # the tone's, where 8 kHz is the upper edge of both
        assert abs(np.argmax(np.where(middle == middle[0], 0, middle)) - row) <= 2
        assert (middle[0] == 217) == (rate == 8_000)  # above half its rate there is no sound: grey
    (prime,) = [mark for mark in page.attributes("div") if mark.get("class") == "prime"]
    assert prime["style"] == "left:25%"
    (time,) = [mark for mark in page.attributes("div") if "data-seconds" in mark]
    assert float(time["data-seconds"]) == 2.0


def test_silence_samples_that_are_not_finite_and_no_samples_are_shown(tmp_path):
    broken = TONE.copy()
    broken[RATE:] = np.nan
    sounds = {"silence": np.zeros(RATE, np.float32), "broken": broken, "empty": np.empty(0, np.float32)}
    page = page_of(tmp_path, sounds=Deck({name: Clip(audio, RATE) for name, audio in sounds.items()}))
    silence, damaged, _ = (
        np.asarray(Image.open(io.BytesIO(embedded(image["src"], "image/png"))).convert("RGB"))
        for image in page.attributes("img")
    )
    assert len(np.unique(silence.reshape(-1, 3), axis=0)) == 1
    assert (damaged[:, -1] == 217).all() and not (damaged[:, 0] == 217).all(axis=-1).any()
    for player in page.attributes("audio")[:2]:
        audio, _ = soundfile.read(io.BytesIO(embedded(player["src"], "audio/ogg")))
        assert np.isfinite(audio).all()


def test_the_page_runs_its_own_script_and_no_other(tmp_path):
    path = write_report(tmp_path / "r.html", title="", summary="", tables={}, pictures={}, sounds=deck())
    page = Page(path.read_text(encoding="utf-8"))
    (script,) = page.text("script")
    (policy,) = [m["content"] for m in page.attributes("meta") if "http-equiv" in m]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'") and "unsafe" not in policy.partition("script-src")[2]
    without = page_of(tmp_path)
    (policy,) = [m["content"] for m in without.attributes("meta") if "http-equiv" in m]
    assert policy.endswith("script-src 'none'") and not without.attributes("script")


def test_nothing_is_loaded_from_outside_and_all_text_is_escaped(tmp_path):
    page = page_of(
        tmp_path,
        title=HOSTILE,
        summary=HOSTILE,
        tables={HOSTILE: [{HOSTILE: HOSTILE}], "config": {HOSTILE: HOSTILE}},
        pictures={HOSTILE: written(tmp_path, "a.png", PNG), HOSTILE + "2": tmp_path / '<img src="x">.png'},
        sounds=Deck({HOSTILE: Clip(TONE, RATE, HOSTILE + " explained", HOSTILE)}),
        findings=Findings(HOSTILE, HOSTILE, [(HOSTILE, [HOSTILE])], {HOSTILE: written(tmp_path, "b.png", PNG)}),
        notes=[HOSTILE],
        explanations={HOSTILE: HOSTILE + " explained"},
    )
    names = [tag for tag, _ in page.tags]
    assert not set(names) & {"iframe", "object", "embed", "base", "form"}
    assert names.count("script") == names.count("link") == 1  # its own script, and its own icon, which is empty
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in LOADING_ATTRIBUTES & set(attributes):
            assert attributes[name].startswith("data:") or (tag == "a" and attributes[name] == HOSTILE)
    assert not any(word in style for style in page.text("style") for word in ("url(", "@import", "http"))
    for tag in ("title", "h1", "p", "h2", "th", "td", "li", "strong", "a"):
        assert HOSTILE in page.text(tag), tag
    assert page.text("p").count(HOSTILE + " explained") == 3  # of the sound, the picture and the table
    assert len(page.attributes("img")) == 3


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


def test_findings_stand_below_the_summary_and_can_be_replaced(tmp_path):
    picture = written(tmp_path, "a.png", PNG)
    path = tmp_path / "report.html"
    page_of(tmp_path, summary="Headline.", tables={"First": {"a": 1}}, findings=Findings("Why", "none yet"))
    for cause in ("old", HOSTILE):
        replace_findings(path, Findings("Why", "Two.", [("name", [cause, "do this"])], {"P": picture}, {"P": "of it"}))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    words = [words for _, words in page.words if words.strip()]
    assert page.text("h2") == ["Why", "First"] and words.index("Headline.") < words.index("Why") < words.index("First")
    assert page.text("strong") == ["name", "P"] and "old" not in words and "none yet" not in words
    assert words.index(HOSTILE) + 1 == words.index("do this") and "of it" in words
    assert len(page.attributes("img")) == len(page.attributes("details")) == 1
    assert text.endswith("</body>\n</html>\n") and text.count("</body>") == 1
    with pytest.raises(RnnaudioError, match="none.html cannot be read"):
        replace_findings(tmp_path / "none.html", Findings("Why"))


def test_a_page_of_an_earlier_version_gets_its_findings_at_the_end(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<!DOCTYPE html>\n<html><body>\n<h2>First</h2>\n</body>\n</html>\n", encoding="utf-8")
    for _ in range(2):
        replace_findings(path, Findings("Why", "Because."))
    assert Page(path.read_text(encoding="utf-8")).text("h2") == ["First", "Why"]
