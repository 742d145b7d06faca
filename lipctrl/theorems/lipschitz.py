"""LipSDP: a bound on the Lipschitz constant of a policy, on all of R^n or on a box of observations.

Theorem (Fazlyab, Robey, Hassani, Morari, Pappas, NeurIPS 2019, Theorems 1 and 2, diagonal multipliers). If T >= 0 and
rho satisfy

    M(rho, T) = rho D_y^2 - (D_u (z - K d))' (D_u (z - K d)) + sum_i t_i (a_i b_i' + b_i a_i') > 0

over the signals (d, w), then |D_u (r(x) - r(y))|^2 <= rho |D_y (x - y)|^2 with r = pi - K, for all x, y in the convex
set on
which the slopes hold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lipctrl.errors import LipctrlError, MemoryLimitError, NetworkError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.feasible import feasible_multipliers
from lipctrl.lmi.lmi import LMI, Array, Factor, MatrixInequality, Scaled, Values, Variable, gram, selector
from lipctrl.lmi.multipliers import Signals, network_signals, per_neuron
from lipctrl.lmi.solvers import check_limits
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.networks.enclosure import InputSet, LayerBounds, layer_bounds
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.network import Network
from lipctrl.plants.sources import network_of
from lipctrl.proofs.certificate import bounds_block, hex_array, input_set_block, network_block
from lipctrl.results import Bound, Trust
from lipctrl.theorems.attained import attained_slope
from lipctrl.theorems.conclusion import prove_least, suggest
from lipctrl.theorems.rounding import root_upper
from lipctrl.theorems.spectral import product_bound

METHODS = ("auto", "product", "layer", "neuron", "local")
#: limits of "auto" where none are given: seconds and bytes for the solver
AUTO_SECONDS, AUTO_BYTES = 60.0, 4e9
#: square matrices over all signals, or over those of neighbouring layers, that stating and proving an inequality takes
SQUARES = 7


@dataclass(frozen=True)
class Statement:
    """The LMI of the theorem for one network, set of inputs, shift K and weights."""

    network: Network
    inputs: InputSet | None
    bounds: Sequence[LayerBounds]
    signals: Signals
    lmi: LMI
    shift: Array | None
    output_weight: Array
    input_weight: Array


def state(
    network: Network,
    inputs: InputSet | None = None,
    *,
    method: str = "neuron",
    shift: Array | None = None,
    output_weight: Array | None = None,
    input_weight: Array | None = None,
) -> Statement:
    """State the theorem as an LMI in rho and T1, ..., Tl, with its closed-form feasible start."""
    bounds = layer_bounds(network, inputs, "slope")
    n = network.n_in
    d = selector(0, n)
    signals = network_signals(network, bounds, d, n)
    weight_u = np.ones(network.n_out) if output_weight is None else np.asarray(output_weight, dtype=np.float64)
    weight_y = np.ones(n) if input_weight is None else np.asarray(input_weight, dtype=np.float64)
    residual = signals.output if shift is None else signals.output + Factor(network.n_out, {0: Ball.exact(-shift)})
    z = residual.scale_rows(weight_u)
    variables, terms = signals.multiplier_terms(method)
    supply = gram(d.scale_rows(weight_y), signals.sizes)
    inequality = MatrixInequality(
        "dissipation", signals.sizes, (Scaled("rho", supply), *terms), -gram(z, signals.sizes)
    )
    t, rho = feasible_multipliers(signals, z.dense(signals.sizes), weight_y)
    start = {"rho": np.array([1.5 * rho])} | {v.name: np.full(v.size, t[int(v.name[1:]) - 1]) for v in variables}
    lmi = LMI(
        (Variable("rho", 1), *variables),
        (inequality,),
        objective={"rho": np.ones(1)},
        start=start,
    )
    return Statement(network, inputs, bounds, signals, lmi, shift, weight_u, weight_y)


def conclude(statement: Statement, values: Values) -> dict[str, Array] | None:
    """Numbers near the suggested ones at which the theorem is proved; None if none were found."""
    return prove_least(statement.lmi, values, "rho")


def claim(statement: Statement, values: Values) -> dict[str, Any]:
    """The fields of a "lipschitz" certificate (proofs/FORMAT.md) at proved values."""
    return {
        "input_set": None if statement.inputs is None else input_set_block(statement.inputs),
        "bounds": bounds_block(statement.bounds),
        "multipliers": [hex_array(t) for t in per_neuron(statement.signals, statement.bounds, values)],
        "rho": hex_array(values["rho"][0]),
        "shift": None if statement.shift is None else hex_array(statement.shift),
        "output_weight": hex_array(statement.output_weight),
        "input_weight": hex_array(statement.input_weight),
        "upper": hex_array(root_upper(float(values["rho"][0]))),
    }


def box_region(region: tuple[Any, Any] | None, n_in: int) -> InputSet | None:
    """(low, high) as an input set; the half-widths are rounded up."""
    if region is None:
        return None
    try:
        if any(np.iscomplexobj(side) for side in region):
            raise TypeError("complex numbers")
        low, high = (np.asarray(side, dtype=np.float64) for side in region)
    except (TypeError, ValueError) as error:
        raise NetworkError(
            f"region is {region!r}.", "Give (low, high), two arrays of the observation's size."
        ) from error
    if low.shape != (n_in,) or high.shape != (n_in,):
        raise NetworkError(f"region has sides of shape {low.shape} and {high.shape}, expected ({n_in},).")
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
        raise NetworkError("region needs finite sides with low <= high.", "Leave it out for the global bound.")
    center = low + (high - low) / 2
    half = np.nextafter(np.maximum(high - center, center - low), np.inf)
    return InputSet.from_box(center, np.where(low == high, 0.0, half))


def lipschitz(
    policy: Any,
    method: str = "auto",
    region: tuple[Any, Any] | None = None,
    solver: str = "auto",
    *,
    gap: float = 1e-7,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    warm: Bound | None = None,
) -> Bound:
    """Bound the Lipschitz constant of a policy (Euclidean norms), and prove the bound.

    Parameters
    ----------
    policy : Network, object with a `network`, str or Path
    method : {"auto", "product", "layer", "neuron", "local"}
        "neuron" is LipSDP-Neuron, "layer" LipSDP-Layer, "product" the product of spectral norms and slopes; "local"
        is "neuron" and insists on a region; "auto" is "neuron" within a minute and 4 GB, unless other limits are given:
        in these, up to about 4000 neurons are solved to the gap, and larger networks get what is reached.
    region : (low, high), optional
        Box of observations, arrays of shape (n_in,): slopes are proved there, and the bound holds between any two
        points of it.
    solver : {"auto", "low_rank", "barrier", "clarabel", "scs", "mosek"}
        "auto" sweeps low-rank signals through the network, and goes on with the interior-point method "barrier" where
        they do not reach the gap.
    gap : float
        Relative duality gap of rho = upper^2 at which the solver stops.
    time_limit : float, optional
        Seconds for the solver; then its best feasible numbers are proved. Stating and proving the inequality come on
        top.
    memory_limit : float, optional
        Bytes, forecast before they are taken. Where the solver, or stating and proving the inequality, needs more, the
        product of norms is returned (`note` says so).
    warm : Bound, optional
        Of a similar policy or region: the solver starts from there if the layers have the same sizes and that is
        nearer than its own start (`note` says if not). The bound is proved and as tight as without.

    Returns
    -------
    Bound
        `upper` is proved, `lower` is attained by a stored pair.

    Raises
    ------
    NetworkError, SolverError, LipctrlError
    """
    network = network_of(load_policy(policy) if isinstance(policy, str | Path) else policy)
    if method not in METHODS:
        raise LipctrlError(f"Unknown method {method!r}.", f"Choose one of {', '.join(METHODS)}.")
    check_limits(gap, time_limit, memory_limit)
    if not (warm is None or isinstance(warm, Bound)):
        raise LipctrlError(f"warm is {type(warm).__name__}.", "Give a Bound that lipschitz returned, or leave it out.")
    if method == "local" and region is None:
        raise LipctrlError("method='local' needs a region.", "Give region=(low, high) in observation units.")
    began = time.perf_counter()
    inputs = box_region(region, network.n_in)
    bounds = layer_bounds(network, inputs, "slope")
    product = product_bound(network, bounds)
    pair = attained_slope(network, inputs)
    words = "global" if inputs is None else f"box center {inputs.center.tolist()}, half-width {inputs.box.tolist()}"
    simple = Bound(
        upper=product,
        lower=pair.slope,
        product=product,
        trust=Trust.PROVED,
        method="product",
        solver="none",
        region=words,
    )
    if method == "auto":
        method = "neuron"
        time_limit = AUTO_SECONDS if time_limit is None else time_limit
        memory_limit = AUTO_BYTES if memory_limit is None else memory_limit
    if method == "product":
        return replace(simple, seconds=time.perf_counter() - began)
    least = statement_bytes(network.n_in, bounds)
    if memory_limit is not None and least > memory_limit and not _one_hidden_layer(network):
        note = f"product of norms instead: the inequality alone needs {least / 1e6:.3g} MB"
        return replace(simple, note=note, seconds=time.perf_counter() - began)
    try:
        with np.errstate(all="ignore"):
            statement = state(network, inputs, method="layer" if method == "layer" else "neuron")
    except np.linalg.LinAlgError as error:
        note = f"product of norms instead: the inequality is beyond floating point ({error})"
        return replace(simple, note=note, seconds=time.perf_counter() - began)
    previous = warm.solution if warm is not None and isinstance(warm.solution, Solution) else None
    try:
        solution = suggest(
            statement.lmi, solver, gap=gap, time_limit=time_limit, memory_limit=memory_limit, warm=previous
        )
    except MemoryLimitError as error:
        return replace(simple, note=f"product of norms instead: {error.message}", seconds=time.perf_counter() - began)
    proved = conclude(statement, solution.values)
    if proved is None:
        note = f"no numbers of {solver} could be proved"
        return replace(simple, note=note, seconds=time.perf_counter() - began)
    upper = root_upper(float(proved["rho"][0]))
    dual = solution.lower if 0.0 <= solution.lower <= upper**2 else 0.0  # beyond the proved bound it is no dual value
    sdp_lower = float(np.sqrt(dual))
    if product < upper and (solution.status != "optimal" or product < 0.999 * upper):
        note = f"{solver} stopped at {upper:.6g}: the product of norms is less"
        return replace(simple, sdp_lower=sdp_lower, note=note, seconds=time.perf_counter() - began)
    used = "barrier" if solution.solver == "chain" else solution.solver
    start = solution.start if warm is not None and solution.start != "warm" else ""
    certificate = {"theorem": "lipschitz", "network": network_block(network), **claim(statement, proved)}
    certificate["information"] = {"attained_by": [pair.x.tolist(), pair.y.tolist()], "solver": used}
    return Bound(
        upper=upper,
        lower=pair.slope,
        trust=Trust.PROVED,
        method="local" if method == "local" else method,
        sdp_lower=sdp_lower,
        sdp_gap=(upper - sdp_lower) / upper,
        product=max(product, upper),
        solver=used,
        region=words,
        seconds=time.perf_counter() - began,
        status=solution.status,
        iterations=solution.iterations,
        note="; ".join(filter(None, (solution.note, start))),
        certificate=certificate,
        solution=solution,
    )


def statement_bytes(n_in: int, bounds: Sequence[LayerBounds]) -> int:
    """Bytes that stating and proving the inequality take at most, unless it is of one hidden layer.

    Where only some neurons of a layer are linear, the next reaches back; else each sees the one before alone.
    """
    nonlinear = [layer.slope_lower != layer.slope_upper for layer in bounds]
    widths = [n_in, *(int(np.count_nonzero(layer)) for layer in nonlinear if np.any(layer))]
    squares = sum(widths) ** 2
    if all(np.all(layer) or not np.any(layer) for layer in nonlinear):
        squares = min(squares, sum((a + b) ** 2 for a, b in pairwise(widths)))
    return 8 * SQUARES * squares


def _one_hidden_layer(network: Network) -> bool:
    return sum(layer.kind != "identity" for layer in network.alternating()[1]) == 1
