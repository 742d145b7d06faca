"""Low-rank dual ascent: signals that run through a network, forwards and backwards, to their fixed point.

The dual of LipSDP of a feedforward network (`normal_form`), with Y = Z Z' and Z of r columns, is

    maximise |U|^2, U = sum_j C_j Z_j   s.t.  |Z_0| = 1,  Z_k = c V_k + P_k,  |P_i| = |V_i|,  V_k = sum_j W_kj Z_j

where only the directions of the rows P_i are free (`signals`). Where it is largest they are those of S_i:

    S_j = C_j' U + sum_k W_kj' (t V + c S)_k        t_i = |S_i| / |V_i|,  P_i = S_i / t_i,  Z_0 = S_0 / rho

which is M(rho, t) Z = 0: the same sweep gives the multipliers. It is repeated, with Anderson's extrapolation in the
norm of the weights t_i; |U|^2 is a lower bound at once. With shared multipliers norms are those of a whole layer.
References: Burer, Monteiro, Math. Program. 95 (2003); Boumal, Voroninski, Bandeira, NeurIPS 2016.
"""

from __future__ import annotations

import time

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.anderson import Anderson
from lipctrl.lmi.solvers.normal_form import Feedforward, block_slices
from lipctrl.lmi.solvers.signals import feasible_signals

#: sweeps without a residual a tenth smaller after which there is no hope
PATIENCE = 1000
#: share of the largest |S_i| or |V_i| of a layer below which a neuron counts as dead
DEAD = 1e-11
#: loss of |U|^2, relative, from which on an extrapolation is taken back
LOSS = 1e-9
#: columns are dropped every so many sweeps, from a residual on, where a singular value is so much smaller than the one
#: before and than the first
NARROWED, SETTLED, DROP, SMALL = 40, 1e-3, 0.05, 1e-2
#: norm of columns that are added, in units of what is there: small ones grow too slowly
WIDENED = 3.0


class Ascent:
    """The signals `current` = (Z_0, P_1, ..., P_l) in rows, their `value` |U|^2, multipliers `t` and `residual`."""

    def __init__(self, form: Feedforward, start: Array) -> None:
        self.form = form
        self.parts = block_slices(form.sizes[1:])
        self.next = self.current = start
        self.sweeps, self.value, self.lower, self.residual = 0, 0.0, 0.0, np.inf
        self.t = np.ones(sum(form.sizes[1:]))
        self.widened = False
        self.anderson = Anderson()

    def run(self, look: float, deadline: float | None, max_sweeps: int) -> bool:
        """Sweep until the residual is at most `look`; True when there is no time or no progress left."""
        least, since = np.inf, self.sweeps
        while True:
            self.advance()
            if not np.isfinite(self.residual):
                return True
            if self.residual <= look:
                return False
            if self.sweeps % NARROWED == 0 and self.residual <= SETTLED:
                self.narrow()
            if self.residual < 0.9 * least:
                least, since = self.residual, self.sweeps
            late = deadline is not None and time.perf_counter() > deadline
            if late or self.sweeps >= max_sweeps or self.sweeps - since >= PATIENCE:
                return True

    def advance(self) -> None:
        """One sweep, and the start of the next."""
        value, current, image, t = self.sweep(self.next)
        if self.anderson.last is not None and not value >= self.value * (1 - LOSS):
            image = self.anderson.last[1]
            self.anderson.forget()
            value, current, image, t = self.sweep(image)
        self.value, self.current, self.t = value, current, t
        self.lower = max(self.lower, value)
        weight = self.weight()
        norm = float(np.linalg.norm(weight * (image - current)))
        self.residual = norm / np.sqrt(value) if value > 0 else np.inf
        self.next = self.anderson.extrapolated(current, image, weight)

    def weight(self) -> Array:
        """Square roots of the weights of the rows: rho of Z_0, t_i of P_i."""
        return np.asarray(np.sqrt(np.concatenate([np.full(self.form.sizes[0], self.value), self.t]))[:, None])

    def sweep(self, x: Array) -> tuple[float, Array, Array, Array]:
        """|U|^2, the feasible signals (Z_0, P) in the directions of x, those of S, and the multipliers."""
        form, blocks = self.form, self.form.blocks
        self.sweeps += 1
        forward = feasible_signals(form, x)
        U, image, t = forward.output, np.empty_like(x), np.empty_like(self.t)
        S = {j: C.T @ U for j, C in form.C.items()}
        for k in range(form.depth, 0, -1):
            V = forward.V[k - 1]
            leaves = S.pop(k, np.zeros_like(V))
            s, v = np.sqrt(np.einsum("ij,ij->i", leaves, leaves)), np.sqrt(forward.entering[k - 1])
            if form.shared:
                s, v = (np.full(len(s), np.linalg.norm(part)) for part in (s, v))
            own_t = np.maximum(s, DEAD * s.max()) / np.maximum(v, DEAD * v.max())
            t[self.parts[k - 1]] = own_t
            np.divide(leaves, own_t[:, None], out=image[blocks[k]])
            back = own_t[:, None] * V
            back += leaves if form.plain[k - 1] else form.c[k - 1][:, None] * leaves
            for j, W in form.W[k - 1].items():
                S[j] = S[j] + W.T @ back if j in S else W.T @ back
        image[blocks[0]] = S[0] / np.linalg.norm(S[0])
        return forward.value, forward.rows, image, t

    def raised(self, share: float) -> Array:
        """The multipliers, raised from the output side by 1 + share per layer (`lipctrl.lmi.feasible.inside`)."""
        return np.asarray(self.t * (1 + share) ** np.repeat(np.arange(self.form.depth, 0, -1), self.form.sizes[1:]))

    def narrow(self) -> None:
        """Fewer columns, where the rest has all but vanished; what was added once stays."""
        weighted = self.weight() * self.current
        squares, turn = np.linalg.eigh(weighted.T @ weighted)
        size, turn = np.sqrt(np.maximum(squares[::-1], 0.0)), turn[:, ::-1]
        few = (size[1:] < DROP * size[:-1]) & (size[1:] < SMALL * size[0])
        if not self.widened and np.any(few):
            self.next = self.current @ turn[:, : 1 + int(np.argmax(few))]
            self.anderson.forget()

    def widen(self, rng: np.random.Generator, more: int) -> None:
        """More columns, random ones."""
        rows = len(self.current)
        size = WIDENED * np.linalg.norm(self.current, axis=1, keepdims=True) / np.sqrt(more)
        self.next = np.hstack([self.current, size * rng.standard_normal((rows, more))])
        self.widened = True
        self.anderson.forget()
