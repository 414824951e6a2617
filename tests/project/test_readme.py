"""README.md: its example runs, and it stays short. The tables of the page on listening are those of the records."""

import re
from pathlib import Path

from experiments.studies import listening
from experiments.studies.music import goals
from rnnaudio.data.demo import build_demo_corpus

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def test_the_tables_of_listening_are_those_of_the_records():
    page = next((ROOT / "docs").rglob("listening.md")).read_text(encoding="utf-8")
    records = listening.records()
    for name, figures in records.items():
        assert listening.as_markdown(name, figures) in page
    assert listening.over_seeds(records) in page


def test_figures_over_seeds_are_shown_with_their_interval():
    """Differences of .1, .2, .3: mean .2, deviation .1, Student's t of two degrees of freedom 4.3027."""

    def figures(seed, less):
        row = {"onsets_per_second": 2.0, "loop_score": [0.6], "told_from_codec": 0.9}
        ours = row | {"dead_for_good": 0, "clean_at_60_s": [15, 16], "clean_at_300_s": [12, 16], "in_range": 0.96}
        ours |= {"frechet_ratio": 0.4, "jensen_shannon": 0.3, "told_from_codec": 0.8 - less}
        table = dict.fromkeys(("codec alone", "unseen music", "training music", "bigram chain"), row)
        table["codes"] = ours
        return {
            "settings": {"seed": seed}, "table": table, "times_real_time": 15.0 + 10.0 * less,
            "bits": {"codes": 3.0, "bigram": 4.0, "trigram": 3.1}, "copies": {"codes": {"1 s": 0.03, "2 s": 0.0}},
            "first_sound_seconds": 0.5,
        }  # fmt: skip

    some = {"music": figures(6, 0.1), "music-7": figures(7, 0.2), "music-8": figures(8, 0.3)}
    table = listening.over_seeds(some | {"music-strings": figures(6, 0.0)})
    assert "by how much less than the chain: 0.300 +- 0.248" in table
    assert "| faster than real time | >= 15 | 16 | 17 | 18 | 3 of 3 |" in table
    assert "| copies of 1 s | < .03 | 0.03 | 0.03 | 0.03 | 0 of 3 |" in table
    assert listening.over_seeds({"music": figures(6, 0.1)}) == ""


def test_goals_are_judged_by_the_figures():
    """Figures that just meet what was asked, then each spoilt in turn."""
    row = {"onsets_per_second": 2.0, "loop_score": [0.1, 0.6], "told_from_real": 0.9}
    ours = row | {"dead_for_good": 0, "clean_at_60_s": [15, 16], "clean_at_300_s": [12, 16], "in_range": 0.96}
    ours |= {"frechet_ratio": 0.4, "jensen_shannon": 0.3, "onsets_per_second": 1.7, "told_from_codec": 0.7}
    table = {name: dict(row) for name in ("codec alone", "unseen music", "training music")}
    table |= {"codes": ours, "bigram chain": row | {"told_from_codec": 0.76}}
    figures = {
        "table": table, "bits": {"codes": 3.0, "bigram": 4.0, "trigram": 3.1}, "times_real_time": 15.0,
        "copies": {"codes": {"1 s": 0.029, "2 s": 0.0}}, "first_sound_seconds": 0.5,
    }  # fmt: skip
    assert all(is_met for _, _, is_met in goals(figures).values())
    spoilt = {
        "dead for good": {"dead_for_good": 1}, "clean at 60 s": {"clean_at_60_s": [14, 16]},
        "Frechet ratio": {"frechet_ratio": 0.401}, "Jensen-Shannon divergence": {"jensen_shannon": 0.301},
        "clean at 300 s": {"clean_at_300_s": [11, 16]}, "in range": {"in_range": 0.95},
        "loop score": {"loop_score": [0.61]}, "told from codec, less than the chain": {"told_from_codec": 0.72},
        "onsets / the codec's": {"onsets_per_second": 1.6},
    }  # fmt: skip
    for name, change in spoilt.items():
        missed = goals(figures | {"table": table | {"codes": ours | change}})
        assert [what for what, (_, _, is_met) in missed.items() if not is_met] == [name]
    outside = {
        "copies of 1 s": {"copies": {"codes": {"1 s": 0.03, "2 s": 0.0}}},
        "copies of 2 s": {"copies": {"codes": {"1 s": 0.0, "2 s": 0.001}}},
        "bits below bigram": {"bits": {"codes": 3.1, "bigram": 4.0, "trigram": 3.2}},
        "bits below trigram": {"bits": {"codes": 3.0, "bigram": 4.0, "trigram": 2.9}},
        "faster than real time": {"times_real_time": 14.9}, "first sound, s": {"first_sound_seconds": 0.51},
        "codec's onsets / real": {"table": table | {"unseen music": row | {"onsets_per_second": 2.2}}},
    }  # fmt: skip
    for name, change in outside.items():
        missed = goals(figures | change)
        assert [what for what, (_, _, is_met) in missed.items() if not is_met] == [name]


def test_the_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 119


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    """The code of the file with smaller sizes, in a folder where `make demo` has left its corpus."""
    (tmp_path / "runs/demo").mkdir(parents=True)
    build_demo_corpus(tmp_path / "runs/demo/corpus.h5")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    for written, smaller in (
        ('"n_steps": 32, "batch_size": 16', '"n_steps": 2, "batch_size": 32'),
        ("LSTM(200, 100", "LSTM(200, 3"),
        ("Dense(100", "Dense(3"),
        ("max_updates=20, validate_every=10", "max_updates=2, validate_every=2"),
    ):
        assert written in example
        example = example.replace(written, smaller)
    exec(compile(example, "README.md", "exec"), {})
    assert "the limit of 2 updates is reached" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "runs/library").iterdir()}
    assert made == {"checkpoint.safetensors", "history.jsonl", "played.wav"}
