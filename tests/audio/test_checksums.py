"""Damage that the checksums of a file show, and files that have none."""

import numpy as np
import pytest
import soundfile

from rnnaudio.audio.files import Decoder
from rnnaudio.data.corpus_summary import on_unchecked
from rnnaudio.decoder import flac, ogg
from rnnaudio.decoder.checksums import format_without
from rnnaudio.errors import RnnaudioError
from tests.support.recordings import KINDS, RATE_HZ, tune


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as one:
        yield one


def crc_by_bits(page: bytes) -> bytes:
    """RFC 3533, section 6, a bit at a time: polynomial 0x04C11DB7, from the highest bit, begun with 0."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register.to_bytes(4, "little")


def test_the_checksum_of_a_page_is_that_of_the_rfc():
    rng = np.random.default_rng(0)
    for n in (0, 1, 27, 1000):
        page = rng.bytes(n)
        assert ogg.crc(page) == crc_by_bits(page)


def flipped(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "chained.ogg"])
def test_a_bit_flipped_in_any_page_of_an_ogg_file_is_noticed(tmp_path, decoder, name):
    path = tmp_path / name
    KINDS[name].write(path)
    assert decoder.decode(path).audio.size
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 5, 22, 26, *rng.integers(len(content), size=12)]:
        flipped(path, int(at), int(rng.integers(8)))
        with pytest.raises(RnnaudioError, match=f"{name}: (damaged: |truncated: |not readable as audio)"):
            decoder.read(path)
        path.write_bytes(content)


def test_the_damaged_page_is_named_and_what_follows_the_last_is_not_damage(tmp_path, decoder):
    path = tmp_path / "a.ogg"
    KINDS["a.ogg"].write(path)
    content = path.read_bytes()
    with open(path, "rb") as file, ogg.mapped(file) as mapped:
        third = ogg.pages_of(mapped).pages[2]
    flipped(path, third.stop - 1)
    with pytest.raises(RnnaudioError, match=rf"the checksum of Ogg page 3 of \d+ \(at byte {third.start}\)"):
        decoder.decode(path)
    path.write_bytes(content + b"TAG" + bytes(125))
    assert decoder.decode(path).truncated == ""
    path.write_bytes(content[: third.stop] + b"xx" + content[third.stop :])
    with pytest.raises(RnnaudioError, match=f"the bytes from {third.stop} on are no whole Ogg page"):
        decoder.decode(path)


def test_half_an_ogg_file_is_truncated_not_damaged(tmp_path, decoder):
    path = tmp_path / "a.ogg"
    KINDS["a.ogg"].write(path)
    path.write_bytes(path.read_bytes()[:-3000])
    assert "Ogg page" in decoder.decode(path).truncated


@pytest.mark.parametrize("name", ["a.flac", "streamed.flac", "a.wv"])
def test_a_bit_flipped_in_lossless_sound_is_noticed(tmp_path, decoder, name):
    path = tmp_path / name
    KINDS[name].write(path)
    good, content = decoder.decode(path).audio, path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(len(content) // 10, len(content), size=12):
        flipped(path, int(at), int(rng.integers(8)))
        try:
            assert np.array_equal(decoder.read(path)[0], good)  # a bit of the padding
        except RnnaudioError as error:
            assert "damaged: " in str(error) or "truncated: " in str(error)
        path.write_bytes(content)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_md5_sum_of_flac_is_that_of_its_samples(tmp_path, decoder, subtype, n_channels):
    path = tmp_path / "a.flac"
    audio = np.stack([tune(seed=k) for k in range(n_channels)], axis=1)
    soundfile.write(path, audio, RATE_HZ, subtype=subtype)
    decoded = decoder.decode(path)
    assert decoded.notes == ()
    assert np.array_equal(decoded.audio, soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1))
    flipped(path, 30)  # of the sum itself
    with open(path, "rb") as file:
        assert flac.stated_by(file).n_samples == len(audio)
    wrong = decoder.decode(path)
    assert np.array_equal(wrong.audio, decoded.audio)
    assert wrong.notes == ("it states a wrong MD5 sum; the checksums of all frames are right",)


def test_formats_without_checksums_are_counted_in_one_line(tmp_path):
    names = ["a.aif", "a.mp3", "a.wave", "a.wav", "a.ogg", "a.flac", "a.wv", "sound.mkv"]
    for name in names:
        KINDS["a.wave" if name == "a.wav" else name].write(tmp_path / name)
    assert [format_without(str(tmp_path / name)) for name in names] == ["aiff", "mp3", "wav", "wav", "", "", "", "mkv"]
    assert on_unchecked([tmp_path / name for name in [*names, "gone.wav"]]) == (
        "5 files of formats without checksums (aiff, mkv, mp3, wav): damage inside them cannot be noticed"
    )
    assert on_unchecked([tmp_path / "a.ogg"]) == ""
