"""Sound as numbers: WAV files read from a folder or a zip, and their log-mel frames."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from seqsweep.data import files
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIETEST = 1e-10
"""The least energy of a band: what is silent has a logarithm too."""
SMALLEST_TRANSFORM = 512
"""Points of a frame's Fourier transform, at least: the lowest bands of 8,000 samples a second are narrow."""


def recordings(path: Path) -> Iterator[tuple[str, bytes]]:
    """The WAV files of a folder or a zip, or the one file, in the order of their names: name and bytes.

    A zip is read where it is and never unpacked.

    Raises:
        DataError: there are none, or the zip is not whole or has names that lead out of it.

    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _is_recording(str(file.relative_to(path))))
        yield from ((file.relative_to(path).as_posix(), files.read_bytes(file)) for file in found)
    elif path.suffix.lower() == ".zip":
        yield from _zipped(path)
    elif path.suffix.lower() == ".wav":
        yield path.name, files.read_bytes(path)
    else:
        raise DataError(f"{path}: expected a folder or a zip of WAV files, or a WAV file")


def read_wave(place: str, raw: bytes) -> tuple[int, np.ndarray]:
    """Samples a second, and the samples (time,) float32 from -1 to 1, channels averaged.

    Raises DataError, which begins with `place`, for what is no whole WAV file of numbers, or an empty one.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", message="Chunk .non-data. not understood")
            rate, samples = wavfile.read(io.BytesIO(raw))
    except (ValueError, EOFError, struct.error, ZeroDivisionError, wavfile.WavFileWarning) as error:
        raise DataError(f"{place}: not a whole WAV file ({str(error).strip('.')})") from error
    except UnboundLocalError as error:  # scipy's own, where a part that it needs is missing
        raise DataError(f"{place}: not a whole WAV file (its format or its samples are missing)") from error
    if samples.size == 0:
        raise DataError(f"{place}: holds no samples")
    if samples.dtype == np.uint8:  # 8-bit samples alone have no sign
        wave = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        wave = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    else:
        wave = samples.astype(np.float32)
    if not np.isfinite(wave).all():
        raise DataError(f"{place}: sample {int(np.argmin(np.isfinite(wave).ravel())):,} is no finite number")
    return rate, wave if wave.ndim == 1 else wave.mean(axis=1)


def resampled(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The same sound with `wanted` samples a second."""
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return np.asarray(resample_poly(wave, wanted // common, rate // common), np.float32)


def log_mel(wave: np.ndarray, rate: int, frame_ms: float, hop_ms: float, mels: int) -> np.ndarray:
    """The logarithm of the energy in each mel band of each frame, frames x mels float32.

    A frame is `frame_ms` long under a Hann window, a new one begins every `hop_ms`; what
    is left after the last whole one is dropped, and a shorter sound is filled up with silence to one.
    The bands are triangles, evenly placed from 0 to half the sample rate on the scale
    ``2595 log10(1 + f / 700)`` (O'Shaughnessy 1987).
    """
    frame, hop = (max(1, round(rate * ms / 1000)) for ms in (frame_ms, hop_ms))
    filled = np.pad(wave, (0, max(0, frame - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(filled, frame)[::hop]  # frames x samples
    points = max(SMALLEST_TRANSFORM, 2 ** math.ceil(math.log2(frame)))
    spectrum = np.fft.rfft(frames * np.hanning(frame).astype(np.float32), points)  # frames x frequencies
    energies = (spectrum.real**2 + spectrum.imag**2) @ mel_bands(rate, points, mels)
    logarithms: np.ndarray = np.log(np.maximum(energies, QUIETEST)).astype(np.float32)
    return logarithms


@lru_cache(maxsize=8)
def mel_bands(rate: int, points: int, mels: int) -> np.ndarray:
    """The weight of each frequency of a transform of so many points in each band, frequencies x mels."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)  # in hertz
    frequencies = np.linspace(0, rate / 2, points // 2 + 1)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for name in names:
                _refuse_outside(path, name)
            for name in sorted(name for name in names if _is_recording(name)):
                yield name, archive.read(name)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole zip file ({error}); get it again") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, an uncommon compression
        raise DataError(f"{path}: cannot be unpacked ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _refuse_outside(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or parts[:1] == ("/",) or (parts and parts[0].endswith(":")):
        raise DataError(f"{path}: holds '{name}', a path that leads out of the zip; nothing was read")


def _is_recording(name: str) -> bool:
    """Whether the name is a WAV file's; macOS's own notes beside them are not."""
    pure = PurePosixPath(name)
    return pure.suffix.lower() == ".wav" and not pure.name.startswith("._") and "__MACOSX" not in pure.parts
