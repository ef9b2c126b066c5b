"""The published LocalVQE files: what they are, where they come from, where they lie.

Nothing here runs when voxhop enhances audio, and `voxhop.load` never downloads: it asks
`model_path` for a file that `fetch` (``voxhop models get``) brought here before. Every file
is named by its SHA-256, so a mirror gives availability and never authority.

Environment
-----------
VOXHOP_CACHE_DIR
    Folder for downloaded files instead of the platform's cache folder.
VOXHOP_MODEL_MIRROR
    Address that stands in for ``https://huggingface.co``; the path below it stays the same.
VOXHOP_OFFLINE
    ``1``, ``true`` or ``yes``: never touch the network.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voxhop.engine.hash import sha256_of
from voxhop.errors import ArgumentError, DownloadError, ModelFileError

if TYPE_CHECKING:
    from collections.abc import Callable

HUB: Final = "https://huggingface.co"
REPOSITORY: Final = "LocalAI-io/LocalVQE"
REVISION: Final = "29ca38495cba9d6393a92a4dd890f28dd81f758d"
LICENCE: Final = "Apache-2.0"


@dataclass(frozen=True)
class PublishedModel:
    """One file of the repository, pinned.

    Attributes
    ----------
    name
        What ``voxhop models get`` and `voxhop.load` take.
    file
        File name in the repository and in the cache folder.
    sha256
        Digest of the whole file, lower-case hexadecimal.
    size_bytes
        Exact length, or None where no public source states it.
    summary
        What it does, in a few words.
    loads
        Whether this engine runs it; the echo-only and GTCRN lines are other networks.
    """

    name: str
    file: str
    sha256: str
    size_bytes: int | None
    summary: str
    loads: bool = True

    @property
    def url_path(self) -> str:
        """Path below the hub or a mirror of it, with the pinned revision."""
        return f"{REPOSITORY}/resolve/{REVISION}/{self.file}"


# Digests: the allow-list and the build files of the published engine, and the pins of
# programs that ship these files. Sizes: the same pins.
PUBLISHED: Final[tuple[PublishedModel, ...]] = (
    PublishedModel(
        "localvqe-v1.3",
        "localvqe-v1.3-4.8M-f32.gguf",
        "c4f7912485c32cfc206c536f2f050b52513f2f613fdbc616391f6b26ab1d51ec",
        19_268_160,
        "echo, noise and reverberation; 4.8 M parameters",
    ),
    PublishedModel(
        "localvqe-v1.2",
        "localvqe-v1.2-1.3M-f32.gguf",
        "4856ecf5f522b23fb2bc5caeac81f323c0ef1c4c156a9c7d40a6adbe092ba9ce",
        5_173_088,
        "echo, noise and reverberation; 1.3 M parameters, 1 s delay window",
    ),
    PublishedModel(
        "localvqe-v1.1",
        "localvqe-v1.1-1.3M-f32.gguf",
        "c118227c6b433d6aa36d9e4b993e0f31aa60787ea38d301d04db917a4a2b0a84",
        5_173_088,
        "echo, noise and reverberation; 1.3 M parameters; the technical report's model",
    ),
    PublishedModel(
        "localvqe-v1",
        "localvqe-v1-1.3M-f32.gguf",
        "d5eaf577449d0f920d8ee5e1042b8ddc7b6627313a042c62e2ada1b42719ab30",
        5_162_720,
        "echo, noise and reverberation; 1.3 M parameters; first release",
    ),
    PublishedModel(
        "localvqe-v1.4-aec-200K",
        "localvqe-v1.4-aec-200K-f32.gguf",
        "b6e43138588a83bfe903ab5e143b4020b91c1e1629f5a575ac5855ff0003c731",
        2_924_224,
        "echo only; adaptive filter and 203 K network",
        loads=False,
    ),
    PublishedModel(
        "localvqe-v1.4-aec-200K-bf16",
        "localvqe-v1.4-aec-200K-bf16.gguf",
        "c14899f4dec79e1bc3360ebb9845621bd32b81d7c9a6c1ee9e56fc1d7b1978a6",
        None,
        "echo only; adaptive filter and 203 K network, bf16",
        loads=False,
    ),
    PublishedModel(
        "localvqe-v1.4-aec-2.7K",
        "localvqe-v1.4-aec-2.7K-f32.gguf",
        "d79f824f6ee6f58b2a7108d1df90db51c42c15a7400a5addbd3be9972ba657a4",
        16_864,
        "echo only; adaptive filter",
        loads=False,
    ),
    PublishedModel(
        "localvqe-pi-v1",
        "localvqe-pi-v1-49k-f32.gguf",
        "0e0c82a8e9703e818b64dedd0fc306394cf5bbb59fcec1ccca82099d352d0c26",
        None,
        "echo, noise and reverberation; GTCRN, 49 K parameters",
        loads=False,
    ),
    PublishedModel(
        "localvqe-pi-aec-v1",
        "localvqe-pi-aec-v1-49k-f32.gguf",
        "b80b75b9038d0d28079a84afe7d4f0b8f6404f723af4633c05ed4f96fb30b7b8",
        None,
        "echo only; GTCRN, 49 K parameters",
        loads=False,
    ),
)


def find(name: str) -> PublishedModel:
    """Return the published model called `name` (its name or its file name).

    Raises
    ------
    ArgumentError
        No such model; the message offers the nearest name, or all of them.
    """
    for model in PUBLISHED:
        if name in (model.name, model.file):
            return model
    names = [model.name for model in PUBLISHED]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)
    raise ArgumentError(f"{name!r} is not a published model; {hint}")


def is_published(name: str) -> bool:
    """Whether `find` knows `name`."""
    return any(name in (model.name, model.file) for model in PUBLISHED)


def cache_dir() -> Path:
    """Return the folder that holds downloaded models; it need not exist yet."""
    own = os.environ.get("VOXHOP_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(root) / "voxhop" / "Cache" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "voxhop" / "models"
    # The XDG rules say that a relative path there is to be ignored.
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    root_dir = Path(xdg) if xdg.startswith("/") else Path.home() / ".cache"
    return root_dir / "voxhop" / "models"


def model_path(name: str) -> Path:
    """Return the path of a downloaded model; never downloads.

    A file enters the folder only after its digest was right; here its length is looked at
    again, and `verify` reads all of it.

    Raises
    ------
    ArgumentError
        `name` is not a published model.
    ModelFileError
        It was not downloaded, or the file has another length.
    """
    model = find(name)
    path = cache_dir() / model.file
    if not path.is_file():
        raise ModelFileError(f"{path}: not downloaded; run: voxhop models get {model.name}")
    found = path.stat().st_size
    if model.size_bytes is not None and found != model.size_bytes:
        raise ModelFileError(
            f"{path}: {found} bytes, expected {model.size_bytes}; "
            f"run: voxhop models get {model.name}"
        )
    return path


def verify(name: str) -> Path:
    """Hash a downloaded model and return its path.

    Raises
    ------
    ArgumentError
        `name` is not a published model.
    ModelFileError
        It was not downloaded, or is not the published file.
    """
    model = find(name)
    path = model_path(name)
    digest = sha256_of(path)
    if digest != model.sha256:
        raise ModelFileError(f"{path}: sha256 {digest}, expected {model.sha256}")
    return path


def fetch(
    name: str,
    *,
    offline: bool | None = None,
    mirror: str | None = None,
    progress: Callable[[float, float], None] | None = None,
    timeout_s: float = 30.0,
) -> Path:
    """Return the path of a published model, downloading it when it is not here yet.

    Parameters
    ----------
    name
        A name of `PUBLISHED`.
    offline
        True: fail rather than touch the network. None: as ``VOXHOP_OFFLINE`` says.
    mirror
        Address that stands in for the hub; None: ``VOXHOP_MODEL_MIRROR``, then the hub.
    progress
        Called with (bytes here, bytes in all).
    timeout_s
        Longest silence of the server, seconds.

    Raises
    ------
    ArgumentError
        `name` is not a published model, or the mirror is not an http(s) address.
    DownloadError
        Offline, unreachable, refused, or not the published bytes.
    """
    from voxhop._download import Source, download  # noqa: PLC0415 - keeps urllib out of import voxhop

    model = find(name)
    try:
        return verify(name)
    except ModelFileError:
        pass  # absent or damaged: what follows replaces it
    if offline if offline is not None else _offline_by_environment():
        raise DownloadError(f"{model.name}: not in {cache_dir()} and the network is off")
    root = mirror or os.environ.get("VOXHOP_MODEL_MIRROR") or HUB
    if not root.startswith(("http://", "https://")):
        raise ArgumentError(f"mirror {root!r}: expected an address that starts with http(s)://")
    source = Source(
        url=f"{root.rstrip('/')}/{model.url_path}",
        sha256=model.sha256,
        size_bytes=model.size_bytes,
    )
    target = cache_dir() / model.file
    download(source, target, progress=progress, timeout_s=timeout_s)
    return target


def _offline_by_environment() -> bool:
    return os.environ.get("VOXHOP_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
