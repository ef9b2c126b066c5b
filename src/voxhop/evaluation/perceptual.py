"""Measures that stand in for listeners: AECMOS, DNSMOS, PLCMOS, PESQ, ESTOI.

The models come with the PyPI packages `speechmos`, `pesq` and `pystoi` (extra ``[eval]``).
They run here on one thread, so that scores do not depend on the number of cores.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy.typing as npt

    Array = npt.NDArray[Any]

RATE: Final = 16_000
AECMOS_LONGEST: Final = 20 * RATE  # the model hears no more than this
_PLCMOS_SEED: Final = 0


def aecmos(talk: str | None, ref: Array, mic: Array, out: Array) -> tuple[float, float]:
    """Return AECMOS (echo, degradation), each 1 to 5, of the first 20 s.

    Parameters
    ----------
    talk
        ``st``, ``dt`` or ``nst`` for the scenario-aware model; None for the older one, which
        is told nothing.
    ref, mic, out
        Aligned, equally long, 16 kHz.
    """
    name = "aecmos_16kHz" if talk else "aecmos_scenarioless_16kHz"
    signals = {"lpb": ref, "mic": mic, "enh": out}
    scores = _aecmos_model(name)(
        {key: _unit(signal[:AECMOS_LONGEST]) for key, signal in signals.items()}, talk
    )
    return float(scores["echo_mos"]), float(scores["deg_mos"])


def dnsmos(out: Array) -> dict[str, float]:
    """Return DNSMOS P.835 ``ovrl``, ``sig``, ``bak`` and P.808 ``p808``, each 1 to 5."""
    scores = _dnsmos_model()(_unit(out), RATE, is_personalized_MOS=False)
    return {key: float(scores[f"{key}_mos"]) for key in ("ovrl", "sig", "bak", "p808")}


def plcmos(out: Array) -> float:
    """Return PLCMOS (version 2), 1 to 5: how broken up the signal sounds."""
    # The model averages over raters that it draws from numpy's global generator.
    state = np.random.get_state()  # noqa: NPY002 - the package uses the legacy generator
    np.random.seed(_PLCMOS_SEED)  # noqa: NPY002 - the same
    try:
        return float(_plcmos_model()(_unit(out))["plcmos"])
    finally:
        np.random.set_state(state)  # noqa: NPY002 - the same


def pesq_wb(target: Array, out: Array) -> float | None:
    """Return wide-band PESQ (P.862.2), 1.0 to 4.6; None where it hears no utterance."""
    package = _need("pesq")
    try:
        return float(package.pesq(RATE, _unit(target), _unit(out), "wb"))
    except (package.PesqError, ZeroDivisionError, ValueError):
        return None


def estoi(target: Array, out: Array) -> float:
    """Return extended STOI, about 0 to 1: how intelligible the output is."""
    return float(_need("pystoi").stoi(target, out, RATE, extended=True))


def check_installed() -> None:
    """Raise `ArgumentError` with the one command that helps when a package is missing."""
    for name in ("speechmos", "onnxruntime", "librosa", "pesq", "pystoi"):
        _need(name)


def versions() -> dict[str, str]:
    """Return the versions of the packages that score, for the record."""
    from importlib import metadata  # noqa: PLC0415 - slow to import

    names = ("speechmos", "onnxruntime", "librosa", "pesq", "pystoi", "numpy", "scipy")
    return {name: metadata.version(name) for name in names}


def _need(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArgumentError(
            f"{name} is needed for this measure and not installed; run: pip install 'voxhop[eval]'"
        ) from error


@functools.cache
def _aecmos_model(name: str) -> Any:  # noqa: ANN401 - speechmos has no types
    model = _need("speechmos.aecmos").AECMOS(name)
    model.ort_session = _one_thread(model.ort_session)
    return model


@functools.cache
def _dnsmos_model() -> Any:  # noqa: ANN401 - speechmos has no types
    package = _need("speechmos.dnsmos")
    folder = _folder_of(package) + "/dnsmos_models"
    model = package.DNSMOS(f"{folder}/sig_bak_ovr.onnx", f"{folder}/model_v8.onnx")
    model.onnx_sess = _one_thread(model.onnx_sess)
    model.p808_onnx_sess = _one_thread(model.p808_onnx_sess)
    return model


@functools.cache
def _plcmos_model() -> Any:  # noqa: ANN401 - speechmos has no types
    model = _need("speechmos.plcmos").PLCMOS()
    model.session = _one_thread(model.session)
    return model


def _one_thread(session: Any) -> Any:  # noqa: ANN401 - onnxruntime has no types
    ort = _need("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    path = session._model_path  # noqa: SLF001 - the one place that knows which file it is
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _folder_of(package: ModuleType) -> str:
    from pathlib import Path  # noqa: PLC0415 - only here

    if package.__file__ is None:
        raise ArgumentError(f"{package.__name__}: installed without files")
    return str(Path(package.__file__).parent)


def _unit(signal: Array) -> Array:
    """Clip to [-1, 1], as the models ask for, in float32."""
    return np.clip(signal, -1.0, 1.0).astype(np.float32)
