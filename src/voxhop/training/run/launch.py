"""Where a run computes: device, processes, and the signals that end it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pick_device(name: str, rank: int) -> torch.device:
    """Return the named device; "auto" is this process's GPU when there is one."""
    device = torch.device("cpu" if name == "auto" else name)
    if name == "auto" and torch.cuda.is_available():
        device = torch.device("cuda", rank % torch.cuda.device_count())
    if device.type == "cuda":
        torch.cuda.set_device(device)  # collectives use the current device
    return device


@contextlib.contextmanager
def processes(device: str) -> Iterator[tuple[int, int]]:
    """Join the process group that ``torchrun`` describes, if it started us.

    Yields this process's rank and the number of processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    # The optimiser and the parallel module import this one. When that happens after the group
    # exists, something in there holds it for ever (torch 2.13): its threads outlive it, and
    # one that is late may abort the process while the interpreter ends.
    importlib.import_module("torch._dynamo")
    on_gpu = torch.cuda.is_available() and device != "cpu"
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield distributed.get_rank(), world
    finally:
        gc.collect()  # cycles that refer to the group
        distributed.destroy_process_group()


@contextlib.contextmanager
def first_alone(rank: int, world: int) -> Iterator[None]:
    """Let the first process pass the body before the others: it fills the cache."""
    if world > 1 and rank > 0:
        distributed.barrier()
    yield
    if world > 1 and rank == 0:
        distributed.barrier()


@contextlib.contextmanager
def signals_to(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` on SIGTERM and SIGINT instead of dying; outside the main thread, nothing."""
    try:
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, lambda *_: ask()) for number in numbers}
    except ValueError:  # not in the main thread: the caller handles signals
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
