"""The equilibria x*(p) of a loop with uncertain constant parameters p: exactly one in a box X for each p.

Krawczyk's condition (equilibrium.py) is proved on every part of a partition of the parameters' box, with the same X;
g at the centre and its derivatives over X are enclosed for all parameters of the part, X itself cut into cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError, LoopError
from lipctrl.intervals.affine import stack
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.plants.resting import newton
from lipctrl.proofs.closed_loop import ClosedLoop, box_forms, pieces
from lipctrl.proofs.equilibrium import RADII, EquilibriumProof, krawczyk, prove_equilibrium, scale

Array = NDArray[np.float64]

#: about so many parts of the parameters' box, cells of X, and enlargements of X
PARTS, CELLS, ROUNDS = 64, 16, 8


def prove_equilibria(model: Model, network: Network, guess: Array) -> EquilibriumProof | None:
    """Prove that for each value of the uncertain parameters the loop has exactly one equilibrium in one box.

    Parameters
    ----------
    model : Model
        Discrete time if it has uncertain parameters.
    network : Network
    guess : array, shape (n,)
        The equilibrium at the nominal parameters, from Newton's method.

    Returns
    -------
    EquilibriumProof or None
        The box X is about twice as wide as the spread of the equilibria; None if nothing was proved.
    """
    if not model.uncertain:
        return prove_equilibrium(model, network, guess)
    if model.dt == 0:
        raise LoopError("Uncertain parameters need a sampled model.", "Give each parameter one value.")
    loop = ClosedLoop(model, network)
    parts = pieces(loop.low[:, 0], loop.high[:, 0], PARTS)
    found = [x for plant in model.extremes() if (x := newton(plant, network, guess)) is not None]
    low, high = np.min([guess, *found], axis=0), np.max([guess, *found], axis=0)
    center, half_width = 0.5 * (low + high), 0.6 * (high - low) + RADII[0] * scale(model, guess)
    try:
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                box = Interval(center - half_width, center + half_width)
                images = _images(loop, parts, center, box)
                if all(np.all(box.contains_in_interior(image)) for image in images):
                    return _with_signals(loop, box)
                reach = np.max([(image - center).mag for image in images], axis=0)
                half_width = np.maximum(half_width, 1.2 * reach)
    except (LipctrlError, np.linalg.LinAlgError):
        return None
    return None


def _images(loop: ClosedLoop, parts: tuple[Array, Array], center: Array, box: Interval) -> list[Interval]:
    """Krawczyk's operator on X = `box` for each part of the parameters' box."""
    n, count = loop.n, len(parts[0])
    point = np.broadcast_to(center, (count, n))
    after = loop.among(parts[0].T, parts[1].T).step(box_forms(point, point))
    values = [form.range() - float(c) for form, c in zip(after, center, strict=True)]
    low, high = pieces(box.lo, box.hi, CELLS)
    cells = len(low)
    among = loop.among(*(np.repeat(ends.T, cells, axis=1) for ends in parts))
    by_state, by_action, middle, radius, _ = among.derivatives(
        box_forms(np.tile(low, (count, 1)), np.tile(high, (count, 1))), np.eye(n)
    )
    gain = Interval(np.moveaxis(middle, 0, -1)) + Interval(*(np.moveaxis(r, 0, -1) for r in (-radius, radius)))
    slopes = by_state + Interval.stack([(by_action * gain[:, j]).sum(axis=1) for j in range(n)], axis=1)
    lo, hi = slopes.lo.reshape(n, n, count, cells).min(axis=-1), slopes.hi.reshape(n, n, count, cells).max(axis=-1)
    result = []
    for part in range(count):
        value = Interval.stack([v[part] for v in values])
        result.append(krawczyk(center, box, value, Interval(lo[..., part], hi[..., part]) - np.eye(n)))
    return result


def _with_signals(loop: ClosedLoop, box: Interval) -> EquilibriumProof:
    cell = box_forms(box.lo[None], box.hi[None])
    y = stack(loop.plant(1).observe(cell), (1,))
    return EquilibriumProof(box, loop.enclosure(y).range()[0], y.range()[0])
