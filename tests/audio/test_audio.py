"""Audio files: decoding checked against closed forms and against what was written, and every kind of bad file."""

import errno
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import files as audio_module
from rnnaudio.audio.files import Decoder, read_audio, resample, trim_silence, write_wav
from rnnaudio.errors import RnnaudioError


@pytest.fixture(scope="module")
def shared_decoder():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def read(shared_decoder):
    """`read_audio`, but with one process for all the tests."""
    return shared_decoder.read


def sine(frequency_hz: float, seconds: float, rate_hz: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def test_a_written_file_reads_back_to_the_nearest_16_bit_value(tmp_path):
    audio = np.random.default_rng(0).uniform(-0.99, 0.99, 5000).astype(np.float32)
    assert write_wav(tmp_path / "a.wav", audio, 16_000) == 0
    back, rate_hz = read_audio(tmp_path / "a.wav")
    assert rate_hz == 16_000 and back.dtype == np.float32
    assert np.array_equal(back, np.round(audio.astype(float) * 32768) / 32768)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 5000)


def test_write_clips_instead_of_wrapping_and_counts(tmp_path, read):
    assert write_wav(tmp_path / "a.wav", np.array([2.0, -1.5, 1.0, -1.0, 0.25]), 8000) == 2
    assert read(tmp_path / "a.wav")[0].tolist() == [32767 / 32768, -1.0, 32767 / 32768, -1.0, 0.25]


@pytest.mark.parametrize("bad", [[0.0, np.nan], [np.inf], [], [[0.0, 0.1]]])
def test_write_refuses_what_is_no_audio_and_keeps_the_earlier_file(tmp_path, bad):
    write_wav(tmp_path / "a.wav", np.zeros(10), 8000)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(RnnaudioError, match="a.wav"):
        write_wav(tmp_path / "a.wav", np.array(bad), 8000)
    assert (tmp_path / "a.wav").read_bytes() == before


def test_write_with_no_space_left_keeps_the_earlier_file(tmp_path, monkeypatch):
    write_wav(tmp_path / "a.wav", np.zeros(10), 8000)
    before = (tmp_path / "a.wav").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "any text")

    monkeypatch.setattr(wave.Wave_write, "writeframes", full)
    with pytest.raises(RnnaudioError, match="No space left on device"):
        write_wav(tmp_path / "a.wav", np.ones(10), 8000)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.wav"]


def test_write_into_a_missing_folder_names_it(tmp_path):
    with pytest.raises(RnnaudioError, match="nowhere.*No such file"):
        write_wav(tmp_path / "nowhere" / "a.wav", np.zeros(10), 8000)


def test_stereo_44100_becomes_the_mean_at_16000(tmp_path, read):
    left, right = sine(440, 1.0, 44_100, 0.6), sine(1000, 1.0, 44_100, 0.2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    audio, rate_hz = read(tmp_path / "a.wav", 16_000)
    expected = sine(440, 1.0, 16_000, 0.3) + sine(1000, 1.0, 16_000, 0.1)
    assert rate_hz == 16_000 and audio.shape == (16_000,)
    assert np.abs(audio - expected)[800:-800].max() < 1e-4  # the ends see the silence around the file


def test_eight_bit(tmp_path, read):
    audio = sine(300, 0.2, 8000)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes((np.round(audio * 128) + 128).astype(np.uint8).tobytes())  # unsigned, 128 is zero
    back, _ = read(tmp_path / "a.wav")
    assert np.array_equal(back, np.round(audio * 128) / 128)


def test_flac_24_bit_is_exact_and_lossy_formats_are_near(tmp_path, read):
    audio = sine(440, 1.0, 44_100)
    soundfile.write(tmp_path / "a.flac", audio, 44_100, subtype="PCM_24")
    assert np.abs(read(tmp_path / "a.flac")[0] - audio).max() < 2**-23
    for name in ("a.ogg", "a.mp3"):
        soundfile.write(tmp_path / name, audio, 44_100)
        back, rate_hz = read(tmp_path / name)
        assert rate_hz == 44_100 and back.size == audio.size
        assert np.corrcoef(back, audio)[0, 1] > 0.999


@pytest.mark.parametrize("peak", [1.05, 2.0, 20_000.0])
def test_a_float_file_above_full_scale_is_divided_by_its_peak(tmp_path, shared_decoder, peak):
    soundfile.write(tmp_path / "a.wav", peak * np.array([1.0, -0.75, 0.5]), 8000, subtype="FLOAT")
    decoded = shared_decoder.decode(tmp_path / "a.wav")
    np.testing.assert_allclose(decoded.audio, [1.0, -0.75, 0.5], rtol=1e-6)
    assert list(decoded.notes) == (
        [] if peak == 1.05 else [f"samples reach {peak:g}, expected -1 to 1: divided by that"]
    )


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.wav", {"format": "RF64"}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.ogg", {"subtype": "OPUS"}),
        ("a.mp3", {}),
    ],
)
def test_truncated_files_are_refused(tmp_path, read, name, options, share):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 48_000, 2))
    soundfile.write(tmp_path / name, noise, 48_000, **options)
    assert read(tmp_path / name)[0].size == 3 * 48_000
    with pytest.raises(RnnaudioError, match=rf"{name}: (truncated|not readable)"):
        read(cut(tmp_path / name, share))


def test_an_ogg_file_cut_between_two_pages_is_refused(tmp_path, read):
    soundfile.write(tmp_path / "a.ogg", np.random.default_rng(0).uniform(-0.5, 0.5, 48_000), 48_000)
    content = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(content[: content.rindex(b"OggS")])
    with pytest.raises(RnnaudioError, match=r"a.ogg: truncated"):
        read(tmp_path / "a.ogg")


def test_a_wav_file_from_a_pipe_states_no_length_and_is_read(tmp_path, read):
    write_wav(tmp_path / "a.wav", np.full(1000, 0.5), 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(content)
    assert read(tmp_path / "a.wav")[0].tolist() == [0.5] * 1000


def test_an_mp3_file_without_a_stated_length_is_read_whole(tmp_path, read):
    rising = np.concatenate([np.zeros(441_000), np.random.default_rng(0).uniform(-0.5, 0.5, 441_000)])
    for name, audio in (("rising.mp3", rising), ("falling.mp3", rising[::-1])):
        soundfile.write(tmp_path / name, audio, 44_100, bitrate_mode="VARIABLE", compression_level=0.5)
        content = (tmp_path / name).read_bytes()
        second_frame = content.index(content[:2], content.index(b"Xing"))
        (tmp_path / name).write_bytes(content[second_frame:])
        assert read(tmp_path / name)[0].size == pytest.approx(882_000, abs=3 * 1152)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_samples_are_refused(tmp_path, read, value):
    audio = np.zeros(1000)
    audio[500] = value
    soundfile.write(tmp_path / "a.wav", audio, 8000, subtype="FLOAT")
    with pytest.raises(RnnaudioError, match=r"a.wav: 1 of 1000 samples are NaN or infinite"):
        read(tmp_path / "a.wav")


def test_text_renamed_wav(tmp_path, read):
    (tmp_path / "a.wav").write_text("Dear diary, " * 100)
    with pytest.raises(RnnaudioError, match=r"a.wav: not readable as audio .*expected"):
        read(tmp_path / "a.wav")


def test_what_is_no_file_or_empty(tmp_path, read):
    with pytest.raises(RnnaudioError, match="a.wav: no such file"):
        read(tmp_path / "a.wav")
    with pytest.raises(RnnaudioError, match="a folder or device"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(RnnaudioError, match="a folder or device"):
        read(tmp_path / "pipe.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(RnnaudioError, match="empty.wav: the file is empty"):
        read(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    with pytest.raises(RnnaudioError, match="none.wav: the file holds no samples"):
        read(tmp_path / "none.wav")


def test_no_permission(tmp_path, monkeypatch):
    write_wav(tmp_path / "a.wav", np.zeros(10), 8000)

    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)  # root may read everything, so the mode of the file would not do
    with pytest.raises(RnnaudioError, match="a.wav.*Permission denied"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate_hz", [0, -1, 16_000.0])
def test_impossible_rates(tmp_path, read, rate_hz):
    write_wav(tmp_path / "a.wav", np.zeros(10), 8000)
    with pytest.raises(RnnaudioError, match="sample rate: got"):
        read(tmp_path / "a.wav", rate_hz)


@pytest.mark.parametrize("rates", [(0, 8000), (8000, 0), (-8000, 8000), (8000, -8000), (8000.0, 8000), (8000, 8e3)])
def test_resampling_from_or_to_impossible_rates(rates):
    with pytest.raises(RnnaudioError, match="sample rate: got"):
        resample(np.zeros(100, np.float32), *rates)


@pytest.mark.parametrize("misdeed", ["time.sleep(60)", "os.abort()", "print('{')", "print('{\"n_samples\": 9}')"])
def test_a_decoder_that_hangs_or_dies_is_replaced(tmp_path, monkeypatch, misdeed):
    write_wav(tmp_path / "a.wav", np.full(10, 0.5), 8000)
    (tmp_path / "bad.py").write_text(f"import os, time\nos.read(0, 1)\n{misdeed}\n")
    with Decoder(time_limit_s=1.0) as decoder:
        with monkeypatch.context() as patch:
            patch.setattr(audio_module, "DECODER", (sys.executable, str(tmp_path / "bad.py")))
            with pytest.raises(RnnaudioError, match="a.wav: the audio decoder crashed or took longer than 1 s"):
                decoder.read(tmp_path / "a.wav")
        assert decoder.read(tmp_path / "a.wav")[0].tolist() == [0.5] * 10


def test_one_process_decodes_many_files_and_survives_a_bad_one(tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    with Decoder() as decoder:
        processes = set()
        for number in range(1, 6):
            write_wav(tmp_path / "a.wav", np.full(number * 1000, number / 8), 8000)
            assert decoder.read(tmp_path / "a.wav")[0].tolist() == [number / 8] * (number * 1000)
            with pytest.raises(RnnaudioError):
                decoder.read(tmp_path / "bad.wav")
            processes.add(decoder._process.pid)
    assert len(processes) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(processes.pop(), 0)


def test_reading_needs_no_main_guard(tmp_path):
    write_wav(tmp_path / "a.wav", np.full(7, 0.5), 8000)
    script = tmp_path / "script.py"
    script.write_text("from rnnaudio.audio.files import read_audio\nprint(read_audio('a.wav')[0].sum())\n")
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(audio_module.__file__).parents[2])},
    )
    assert result.stdout == "3.5\n", result.stderr


def test_trim_silence_cuts_both_ends_to_the_frame():
    rate_hz, n_frame = 16_000, 320
    audio = np.zeros(20 * n_frame, np.float32)
    audio[5 * n_frame + 7] = 0.5  # in frame 5
    audio[8 * n_frame - 1] = -0.5  # in frame 7
    audio[12 * n_frame] = 0.5 * 10 ** (-61 / 20)  # too soft to count
    assert np.array_equal(trim_silence(audio, rate_hz), audio[5 * n_frame : 8 * n_frame])
    assert np.array_equal(trim_silence(audio, rate_hz, threshold_db=-62), audio[5 * n_frame : 13 * n_frame])
    assert trim_silence(np.zeros(1000, np.float32), rate_hz).size == 0
    assert trim_silence(np.ones(333, np.float32), rate_hz).size == 333
