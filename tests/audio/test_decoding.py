"""Files of every kind that people have, read to their true length and with their true sound."""

import numpy as np
import pytest

from rnnaudio.audio.files import Decoder, read_audio
from rnnaudio.decoder import decode
from rnnaudio.decoder.mixing import Block, cancelling, mixed
from rnnaudio.errors import RnnaudioError
from tests.support.recordings import KINDS, RATE_HZ, SECONDS, encode, tune


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as one:
        yield one


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_whole(tmp_path, decoder, name):
    kind = KINDS[name]
    kind.write(tmp_path / name)
    decoded = decoder.decode(tmp_path / name, RATE_HZ)
    assert decoded.truncated == ""
    assert decoded.audio.size / RATE_HZ == pytest.approx(kind.seconds, abs=kind.tolerance + 1e-4)
    assert len(decoded.notes) == bool(kind.note)
    assert all(kind.note in note for note in decoded.notes)
    # The sound, wherever the codec puts its start: the largest correlation over the places allowed.
    n, expected = round(SECONDS * RATE_HZ), tune()
    for start in range(0, round(kind.seconds * RATE_HZ), n):
        part = decoded.audio[start : start + n]
        product = np.fft.irfft(np.fft.rfft(part, 2 * n) * np.conj(np.fft.rfft(expected, 2 * n)))
        n_lag = round(kind.tolerance * RATE_HZ) + 1
        most = np.abs(np.roll(product, n_lag)[: 2 * n_lag + 1]).max()
        assert most / (np.linalg.norm(part) * np.linalg.norm(expected)) > 0.97


@pytest.mark.parametrize(
    "name", ["a.aif", "a.caf", "a.wave", "a.flac", "a.ogg", "a.opus", "a.m4a", "a.wma", "a.mp3", "sound.mkv",
             "chained.ogg"]
)  # fmt: skip
def test_the_stated_length_is_known_without_decoding(tmp_path, decoder, name):
    KINDS[name].write(tmp_path / name)
    assert decoder.stated_seconds(tmp_path / name) == pytest.approx(KINDS[name].seconds, abs=0.2)


def test_a_file_that_is_no_sound_states_no_length(tmp_path, decoder):
    (tmp_path / "a.wav").write_text("Dear diary")
    assert decoder.stated_seconds(tmp_path / "a.wav") is None is decoder.stated_seconds(tmp_path / "none.wav")
    KINDS["a.aif"].write(tmp_path / "a.aif")
    assert decoder.decode(tmp_path / "a.aif").audio.size  # the process goes on


@pytest.mark.parametrize(
    "name", ["a.aif", "a.au", "a.caf", "a.flac", "a.wv", "a.opus", "a.mp3", "sound.mkv", "streamed.flac"]
)
def test_half_a_file_is_truncated_or_damaged(tmp_path, decoder, name):
    KINDS[name].write(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    decoded = decoder.decode(tmp_path / name)
    assert 0.3 < decoded.audio.size / decoded.sample_rate_hz / SECONDS < 0.6
    assert decoded.truncated
    with pytest.raises(RnnaudioError, match=f"{name}: truncated: "):
        read_audio(tmp_path / name)


def test_a_silent_video_is_refused(tmp_path, decoder):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for packet in (*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)):
            output.mux(packet)
    with pytest.raises(RnnaudioError, match=r"a.mp4: the file has no sound"):
        decoder.decode(tmp_path / "a.mp4")


def test_a_playlist_opens_no_other_file(tmp_path, decoder):
    encode(str(tmp_path / "secret.aac"), tune(1.0), "aac", "adts")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", str(tmp_path / "secret.aac"), "#EXT-X-ENDLIST"]
    (tmp_path / "a.m3u8").write_text("\n".join(lines))
    (tmp_path / "a.ffconcat").write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'secret.aac'}'\n")
    for name in ("a.m3u8", "a.ffconcat"):
        with pytest.raises(RnnaudioError, match="not readable as audio"):
            decoder.decode(tmp_path / name)


def blocks(samples, rate_hz=8000):
    return [Block(part.astype(np.float32), rate_hz) for part in np.array_split(samples, 3)]


GAINS = {
    "equal": ([1.0, 1.0], None),
    "one of two": ([1.0, 0.0], None),
    "one of six": ([0.0, 0.0, 0.0, 0.0, 1.0, 0.0], None),
    "partly opposite": ([1.0, -0.5], None),
    "opposite": ([1.0, -1.0], 0),
    "nearly opposite": ([-1.0, 1.02], 1),
    "two of three opposite": ([0.1, 1.0, -1.0], 1),
}


@pytest.mark.parametrize(("gains", "cancels"), GAINS.values(), ids=GAINS)
def test_channels_cancel_only_in_opposite_phase(gains, cancels):
    found = mixed(blocks(np.outer(tune(1.0), gains)), None)
    assert cancelling(found) == cancels


def test_independent_channels_do_not_cancel():
    noise = np.random.default_rng(0).standard_normal((8000, 6))
    assert cancelling(mixed(blocks(noise), None)) is None
    whole = mixed(blocks(noise), None)
    np.testing.assert_allclose(whole.energies, (noise**2).sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(whole.energy_of_mean, (noise.mean(axis=1) ** 2).sum(), rtol=1e-5)


def test_a_change_of_the_rate_within_a_file_is_resampled_away():
    slow, fast = tune(1.0, 8000), tune(1.0, 16_000)
    found = mixed([Block(slow[:, None], 8000), Block(fast[:, None], 16_000)], None)
    audio = np.concatenate(found.blocks)
    assert found.sample_rate_hz == 8000 and found.seconds == 2.0 and found.n_read == 24_000
    assert audio.size == 16_000
    assert np.corrcoef(audio[8000:], slow)[0, 1] > 0.99


def test_a_sphere_file_without_samples_is_not_tried_elsewhere(tmp_path, monkeypatch):
    """FFmpeg ignores the lengths in the header of SPHERE: only libsndfile may read it."""
    fields = "sample_count -i 0\nchannel_count -i 1\nsample_n_bytes -i 2\nsample_rate -i 8000\nsample_sig_bits -i 16\n"
    header = f"NIST_1A\n   1024\n{fields}sample_byte_format -s2 01\nsample_coding -s3 pcm\nend_head\n"
    (tmp_path / "a.wav").write_bytes(header.encode().ljust(1024))
    monkeypatch.setattr(decode.ffmpeg, "Source", lambda *_: pytest.fail("FFmpeg was tried"))
    with pytest.raises((decode.Unusable, decode.libsndfile.LibsndfileError)) as error:
        decode.decode(str(tmp_path / "a.wav"), None)
    assert "the file holds no samples: remove it" in str(error.value)


DAMAGED = {"cut off": b".snd\0\0", "offset beyond the end": b".snd\0\0\xff\0" + bytes(20)}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_header_of_an_au_file_is_one_line(tmp_path, content):
    (tmp_path / "a.au").write_bytes(content)
    with pytest.raises(RnnaudioError, match=r"a\.au: (?!.*-\d)"):
        read_audio(tmp_path / "a.au")
