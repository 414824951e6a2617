"""The page of a listening test in headless Chromium: it plays, keeps the time, takes votes by keys and touch, saves.

Left out where Chromium and its driver are not installed (Debian: chromium, chromium-driver).
"""

import json

import numpy as np
import pytest

from rnnaudio.audio.clip import Clip
from rnnaudio.report.pairs import PairOfClips, write_pairs
from rnnaudio.runs import voting
from tests.support import browsers
from tests.support.browsers import wait_until
from tests.support.sounds import music

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.slow, browsers.needed]
PAGE = "0123456789abcdef"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three pairs of sounds of five seconds."""
    clips = [Clip(0.5 * audio / np.abs(audio).max(), 16_000) for audio in (music(5.0, k) for k in range(6))]
    pairs = [PairOfClips(*clips[k : k + 2]) for k in (0, 2, 4)]
    path = tmp_path_factory.mktemp("pages") / "test.html"
    return write_pairs(path, title="Which sounds better?", summary="Listen.", pairs=pairs, identifier=PAGE)


def opened(browser, page, width=1100):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 500})
    browser.get(page.as_uri())
    wait_until(lambda: browser.execute_script("return document.querySelector('audio').readyState === 4"))
    return browser.get_log("browser")


def press(browser, *keys):
    browser.find_element(By.TAG_NAME, "body").send_keys(*keys)


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def state(browser):
    """Of A and B: whether it plays, and its time."""
    return browser.execute_script(
        "return [...document.querySelectorAll('audio')].map((sound) => [!sound.paused, sound.currentTime])"
    )


def hear_both(browser):
    for side, key in enumerate("12"):
        press(browser, key)
        wait_until(lambda side=side: state(browser)[side][0] and state(browser)[side][1] > 0.05)
    wait_until(lambda: one(browser, ".vote").is_enabled())


def saved_votes(browser, downloads, name="votes.json"):
    for left in downloads.iterdir():
        left.unlink()
    one(browser, "#save-votes").click()
    wait_until((downloads / name).exists)
    return json.loads((downloads / name).read_text())


@pytest.mark.parametrize("width", [1100, 390])
def test_it_fits_loads_without_a_message_and_what_is_touched_is_large(browser, page, width):
    assert opened(browser, page, width) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for button in browser.find_elements(By.CSS_SELECTOR, ".side, .vote"):
        assert button.size["height"] >= 48 and button.size["width"] >= 90
    bottom = max(button.rect["y"] + button.rect["height"] for button in browser.find_elements(By.CLASS_NAME, "vote"))
    assert bottom < 844  # all that is needed for a vote is on one screen of a phone


def test_keys_play_keep_the_time_vote_and_go_back(browser, page, downloads):
    opened(browser, page)
    press(browser, "b")
    assert one(browser, "#hint").text == "Listen to both first." and not one(browser, ".vote").is_enabled()
    press(browser, "1")
    wait_until(lambda: state(browser)[0][1] > 0.5)
    press(browser, "2")
    wait_until(lambda: state(browser)[1][0])
    (first, at), (second, there) = state(browser)
    assert not first and second and at > 0.5 and -0.05 < there - at < 1.0
    press(browser, Keys.SPACE)
    assert not any(plays for plays, _ in state(browser))
    before = state(browser)[1][1]
    press(browser, Keys.ARROW_RIGHT)
    assert state(browser)[1][1] == pytest.approx(before + 2.0, abs=0.05)
    wait_until(lambda: one(browser, ".vote").is_enabled())
    press(browser, "b")
    assert one(browser, "#where").text == "Pair 2 of 3" and not one(browser, ".vote").is_enabled()
    assert [at for _, at in state(browser)] == [0.0, 0.0]
    hear_both(browser)
    press(browser, "t")
    press(browser, Keys.BACKSPACE)
    assert one(browser, "#where").text == "Pair 2 of 3"
    assert one(browser, ".vote[data-vote=tie]").get_attribute("aria-pressed") == "true"
    press(browser, "a")  # heard before: the vote is changed, and the pair without one comes
    assert one(browser, "#where").text == "Pair 3 of 3" and one(browser, "progress").get_property("value") == 2
    hear_both(browser)
    press(browser, "a")
    assert one(browser, "#where").text == "All 3 pairs have a vote: save the votes."
    assert browser.execute_script("return document.activeElement.id") == "save-votes"
    one(browser, "#voter").send_keys("../ab1 é")  # typed, and nothing is voted by it
    content = saved_votes(browser, downloads, "votes-ab1-é.json")
    assert content == {"page": PAGE, "voter": "../ab1 é", "votes": {"1": "B", "2": "A", "3": "A"}}
    assert one(browser, "#saved").text == "Saved as votes-ab1-é.json." and browser.get_log("browser") == []


def test_touches_vote_on_a_phone_and_votes_are_counted(browser, page, downloads, tmp_path):
    opened(browser, page, 390)
    one(browser, "#save-votes").click()
    assert one(browser, "#saved").text == "There is no vote yet."
    for side, button in enumerate(browser.find_elements(By.CLASS_NAME, "side")):
        browser.execute_script("arguments[0].scrollIntoView()", button)
        button.click()
        wait_until(lambda side=side: state(browser)[side][0])
        assert button.get_attribute("aria-pressed") == "true"
    wait_until(lambda: one(browser, ".vote").is_enabled())
    one(browser, ".vote[data-vote=B]").click()
    assert one(browser, "#where").text == "Pair 2 of 3"
    saved_votes(browser, downloads)
    assert one(browser, "#saved").text == "Saved as votes.json; 2 pairs without a vote."
    sides = [{s: {"condition": c, "sound": n, "file": n} for s, c in zip("AB", "xy", strict=True)} for n in "123"]
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"page": PAGE, "pairs": {str(k): pair for k, pair in enumerate(sides, 1)}}))
    counted = voting.count(key, [downloads / "votes.json"])
    assert [(s.condition, s.won, s.lost) for s in counted.standings] == [("y", 1, 0), ("x", 0, 1)]
    assert browser.get_log("browser") == []


def test_everything_has_a_name_and_is_reached_by_tab(browser, page):
    opened(browser, page)
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('button, audio, input, [role=group], section')].filter((one) => !("
        "one.textContent.trim() || one.getAttribute('aria-label') || (one.labels || []).length"
        ")).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    hear_both(browser)
    press(browser, Keys.SPACE)
    reached, where = set(), "const e = document.activeElement; return e.dataset.vote || e.dataset.side || e.id"
    for _ in range(12):
        press(browser, Keys.TAB)
        reached.add(browser.execute_script(where))
    assert {"A", "B", "tie", "place", "voter", "save-votes"} <= reached


def test_another_sound_goes_on_from_the_beginning_after_an_end(browser, page):
    opened(browser, page)
    browser.execute_script("document.querySelector('audio').currentTime = 4.8")
    press(browser, "1")
    wait_until(lambda: browser.execute_script("return document.querySelector('audio').ended"))
    press(browser, "2")
    wait_until(lambda: state(browser)[1][0])
    assert state(browser)[1][1] < 2.0
