"""Pages in headless Chromium: sounds play, spectrograms follow, keys work, nothing is logged, a phone is wide enough.

Left out where Chromium and its driver are not installed (Debian: chromium, chromium-driver).
"""

import json
from functools import partial

import numpy as np
import pytest

from rnnaudio import plots
from rnnaudio.audio.clip import Clip
from rnnaudio.report import Deck, Findings, write_report
from rnnaudio.runs import voting
from tests.support import browsers
from tests.support.browsers import wait_until
from tests.support.figures import history_of
from tests.support.sounds import music

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, browsers.needed]
RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page on two sounds of twelve seconds and one of three, with everything that a page can have."""
    folder = tmp_path_factory.mktemp("pages")
    sounds = {"first": music(12.0, 1), "second": music(12.0, 2), "third": music(3.0, 3)}
    clips = {name: Clip(audio / np.abs(audio).max(), RATE, f"Words on {name}.") for name, audio in sounds.items()}
    deck = Deck(clips, prime_seconds=1.0)
    draw = partial(plots.compared_curves_figure, {"a": history_of([2.0, 1.0])}, quantity="Loss")
    content = {
        "title": "A page", "summary": "Headline.",
        "tables": {"Wide": [{f"column number {k}": "x" * 20 for k in range(12)}]},
        "pictures": {"Curve": plots.drawn(draw)},
        "findings": Findings("Why", "", [("cause", ["a" * 200, "rnnaudio train corpus.h5 " + "b/" * 60])]),
    }  # fmt: skip
    write_report(folder / "page.html", sounds=deck, **content)
    write_report(folder / "blind.html", sounds=deck._replace(ballot="0123"), **content)
    return folder


@pytest.fixture(params=[1000, 400], ids=["desk", "phone"])
def width(request):
    return request.param


def opened(browser, path, width=1000):
    """Open a page in a window of that width, with all sounds loaded; returns the console's messages so far."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    sounds = "return [...document.querySelectorAll('audio')]"
    wait_until(lambda: browser.execute_script(f"{sounds}.every((sound) => sound.readyState === 4)"))
    return browser.get_log("browser")


def state(browser):
    """Of each sound: whether it plays, and its time."""
    return browser.execute_script(
        "return [...document.querySelectorAll('audio')].map((sound) => [!sound.paused, sound.currentTime])"
    )


def press(browser, *keys):
    browser.find_element(By.TAG_NAME, "body").send_keys(*keys)


def test_a_page_loads_without_a_message_and_fits(browser, folder, width):
    assert opened(browser, folder / "page.html", width) == []
    seconds = browser.execute_script("return [...document.querySelectorAll('audio')].map((sound) => sound.duration)")
    np.testing.assert_allclose(seconds, [12.0, 12.0, 3.0], atol=0.05)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    loaded = browser.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert min(loaded) > 100 and len(loaded) == 4


def test_on_a_phone_a_picture_is_narrow_and_need_not_be_scrolled(browser, folder, width):
    opened(browser, folder / "page.html", width)
    shown = (
        "const image = document.querySelector('picture img');"
        "return [image.naturalWidth, image.clientWidth, image.closest('.wide').scrollWidth]"
    )
    drawn, wide, inside = browser.execute_script(shown)
    assert drawn == (800 if width == 400 else 1080)
    assert inside <= wide <= width if width == 400 else wide > 900
    edge = "return getComputedStyle(document.querySelectorAll('.wide')[1]).backgroundImage"
    assert browser.execute_script(edge).count("linear-gradient") == 4  # what scrolls has a shade at its edge


def test_space_plays_and_a_number_goes_on_with_another_sound(browser, folder):
    opened(browser, folder / "page.html")
    press(browser, Keys.SPACE)
    wait_until(lambda: state(browser)[0][1] > 0.3)
    press(browser, "2")
    wait_until(lambda: state(browser)[1][0])
    (first, at), (second, there), _ = state(browser)
    assert not first and second and at > 0.3 and -0.05 < there - at < 1.0
    chosen = [b.get_attribute("aria-pressed") for b in browser.find_elements(By.CLASS_NAME, "choose")]
    assert chosen == ["false", "true", "false"]
    press(browser, Keys.SPACE)
    assert not any(plays for plays, _ in state(browser))
    assert browser.get_log("browser") == []


def test_arrows_and_clicks_move_and_the_cursor_shows_where(browser, folder):
    opened(browser, folder / "page.html")
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert state(browser)[0][1] == pytest.approx(4.0, abs=0.05)
    place = "const box = (name) => document.querySelector(name).getBoundingClientRect();"
    share = f"{place} return (box('.cursor').left - box('.time').left) / box('.time').width"
    wait_until(lambda: abs(browser.execute_script(share) - 4.0 / 12.0) < 0.005)
    press(browser, *[Keys.ARROW_LEFT] * 5)
    assert state(browser)[0][1] == 0.0
    lane = browser.find_element(By.CSS_SELECTOR, ".lane")
    webdriver.ActionChains(browser).move_to_element(lane).click().perform()  # its middle
    assert state(browser)[0][1] == pytest.approx(6.0, abs=0.1)
    press(browser, "3")  # which has no such time: at its end
    assert state(browser)[2][1] == pytest.approx(3.0, abs=0.1)


def test_only_one_sound_plays(browser, folder):
    opened(browser, folder / "page.html")
    for k in (0, 1):
        browser.execute_script("document.querySelectorAll('audio')[arguments[0]].play()", k)
        wait_until(lambda k=k: state(browser)[k][0])
    assert [plays for plays, _ in state(browser)] == [False, True, False]


def test_on_a_phone_the_spectrogram_moves_with_the_sound(browser, folder):
    opened(browser, folder / "page.html", 400)
    browser.execute_script("document.querySelector('audio').currentTime = 8")
    press(browser, Keys.SPACE)
    inside = (
        "const box = (name) => document.querySelector(name).getBoundingClientRect();"
        "return document.querySelector('.scroll').scrollLeft > 20 &&"
        " box('.cursor').left > box('.scroll').left && box('.cursor').left < box('.scroll').right"
    )
    wait_until(lambda: browser.execute_script(inside))


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_a_page_follows_light_and_dark(browser, folder, scheme, is_dark):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    opened(browser, folder / "page.html")
    colours = browser.execute_script("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    ink, paper = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert (ink > paper) == is_dark and abs(ink - paper) > 500


def test_everything_can_be_reached_by_tab_and_has_a_name(browser, folder):
    opened(browser, folder / "page.html")
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('button, audio, img, [tabindex]')].filter((one) => !("
        "one.textContent.trim() || one.getAttribute('aria-label') || one.alt || one.querySelector('img[alt], table')"
        ")).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    reached, where = set(), "return document.activeElement.className || document.activeElement.tagName"
    for _ in range(40):
        press(browser, Keys.TAB)
        reached.add(browser.execute_script(where))
    assert {"choose", "AUDIO", "scroll", "wide"} <= reached


def test_votes_are_saved_as_a_file_that_is_counted(browser, folder, downloads, tmp_path):
    opened(browser, folder / "blind.html")
    saved = browser.find_element(By.ID, "saved")
    browser.find_element(By.ID, "save-votes").click()
    assert saved.text == "Nothing is chosen yet." and not list(downloads.iterdir())
    for name, vote in (("first", 5), ("third", 2)):
        browser.find_element(By.CSS_SELECTOR, f"input[data-clip={name}][value='{vote}']").click()
    browser.find_element(By.ID, "voter").send_keys("1 2")  # typed, and no sound is chosen by it
    assert browser.find_elements(By.CLASS_NAME, "choose")[0].get_attribute("aria-pressed") == "true"
    browser.find_element(By.ID, "save-votes").click()
    assert saved.text == "Saved as votes-1-2.json; 1 without a vote."
    wait_until((downloads / "votes-1-2.json").exists)
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"page": "0123", "clips": {"first": "a", "second": "b", "third": "c"}}))
    counted = voting.count(key, [downloads / "votes-1-2.json"])
    assert {tally.name: tally.votes for tally in counted.tallies} == {"a": [5], "b": [], "c": [2]}
    assert counted.left_out == []
    assert json.loads((downloads / "votes-1-2.json").read_text())["voter"] == "1 2"
    assert browser.get_log("browser") == []
