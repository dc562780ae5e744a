from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from seqsweep.data import AudioClassification
from seqsweep.data.jagged import Jagged
from seqsweep.data.waves import log_mel, mel_bands, read_wave, resampled
from seqsweep.errors import ConfigError, DataError

RATE = 8000
PATTERN = r"(?P<label>[a-z]+)_(?P<group>\d)_\d+\.wav$"


def tone(hertz: float, seconds: float = 0.1, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


def sound(hertz: float = 440, seconds: float = 0.1, rate: int = RATE) -> bytes:
    return wav((tone(hertz, seconds, rate) * 20000).astype(np.int16), rate)


def recordings(count: int = 10) -> dict[str, bytes]:
    """``low/low_3_0.wav``: the class, a speaker of five, a number; each as long as its number says."""
    return {
        f"{label}/{label}_{n % 5}_{n}.wav": sound(hertz, 0.1 + 0.01 * n)
        for label, hertz in (("low", 300), ("high", 2500))
        for n in range(count)
    }


def folder(path: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, raw in (recordings() if files is None else files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return path


def zipped(path: Path, files: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in (recordings() if files is None else files).items():
            archive.writestr(name, raw)
    return path


def load(path: Path, **options: Any) -> AudioClassification:
    return AudioClassification(train=str(path), **({"val_share": 0.2, "test_share": 0.2} | options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options).setup()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def frames(data: AudioClassification) -> list[list[float]]:
    """All frames of all parts, as a sorted list."""
    parts = (data.splits.train, data.splits.val, data.splits.test)
    batches = [part.cut(torch.arange(len(part))) for part in parts]
    return sorted(row.tolist() for batch in batches for row in batch.inputs[batch.mask])


def test_a_folder_and_a_zip_are_read_alike(tmp_path: Path) -> None:
    extra = {"notes.txt": b"hello", "__MACOSX/low/._low_0_0.wav": b"junk"}
    one = load(folder(tmp_path / "own", recordings() | extra))
    two = load(zipped(tmp_path / "own.zip", recordings() | extra))
    assert one.describe() == two.describe() == {"name": "own", "train": 12, "val": 4, "test": 4}
    assert one.spec == two.spec
    assert frames(one) == frames(two)
    spec = one.spec
    assert (spec.kind, spec.input_size, spec.output_size) == ("classification", 40, 2)
    assert (spec.class_names, spec.class_counts) == (("high", "low"), (6, 6))
    assert "8000 samples a second, 40 mel bands" in one.summary()
    assert not any(tmp_path.rglob("own_*"))


def test_scaling_is_learnt_from_the_training_part_alone(tmp_path: Path) -> None:
    silence = {
        f"{label}/{n}.wav": wav(np.zeros(800, np.int16)) for label in ("low", "high") for n in range(2)
    }
    test = folder(tmp_path / "test", silence)
    data = load(folder(tmp_path / "own"), test=str(test), mels=8)
    batch = data.splits.train.cut(torch.arange(len(data.splits.train)))
    rows = batch.inputs[batch.mask]
    torch.testing.assert_close(rows.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(8), atol=1e-4, rtol=0)
    assert data.splits.test.cut(torch.arange(4)).inputs.mean() < -1


def test_no_speaker_is_in_two_parts(tmp_path: Path) -> None:
    path = folder(tmp_path / "own")
    data = load(path, split_by="group", label_pattern=PATTERN)
    records = data.read(path)
    divided = data.divided({"train": records})
    speakers = [set(divided[part].groups or ()) for part in ("train", "val", "test")]
    assert [len(names) for names in speakers] == [3, 1, 1]
    assert set.union(*speakers) == set("01234")
    assert sorted(name for part in divided.values() for name in part.where) == sorted(records.where)


def test_a_pattern_says_which_are_the_test(tmp_path: Path) -> None:
    path = zipped(tmp_path / "own.zip")
    data = load(path, test_pattern=r"_[0-3]\.wav$", label_pattern=PATTERN)
    assert data.describe() == {"name": "own", "train": 10, "val": 2, "test": 8}
    records = data.read(path)
    assert all(name[-5] in "0123" for name in data.divided({"train": records})["test"].where)
    assert "found in every recording" in refusal(path, test_pattern="wav")
    assert "found in no recording" in refusal(path, test_pattern="mp3")


@pytest.mark.parametrize(
    ("samples", "tolerance"),
    [
        ((tone(440) * 127 + 128).astype(np.uint8), 0.02),
        ((tone(440) * 32767).astype(np.int16), 1e-4),
        ((tone(440) * (2**31 - 1)).astype(np.int32), 1e-6),
        (tone(440).astype(np.float32), 1e-6),
        (np.stack([tone(440) * 2, tone(440) * 0], axis=1).astype(np.float32), 1e-6),
    ],
)
def test_any_depth_of_samples_is_the_same_sound(samples: np.ndarray, tolerance: float) -> None:
    rate, wave = read_wave("here", wav(samples))
    assert rate == RATE
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, tone(440), atol=tolerance)


def test_frames_by_hand() -> None:
    wave = tone(1000, 0.1).astype(np.float32)
    made = log_mel(wave, RATE, frame_ms=25, hop_ms=10, mels=40)
    assert made.shape == (1 + (800 - 200) // 80, 40)
    windowed = wave[80:280] * np.hanning(200)
    power = np.abs(np.fft.fft(windowed, 512)[:257]) ** 2
    expected = np.log(np.maximum(power @ mel_bands(RATE, 512, 40), 1e-10))
    np.testing.assert_allclose(made[1], expected, atol=1e-3)
    assert log_mel(wave[:50], RATE, 25, 10, 40).shape == (1, 40)  # shorter than a frame
    assert np.allclose(log_mel(np.zeros(200, np.float32), RATE, 25, 10, 40), np.log(1e-10))


def test_bands_overlap_to_one_between_the_first_and_last_peaks() -> None:
    bands = mel_bands(16000, 4096, 20)
    peaks = bands.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    np.testing.assert_allclose(bands[peaks[0] + 1 : peaks[-1]].sum(axis=1), 1, atol=1e-9)


def test_a_tones_band_rises_with_it() -> None:
    loudest = [int(log_mel(tone(f), RATE, 25, 10, 40).mean(0).argmax()) for f in (200, 500, 1000, 2000, 3500)]
    assert loudest == sorted(set(loudest))


def test_recordings_are_resampled_if_asked(tmp_path: Path) -> None:
    files = recordings() | {"low/fast.wav": sound(300, rate=16000)}
    path = folder(tmp_path / "own", files)
    message = refusal(path)
    assert message.startswith(", low/fast.wav: 16000 samples a second, where high/high_0_0.wav has 8000")
    assert "data.sample_rate=8000" in message
    assert load(path, sample_rate=8000).describe()["train"] == 13
    half = resampled(tone(300, rate=16000).astype(np.float32), 16000, 8000)
    np.testing.assert_allclose(half[50:-50], tone(300)[50:-50], atol=0.01)


def test_what_is_predicted_is_written_with_its_file(tmp_path: Path) -> None:
    data = load(folder(tmp_path / "own"))
    alone = folder(tmp_path, {"one.wav": sound(300)}) / "one.wav"
    records, examples = data.unlabelled(alone)
    assert (len(records), len(examples)) == (1, 1)
    out = io.StringIO()
    data.write(records, [{"class": 1, "probabilities": [0.25, 0.75]}], out)
    assert out.getvalue() == "file,class,probability_high,probability_low\none.wav,low,0.25,0.75\n"
    fast = folder(tmp_path, {"fast.wav": sound(300, rate=16000)}) / "fast.wav"
    with pytest.raises(DataError, match="16000 samples a second, where training has 8000"):
        data.unlabelled(fast)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, ": holds no WAV files"),
        ({"notes.txt": b""}, ": holds no WAV files"),
        ({"a/1.wav": b""}, ", a/1.wav: not a whole WAV file"),
        ({"a/1.wav": b"RIFF"}, ", a/1.wav: not a whole WAV file"),
        ({"a/1.wav": b"<html>no such file</html>" * 9}, ", a/1.wav: not a whole WAV file"),
        ({"a/1.wav": sound()[:-101]}, ", a/1.wav: not a whole WAV file"),
        ({"a/1.wav": sound()[:30]}, ", a/1.wav: not a whole WAV file"),
        ({"a/1.wav": wav(np.zeros(0, np.int16))}, ", a/1.wav: holds no samples"),
        ({"a/1.wav": wav(np.array([0, np.nan], np.float32))}, ", a/1.wav: sample 1 is no finite number"),
        ({"a/1.wav": wav(np.array([0, np.inf], np.float32))}, ", a/1.wav: sample 1 is no finite number"),
        ({"1.wav": sound()}, ", 1.wav: is in no folder whose name could be its class"),
        ({f"a/{n}.wav": sound() for n in range(9)}, ": 'a' is the only class"),
        ({"a/1.wav": sound(), "b/1.wav": sound()}, ": 2 examples are too few"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_bad_input_is_refused_with_its_file(
    tmp_path: Path, form: str, files: dict[str, bytes], message: str
) -> None:
    if form == "folder":
        (tmp_path / "bad").mkdir()
        path = folder(tmp_path / "bad", files)
    else:
        path = zipped(tmp_path / "bad.zip", files)
    assert refusal(path).startswith(message)


@pytest.mark.parametrize(
    "name", ["../a/1.wav", "/etc/1.wav", "a/../../1.wav", "..\\a\\1.wav", "C:\\a\\1.wav", "../x"]
)
def test_a_zip_whose_paths_lead_out_is_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "bad.zip", recordings() | {name: sound()})
    assert refusal(path).startswith(f": holds '{name}', a path that leads out of the zip")


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "own.zip").read_bytes()
    path = tmp_path / "bad.zip"
    path.write_bytes(whole[:-100])
    assert refusal(path).startswith(": not a whole zip file")
    at = whole.index(b"data") + 60
    path.write_bytes(whole[:at] + b"\xff\x00\xff" + whole[at + 3 :])
    assert refusal(path).startswith(": not a whole zip file (Bad CRC-32 for file 'low/low_0_0.wav')")
    path.write_bytes(b"")
    assert refusal(path).startswith(": not a whole zip file")
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert refusal(text).startswith(": expected a folder or a zip of WAV files")


def test_other_bad_input_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "own")
    assert ", high/high_0_0.wav: 8 steps, more than data.max_length=3" in refusal(path, max_length=3)
    assert load(path, max_length=3, too_long="cut").spec.max_length == 3
    assert "data.label_pattern=(?P<label>low) finds no label" in refusal(path, label_pattern="(?P<label>low)")
    test = folder(tmp_path / "test", {"middle/1.wav": sound()})
    with pytest.raises(DataError, match=r"test, middle/1.wav: 'middle' is not a class of the training part"):
        load(path, test=str(test)).setup()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = folder(tmp_path / "own")
    assert load(path).describe()["train"] == 12
    folder(path, recordings(20))
    assert load(path).describe()["train"] == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_pattern": "("}, "label_pattern=\\(: not a regular expression"),
        ({"label_pattern": "a"}, "label_pattern=a: expected a group"),
        ({"split_by": "group"}, "split_by=group: expected a data.label_pattern"),
        (
            {"split_by": "group", "label_pattern": "(?P<label>a)"},
            "split_by=group: expected a data.label_pattern",
        ),
        ({"test_pattern": "a", "test": "x"}, "test_pattern=a: expected null"),
        ({"frame_ms": 0}, "frame_ms=0: expected a number above 0"),
        ({"hop_ms": -1}, "hop_ms=-1: expected a number above 0"),
        ({"mels": 0}, "mels=0: expected an integer"),
        ({"sample_rate": 0}, "sample_rate=0: expected an integer"),
        ({"scale": "x"}, "scale=x: expected one of"),
        ({"split_by": "time"}, "split_by=time: expected one of row, group"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AudioClassification(train="x", **options)


SPOKEN: dict[str, Any] = {
    "dataset": "fsdd",
    "train": "recordings.zip",
    "label_pattern": r"^(?P<label>\d)_(?P<group>[a-z]+)_",
}


@pytest.mark.real
def test_spoken_digits(real_data: Path) -> None:
    began = time.process_time()
    data = AudioClassification(root=real_data, test_pattern=r"_[0-4]\.wav$", **SPOKEN)
    assert data.describe() == {"name": "fsdd", "train": 2430, "val": 270, "test": 300}
    assert time.process_time() - began < 30
    assert data.spec.class_counts == (243,) * 10
    speakers = AudioClassification(
        root=real_data, split_by="group", val_share=0.17, test_share=0.17, **SPOKEN
    )
    assert speakers.describe() == {"name": "fsdd", "train": 2000, "val": 500, "test": 500}


def test_each_recording_may_be_scaled_by_itself(tmp_path: Path) -> None:
    data = load(zipped(tmp_path / "own.zip"), scale="recording")
    part = data.splits.train
    assert isinstance(part.inputs, Jagged)
    for start, length in zip(part.inputs.starts, part.inputs.lengths, strict=True):
        own = part.inputs.values[start : start + length]
        torch.testing.assert_close(own.mean(dim=0), torch.zeros(data.mels), rtol=0, atol=1e-4)
        assert own.std(dim=0, correction=0).max() < 1.01
