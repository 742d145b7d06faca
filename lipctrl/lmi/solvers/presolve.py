"""Exact reductions of a chain, and its feasible start in closed form.

1. Neurons that nothing leaves and neurons that nothing enters are removed (one multiplier per neuron only).
2. More inputs than neurons of layer 1: W_1 = R'Q' with orthonormal Q, and R' takes the place of W_1. More outputs than
   neurons of layer l: C = QR, and R takes the place of C.
3. Start, backwards from Q = C'C and in logarithms, so that no depth overflows: with d_i = |what leaves i| / |what
   enters| (one in LipSDP-Layer), d = diag(d_i), and Q scaled so that lambda_max(d^-1/2 Q d^-1/2) = 1,

       t_i = d_i (1 + s_i), s_i ~ |c_i|        Q <- W' (c T (T - Q)^-1 T c - (c^2 - 1) T) W

   and in the end rho > lambda_max(Q). For slopes [0, beta] and d = 1 this is the product of norms, tightened.
4. The congruence that makes t = 1 and rho = 1 of that start: w_i <- w_i sqrt(t_i).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.elimination import eliminated
from lipctrl.lmi.solvers.normal_form import Feedforward

Index = NDArray[np.intp]

#: The start exceeds what is needed by 1 + INFLATION/max(depth, 4) per layer: inside the cone, yet without compounding.
#: Near the boundary (1.01) networks with a clip layer or local slopes take twice the iterations.
INFLATION = 1.0
#: least share of the largest norm with which a norm counts in a ratio
LEAST_SHARE = 1e-9
#: multipliers, in units of the start, of neurons that nothing leaves and of neurons that nothing enters
NOTHING_LEAVES, NOTHING_ENTERS = 1e-16, 1e16
#: what rho gives for them
DEAD_MARGIN = 1e-11


@dataclass(frozen=True)
class Reduction:
    """A chain with start t = 1, rho = 1, and the way back to the original."""

    chain: Feedforward
    full: Feedforward
    live: tuple[Index, ...]
    log_t: tuple[Array, ...]
    log_rho: float

    @property
    def rho_factor(self) -> float:
        return float(np.exp(self.log_rho))

    def original(self, rho: float, t: Array) -> tuple[float, list[Array]]:
        """rho and the multipliers (half of t) of the LMI that was stated."""
        parts = np.split(t, np.cumsum([len(index) for index in self.live])[:-1])
        if self.full.shared:
            values = [np.array([part[0] * np.exp(s[0]) / 2]) for part, s in zip(parts, self.log_t, strict=True)]
        else:
            values = [part * np.exp(s[index]) / 2 for part, s, index in zip(parts, self.log_t, self.live, strict=True)]
            if any(len(index) < len(s) for index, s in zip(self.live, self.log_t, strict=True)):
                values, rho = self._with_dead(values), rho * (1 + DEAD_MARGIN)
        return rho * self.rho_factor, values

    def scaled(self, rho: float, values: list[Array]) -> tuple[float, Array]:
        """The inverse of `original`."""
        parts = []
        for value, s, index in zip(values, self.log_t, self.live, strict=True):
            t = np.broadcast_to(np.asarray(value, dtype=np.float64), (len(s),))
            parts.append(2 * t[index] * np.exp(-s[index]))
        return rho / self.rho_factor, np.concatenate(parts)

    def _with_dead(self, values: list[Array]) -> list[Array]:
        """Tiny multipliers where nothing leaves, huge where nothing enters, each above what its successors need."""
        out: list[Array] = []
        left = _left(self.full)
        below = np.zeros(len(self.full.weights[-1]))
        log_t = (np.full(self.full.sizes[0], self.log_rho), *self.log_t)
        for k in range(self.full.depth, 0, -1):
            dead = np.ones(len(self.log_t[k - 1]), dtype=bool)
            dead[self.live[k - 1]] = False
            W = np.abs(_rescaled(self.full.weights[k - 1], log_t[k], log_t[k - 1]))
            base = np.where(left[k - 1], NOTHING_ENTERS, NOTHING_LEAVES / (1 + np.square(W).sum(axis=1)))
            t = np.maximum(base, 1e3 * below)
            gone = np.zeros(self.full.sizes[k - 1])
            if k > 1:
                previous = np.ones(len(gone), dtype=bool)
                previous[self.live[k - 2]] = False
                part = W[np.ix_(dead, previous)]
                gone[previous] = (t[dead, None] * part * part.sum(axis=1, keepdims=True)).sum(axis=0)
            full = np.empty(len(dead))
            full[self.live[k - 1]] = values[k - 1]
            full[dead] = (t * np.exp(self.log_t[k - 1]) / 2)[dead]
            out.append(full)
            below = gone
        return out[::-1]


def presolve(chain: Feedforward) -> Reduction | None:
    """Reduce, start and scale; None if a layer has no live neuron."""
    live = [np.arange(len(W)) for W in chain.weights] if chain.shared else _live(chain)
    if any(len(index) == 0 for index in live):
        return None
    columns = [np.arange(chain.sizes[0]), *live]
    W = [weight[np.ix_(live[k], columns[k])] for k, weight in enumerate(chain.weights)]
    if any(not np.any(weight) for weight in W):
        return None
    c = tuple(centre[index] for centre, index in zip(chain.c, live, strict=True))
    C = chain.output[:, live[-1]]
    if C.shape[0] > C.shape[1]:
        C = qr(C, mode="r")[0][: C.shape[1]]
    if W[0].shape[1] > W[0].shape[0]:
        R = qr(W[0].T, mode="r")[0][: W[0].shape[0]]
        # a diagonal of one sign makes R depend continuously on W
        W[0] = np.ascontiguousarray(np.transpose(np.where(np.diagonal(R) < 0, -1.0, 1.0)[:, None] * R))
    log_t, log_rho = _start(Feedforward.chain(W, c, C, chain.shared))
    log = (np.full(W[0].shape[1], log_rho), *log_t)
    scaled = [_rescaled(weight, log[k + 1], log[k]) for k, weight in enumerate(W)]
    C = C * np.exp(-log_t[-1] / 2)
    full_log = []
    for index, s, weight in zip(live, log_t, chain.weights, strict=True):
        every = np.full(len(weight), float(np.mean(s)))
        every[index] = s
        full_log.append(every)
    return Reduction(Feedforward.chain(scaled, c, C, chain.shared), chain, tuple(live), tuple(full_log), log_rho)


def _rescaled(W: Array, rows: Array, columns: Array) -> Array:
    return np.ascontiguousarray(W * np.exp((rows[:, None] - columns) / 2))


def _left(chain: Feedforward) -> list[NDArray[np.bool_]]:
    """Which neurons something leaves that reaches the output, per layer."""
    left = [np.any(chain.output != 0, axis=0)]
    for W in reversed(chain.weights[1:]):
        left.insert(0, np.any(W[left[0]] != 0, axis=0))
    return left


def _live(chain: Feedforward) -> list[Index]:
    """Indices of the neurons that something live enters and leaves, per layer."""
    live = _left(chain)
    for k in range(chain.depth):
        entering = chain.weights[k] if k == 0 else chain.weights[k][:, live[k - 1]]
        live[k] &= np.any(entering != 0, axis=1)
    return [np.flatnonzero(mask) for mask in live]


def _start(chain: Feedforward) -> tuple[tuple[Array, ...], float]:
    """Logarithms of t (per layer) and rho of the closed-form point."""
    Q, total = chain.G, 0.0
    inflation = 1 + INFLATION / max(chain.depth, 4)
    log_t: list[Array] = []
    for k in range(chain.depth, 0, -1):
        W, c = chain.weights[k - 1], chain.c[k - 1]
        weight = np.ones(len(W)) if chain.shared else _balance(Q, W)
        largest = float(np.linalg.eigvalsh(Q / np.sqrt(weight[:, None] * weight))[-1])
        total += float(np.log(largest))
        t = weight * (1 + inflation * _slack(W, c, chain.shared))
        log_t.append(total + np.log(t))
        Q = eliminated({(k, k): Q / largest}, chain.W[k - 1], c, t, k)[k - 1, k - 1]
        Q = (Q + Q.T) / 2
    return tuple(log_t[::-1]), total + float(np.log(inflation * np.linalg.eigvalsh(Q)[-1]))


def _balance(Q: Array, W: Array) -> Array:
    """Weights d_i of the multipliers of a layer, |what leaves neuron i| / |what enters it|.

    t_i adds t_i |w_i|^2 to the layer before and q_ii^2 / t_i to this one; for one hidden layer their balance is
    the optimal t (arithmetic and geometric mean).
    """
    leaves, enters = np.sqrt(np.maximum(np.diagonal(Q), 0.0)), np.sqrt(np.square(W).sum(axis=1))
    ratio = np.maximum(leaves, LEAST_SHARE * leaves.max()) / np.maximum(enters, LEAST_SHARE * enters.max())
    return np.asarray(ratio / ratio.mean())


def _slack(W: Array, c: Array, shared: bool) -> Array:
    """s minimising c^2 (1 + 1/s) + 1 + s per neuron: |c|; in common, the worst neuron's value weighted by its row."""
    s = np.clip(np.abs(c), 0.02, 1e3)
    if not shared:
        return s
    grid = np.geomspace(s.min(), s.max(), 30)[:, None]
    worst = (np.square(W).sum(axis=1) * (c**2 * (1 + 1 / grid) + 1 + grid)).max(axis=1)
    return np.full(len(c), grid[int(np.argmin(worst)), 0])
