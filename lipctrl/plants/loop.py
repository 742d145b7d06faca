"""A plant and a policy in feedback, u = pi(y)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LoopError
from lipctrl.networks.network import Network
from lipctrl.plants.plant import Plant

Array = NDArray[np.float64]

DIVERGED = 1e12


@dataclass(frozen=True, eq=False)
class Loop:
    """The closed loop x+ = x0 + A e + B (pi(y0 + C e) - pi(y0)), e = x - x0 (dx/dt on the left for dt = 0).

    By definition u0 is the double pi(y0), so that e = 0 is an equilibrium of this model exactly.

    Parameters
    ----------
    plant : Plant
        At the loop's own equilibrium, as :func:`lipctrl.plants.linearize.linearize` gives it.
    network : Network
        The policy, from observation to input.

    Attributes
    ----------
    K : ndarray, shape (m, p)
        Jacobian of the policy at y0 in floating point (right-hand slopes at kinks).
    A_closed : ndarray, shape (n, n)
        A + B K C, in floating point.

    Raises
    ------
    LoopError
        If the sizes do not fit, the plant has direct feedthrough (an algebraic loop), or u0 is not pi(y0).
    """

    plant: Plant
    network: Network
    K: Array
    A_closed: Array

    def __init__(self, plant: Plant, network: Network) -> None:
        _check_sizes(plant, network)
        if np.any(plant.D != 0):
            raise LoopError(
                "The plant has direct feedthrough (D is not zero): with the policy it forms an algebraic loop.",
                "Model the sampling or actuator delay between u and y (one more state), so that D becomes 0.",
            )
        u = network(plant.y0)
        if not np.all(np.isfinite(u)):
            raise LoopError(f"The policy gives {u} at the operating point.", "Check its weights and its normaliser.")
        if not np.all(np.abs(u - plant.u0) <= 1e-9 * (1 + np.abs(u))):
            raise LoopError(
                f"The policy gives {u} at the plant's operating point, where the plant expects {plant.u0}: "
                "the loop does not rest there.",
                "Use linearize(plant, policy), which finds the equilibrium of the loop and centres the plant in it.",
            )
        K = network.jacobian(plant.y0)
        u.setflags(write=False)
        K.setflags(write=False)
        object.__setattr__(self, "plant", replace(plant, u0=u))
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "A_closed", plant.A + plant.B @ K @ plant.C)

    @property
    def spectral_radius(self) -> float:
        """Of the linearised closed loop (dt = 0: exp of the spectral abscissa). Floating point, no evidence."""
        return spectral_radius(self.A_closed, self.plant.is_continuous)

    def shift(self, K: ArrayLike) -> Plant:
        """The plant with u = K y + w: A becomes A + B K C (rounded). The policy's part is then pi - K."""
        gain = np.asarray(K, dtype=np.float64)
        if gain.shape != self.K.shape:
            raise LoopError(f"The loop shift K has shape {gain.shape}, expected {self.K.shape}.")
        return replace(self.plant, A=self.plant.A + self.plant.B @ gain @ self.plant.C)

    def scale(self, input_weight: ArrayLike, output_weight: ArrayLike) -> Plant:
        """The plant from D_u u to D_y y, for weights D_u, shape (m,), and D_y, shape (p,), all > 0 (rounded)."""
        on_u, on_y = np.asarray(input_weight, dtype=np.float64), np.asarray(output_weight, dtype=np.float64)
        for weight, size in ((on_u, self.plant.n_inputs), (on_y, self.plant.n_outputs)):
            if weight.shape != (size,) or not (np.all(np.isfinite(weight)) and np.all(weight > 0)):
                raise LoopError(f"A weight must hold {size} finite numbers > 0, given {weight}.")
        return replace(
            self.plant,
            B=self.plant.B / on_u,
            C=self.plant.C * on_y[:, None],
            y0=self.plant.y0 * on_y,
            u0=self.plant.u0 * on_u,
        )

    def rate(self, x: ArrayLike) -> Array:
        """The right-hand side: the next state (sampled) or dx/dt (continuous), for x of shape (..., n)."""
        plant = self.plant
        e = np.asarray(x, dtype=np.float64) - plant.x0
        du = self.network(plant.y0 + e @ plant.C.T) - plant.u0
        return e @ plant.A.T + du @ plant.B.T + (0.0 if plant.is_continuous else plant.x0)

    def simulate(self, x: ArrayLike, steps: int, step: float | None = None) -> Array:
        """Trajectories of the linear plant with the true policy; samples, no proof.

        Parameters
        ----------
        x : array_like, shape (..., n)
            Initial states.
        steps : int
        step : float, optional
            Continuous time only: step of the classical Runge-Kutta scheme in seconds; by default 1/20 of the fastest
            time constant.

        Returns
        -------
        ndarray, shape (steps + 1, ..., n)
            A trajectory that exceeds 1e12 stays where it was.
        """
        states = [np.array(x, dtype=np.float64)]
        if step is None:
            step = 0.05 / max(float(np.linalg.norm(A, 2)) for A in (self.plant.A, self.A_closed, 1e-9 * np.eye(1)))
        for _ in range(steps):
            now = states[-1]
            after = runge_kutta(self.rate, now, step) if self.plant.is_continuous else self.rate(now)
            bounded = np.all(np.abs(after) <= DIVERGED, axis=-1, keepdims=True)
            states.append(np.where(bounded, after, now))
        return np.stack(states)

    def __repr__(self) -> str:
        return f"Loop({self.plant!r}, {self.network!r})"


def spectral_radius(A: Array, continuous: bool) -> float:
    """Spectral radius of A; for continuous time exp of the spectral abscissa. Floating point, no evidence."""
    if not np.all(np.isfinite(A)):
        return float("nan")
    eigenvalues = np.linalg.eigvals(A)
    return float(np.exp(np.max(eigenvalues.real)) if continuous else np.max(np.abs(eigenvalues)))


def runge_kutta(rate: Callable[[Array], Array], x: Array, step: float) -> Array:
    """One step of the classical fourth-order scheme."""
    k1 = rate(x)
    k2 = rate(x + step / 2 * k1)
    k3 = rate(x + step / 2 * k2)
    k4 = rate(x + step * k3)
    return x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _check_sizes(plant: Plant, network: Network) -> None:
    if network.n_in != plant.n_outputs:
        raise LoopError(
            f"The policy takes {network.n_in} observations, but the plant gives {plant.n_outputs} outputs "
            f"({', '.join(plant.output_names)}).",
            "Give the plant that the policy was trained on, with its outputs in the order of the observations.",
        )
    if network.n_out != plant.n_inputs:
        raise LoopError(
            f"The policy gives {network.n_out} actions, but the plant takes {plant.n_inputs} inputs "
            f"({', '.join(plant.input_names)}).",
            "Give the plant that the policy was trained on.",
        )
