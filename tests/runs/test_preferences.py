"""Votes on pairs: shares and intervals against other implementations, listeners named, what is no vote left out."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from rnnaudio.runs import voting
from rnnaudio.runs.voting.preferences import interval

PAGE = "0123456789abcdef"
WITHOUT = "count without this file, and see what changes"


def key_of(path, pairs):
    """The key of pairs ((condition, sound), (condition, sound)), numbered from 1."""
    entries = {
        str(k): {
            side: {"condition": c, "sound": s, "file": f"{c}/{s}"} for side, (c, s) in zip("AB", pair, strict=True)
        }
        for k, pair in enumerate(pairs, 1)
    }
    path.write_text(json.dumps({"page": PAGE, "seed": 1, "pairs": entries}))
    return path


def votes_of(path, votes, voter="", page=PAGE):
    """Votes on pairs 1, 2, ...; one letter each, t: a tie, -: none."""
    words = {"A": "A", "B": "B", "t": "tie"}
    content = {str(k): words[vote] for k, vote in enumerate(votes, 1) if vote != "-"}
    path.write_text(json.dumps({"page": page, "voter": voter, "votes": content}))
    return path


# ---------------------------------------------------------------- shares and intervals


@pytest.mark.parametrize(("won", "n"), [(0, 8), (1, 8), (5, 8), (8, 8), (13, 24), (1, 1)])
def test_with_a_vote_on_each_sound_it_is_wilson_s_interval(won, n):
    expected = stats.binomtest(won, n).proportion_ci(method="wilson")
    assert interval([[1.0]] * won + [[0.0]] * (n - won)) == pytest.approx((expected.low, expected.high))


def test_with_several_votes_on_a_sound_the_sounds_are_sampled_anew():
    """Against all 6^6 equally likely samples of six sounds."""
    of_sounds = [[1.0, 1.0, 0.5], [0.0], [1.0, 0.0], [0.0, 0.0, 0.5, 0.0], [1.0, 1.0], [0.5]]
    means = [np.mean(np.concatenate(some)) for some in itertools.product(of_sounds, repeat=6)]
    expected = np.quantile(means, [0.025, 0.975])
    np.testing.assert_allclose(interval(of_sounds), expected, atol=0.02)


def test_more_votes_on_the_same_sounds_make_no_narrower_interval():
    once = interval([[1.0], [0.0], [1.0], [0.0], [1.0], [1.0], [0.0], [1.0]])
    often = interval([[v] * 20 for v in (1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)])
    assert often[1] - often[0] > 0.8 * (once[1] - once[0])


def test_what_was_always_won_is_not_certain():
    expected = stats.binomtest(4, 4).proportion_ci(method="wilson")
    assert interval([[1.0] * 5] * 4) == pytest.approx((expected.low, 1.0))
    few = stats.binomtest(1, 2).proportion_ci(method="wilson")
    assert interval([[1.0] * 5, [0.0] * 5]) == pytest.approx((few.low, few.high))  # two sounds
    assert all(np.isnan(interval([])))


def test_several_listeners_are_pooled(tmp_path, command):
    x, y, z = (tuple((c, str(k)) for k in range(3)) for c in "xyz")
    key = key_of(tmp_path / "k.json", [(x[0], y[0]), (y[1], x[1]), (z[0], x[2]), (y[2], z[1])])
    files = [votes_of(tmp_path / "1.json", "AABt", "Ann"), votes_of(tmp_path / "2.json", "AB-A")]
    status, out, err = command("votes", key, *files, "--json")
    assert status == 0 and "left out" not in err
    counted = json.loads(out)
    outcomes = {s["condition"]: (s["won"], s["tied"], s["lost"]) for s in counted["standings"]}
    # x: A, A of pair 1; B lost, then B won of pair 2; B of pair 3. y: pair 2 A and lost; pair 4 tie and A.
    assert outcomes == {"x": (4, 0, 1), "y": (2, 1, 3), "z": (0, 1, 2)}
    shares = {s["condition"]: s["share"] for s in counted["standings"]}
    assert shares == pytest.approx({"x": 4 / 5, "y": 2.5 / 6, "z": 0.5 / 3})
    assert [s["condition"] for s in counted["standings"]] == ["x", "y", "z"]
    met = {(m["condition"], m["other"]): (m["won"], m["tied"], m["lost"]) for m in counted["meetings"]}
    assert met == {("x", "y"): (3, 0, 1), ("x", "z"): (1, 0, 0), ("y", "z"): (1, 1, 0)}
    assert (counted["n_listeners"], counted["n_pairs"]) == (2, 4)
    assert err == f"note: {files[1]} voted on 3 of 4 pairs\n" == f"note: {counted['notes'][0]}\n"
    status, out, _ = command("votes", key, *files)
    assert status == 0 and out.startswith("2 listeners, 4 pairs, 7 votes, 1 tie\n")
    assert "x            4     0     1       0.80  " in out and "x against y    3     0     1" in out


def test_a_condition_without_a_vote_is_shown_as_such(tmp_path, command):
    key = key_of(tmp_path / "k.json", [(("x", "1"), ("y", "1")), (("x", "2"), ("z", "1"))])
    file = votes_of(tmp_path / "1.json", "A-")
    status, out, _ = command("votes", key, file)
    assert status == 0 and "z            0     0     0          -  -" in out
    rows = json.loads(command("votes", key, file, "--json")[1])["standings"]
    assert rows[-1] == {"condition": "z", "won": 0, "tied": 0, "lost": 0, "share": None, "low": None, "high": None}


# ---------------------------------------------------------------- listeners and files


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        ("AAAAAAAA", f"ann (FILE) voted A always: {WITHOUT}"),
        ("BBBBBBBB", f"ann (FILE) voted B always: {WITHOUT}"),
        ("AAAAAAtt", f"ann (FILE) voted A in all 6 votes that are no tie: {WITHOUT}"),
        ("tttttttt", "ann (FILE) voted a tie in all 8 pairs"),
        ("AAAAA---", "ann (FILE) voted on 5 of 8 pairs"),
        ("AAAAAAAB", ""),
        ("ABABABAB", ""),
    ],
)
def test_a_listener_whose_votes_do_not_depend_on_the_sounds_is_named(tmp_path, command, votes, said):
    key = key_of(tmp_path / "k.json", [(("x", str(k)), ("y", str(k))) for k in range(8)])
    file = votes_of(tmp_path / "1.json", votes, " Ann ")
    status, _, err = command("votes", key, file)
    assert (status, err) == (0, f"note: {said.replace('FILE', str(file))}\n" if said else "")


def test_what_is_no_vote_of_this_page_is_left_out_and_named(tmp_path, command):
    key = key_of(tmp_path / "k.json", [(("x", "1"), ("y", "1")), (("x", "2"), ("y", "2"))])

    def written(name, content):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    good = votes_of(tmp_path / "1.json", "AB", "Ann")
    whole = good.read_text()
    files = {
        "2.json: it is not of this page": votes_of(tmp_path / "2.json", "AB", page="another"),
        "3.json: ann has voted already": votes_of(tmp_path / "3.json", "AB", "ann"),
        "cut.json is no file of votes": written("cut.json", whole[: len(whole) // 2]),
        '4.json: got "C" for pair 1, expected "A", "B" or "tie" for a pair of 1 to 2': written(
            "4.json", {"page": PAGE, "votes": {"1": "C"}}
        ),
        '5.json: got "A" for pair 3, expected': written("5.json", {"page": PAGE, "votes": {"1": "A", "3": "A"}}),
        "6.json: got 5 for pair 1": written("6.json", {"page": PAGE, "votes": {"1": 5}}),
        "7.json: got [] for pair 1": written("7.json", {"page": PAGE, "votes": {"1": []}}),
        "a name is in it twice": written("8.json", f'{{"page": "{PAGE}", "votes": {{"1": "A", "1": "B"}}}}'),
        "9.json: it holds no votes": written("9.json", {"page": PAGE, "votes": {}}),
        "10.json: the voter is 3; expected a text": written(
            "10.json", {"page": PAGE, "voter": 3, "votes": {"1": "A"}}
        ),
        "11.json is no file of votes: expected an object": written("11.json", "[1]"),
        "none.json cannot be read": tmp_path / "none.json",
        "1.json: it is named twice": good,
    }
    status, out, err = command("votes", key, good, *files.values())
    assert status == 0 and err.count("left out: ") == len(files) and out.startswith("1 listener, 2 pairs, 2 votes, 0")
    for said in files:
        assert said in err, said
    status, _, err = command("votes", key, tmp_path / "2.json")
    assert status == 2 and "no votes to count: " in err and err.count("\n") == 1
    status, _, err = command("votes", key)
    assert status == 2 and "name the files that listeners have sent back" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"page": PAGE, "pairs": {}}, "is the key of no pairs; name the one that `listen` wrote"),
        ({"page": PAGE, "pairs": {"1": {"A": {"condition": "x", "sound": "1", "file": "f"}}}}, "pairs.1.B is missing"),
        ({"page": PAGE, "pairs": [1]}, "is no key of a listening test: pairs is [1]"),
        ({"page": 1, "pairs": {}}, "is no key of a blind page"),
        ({"votes": {}}, "is no key of a blind page, the .key.json that `compare --blind` or `listen` has written"),
    ],
)
def test_a_key_that_is_none(tmp_path, command, content, said):
    (tmp_path / "k.json").write_text(json.dumps(content))
    status, _, err = command("votes", tmp_path / "k.json", votes_of(tmp_path / "1.json", "A"))
    assert status == 2 and said in err and err.count("\n") == 1, err


def test_a_key_of_hostile_names_is_shown_as_text(tmp_path, command):
    key = key_of(tmp_path / "k.json", [(("x\x1b[2J", "1"), ("y\n", "1"))])
    status, out, _ = command("votes", key, votes_of(tmp_path / "1.json", "A", "\x1b[31m"))
    assert status == 0 and "\x1b" not in out and r"x\x1b[2j" in out.casefold()
    assert voting.count(key, [tmp_path / "1.json"]).standings[0].condition == r"x\x1b[2J"
