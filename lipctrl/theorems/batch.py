"""Lipschitz bounds of many policies at once: in processes of their own, each from one policy to the next."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from inspect import signature
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

from lipctrl.errors import LipctrlError
from lipctrl.networks.network import Network
from lipctrl.results import Bound
from lipctrl.theorems.lipschitz import lipschitz

#: pieces per process into which a batch is cut
PIECES = 4


def lipschitz_batch(policies: Sequence[Any], *, workers: int | None = None, **options: Any) -> list[Bound | Exception]:
    """Bound the Lipschitz constants of many policies.

    Parameters
    ----------
    policies : sequence of what lipschitz takes
        Neighbours that are similar (checkpoints of one training) save iterations: each bound starts from the last.
    workers : int, optional
        Processes, by default one per core; 1 stays in this one. Set ``OMP_NUM_THREADS=1`` before the start of Python:
        the processes share the cores.
    **options
        As for :func:`lipctrl.lipschitz`, in common: `method`, `region`, `solver`, `gap`, `time_limit`, `memory_limit`.

    Returns
    -------
    list of Bound or Exception
        In the order of `policies`. Where one fails its error stands in its place, and the others are not lost.

    Raises
    ------
    LipctrlError
        If `workers` is no positive number, `policies` no sequence, or an option unknown.
    """
    if not (workers is None or (isinstance(workers, int) and workers > 0)):
        raise LipctrlError(f"workers is {workers!r}.", "Give a number of processes, 1 or more, or leave it out.")
    if isinstance(policies, str | Path | Network) or not isinstance(policies, Iterable):
        raise LipctrlError(f"policies is {type(policies).__name__}.", "Give a list of policies; lipschitz takes one.")
    known = set(signature(lipschitz).parameters) - {"policy", "warm"}
    if unknown := set(options) - known:
        raise LipctrlError(f"Unknown option {', '.join(sorted(unknown))}.", f"There are {', '.join(sorted(known))}.")
    networks = [getattr(policy, "network", policy) for policy in policies]
    processes = min(workers or len(os.sched_getaffinity(0)), len(networks))
    if processes <= 1:
        return _in_turn(networks, options)
    size = -(-len(networks) // (PIECES * processes))
    pieces = [networks[k : k + size] for k in range(0, len(networks), size)]
    method = "fork" if "fork" in get_all_start_methods() else None
    with ProcessPoolExecutor(processes, mp_context=get_context(method)) as pool:
        running = [pool.submit(_in_turn, piece, options) for piece in pieces]
        return [bound for piece, future in zip(pieces, running, strict=True) for bound in _results(piece, future)]


def _in_turn(networks: Sequence[Any], options: dict[str, Any]) -> list[Bound | Exception]:
    out: list[Bound | Exception] = []
    last = None
    for network in networks:
        try:
            last = lipschitz(network, **{"warm": last, **options})
            out.append(last)
        except Exception as error:
            out.append(error)
    return out


def _results(piece: Sequence[Any], future: Future[list[Bound | Exception]]) -> list[Bound | Exception]:
    try:
        return future.result()
    except BrokenProcessPool:
        died = LipctrlError("A process of the batch was ended from outside.", "Use fewer workers, or more memory.")
        return [died] * len(piece)
