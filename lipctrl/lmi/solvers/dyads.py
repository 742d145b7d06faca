"""The LMI as seen by the interior-point method: every term a sum of dyads a b' + b a', or a dense symmetric matrix.

For one inequality M(y) = C + sum_d w_d y_{j(d)} (a_d b_d' + b_d a_d') + sum_s y_{j(s)} S_s, with X, Y symmetric,

    <a b' + b a', Y>                        = 2 a' Y b
    tr((a b' + b a') X (c d' + d c') Y)     = (b'Xc)(a'Yd) + (b'Xd)(a'Yc) + (a'Xc)(b'Yd) + (a'Xd)(b'Yc)

so the Schur complement of the Newton system is four Hadamard products of Gram matrices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lipctrl.lmi.lmi import LMI, Array, Congruence, MatrixInequality, Multiplier, Scaled, Values


class Layout:
    """Where each named variable lies in the flat vector y."""

    def __init__(self, lmi: LMI) -> None:
        self.variables = lmi.variables
        self.start: dict[str, int] = {}
        position = 0
        lower: list[Array] = []
        for variable in lmi.variables:
            self.start[variable.name] = position
            position += variable.n_scalars
            bound = -np.inf if variable.lower is None else variable.lower
            lower.append(np.full(variable.n_scalars, bound))
        self.size = position
        self.lower = np.concatenate(lower)
        self.cost = np.zeros(position)
        for name, weight in lmi.objective.items():
            variable = lmi.variable(name)
            begin = self.start[name]
            coefficient = np.asarray(weight, dtype=np.float64)
            if variable.symmetric:
                row, col = np.triu_indices(variable.size)
                flat = (coefficient + coefficient.T)[row, col]
                flat[row == col] /= 2
                self.cost[begin : begin + variable.n_scalars] = flat
            else:
                self.cost[begin : begin + variable.n_scalars] = coefficient

    def flatten(self, values: Values) -> Array:
        parts = []
        for variable in self.variables:
            value = np.asarray(values[variable.name], dtype=np.float64)
            parts.append(value[np.triu_indices(variable.size)] if variable.symmetric else value.reshape(-1))
        return np.concatenate(parts)

    def unflatten(self, y: Array) -> dict[str, Array]:
        values: dict[str, Array] = {}
        for variable in self.variables:
            begin = self.start[variable.name]
            part = y[begin : begin + variable.n_scalars].copy()
            if variable.symmetric:
                full = np.zeros((variable.size, variable.size))
                full[np.triu_indices(variable.size)] = part
                part = full + np.triu(full, 1).T
            values[variable.name] = part
        return values


class Dyads:
    """One matrix inequality in dyads."""

    def __init__(self, inequality: MatrixInequality, layout: Layout) -> None:
        n = inequality.order
        self.order = n
        self.scale = np.ones(n)
        self.constant = np.zeros((n, n)) if inequality.constant is None else inequality.constant.mid
        left: list[Array] = []
        right: list[Array] = []
        index: list[NDArray[np.intp]] = []
        weight: list[Array] = []
        self.dense: list[tuple[int, Array]] = []
        for term in inequality.terms:
            begin = layout.start[term.variable]
            if isinstance(term, Multiplier):
                rows = term.A.rows
                variable = next(v for v in layout.variables if v.name == term.variable)
                own = np.arange(rows) if variable.size > 1 else np.zeros(rows, dtype=np.intp)
                left.append(term.A.dense(inequality.sizes))
                right.append(term.B.dense(inequality.sizes))
                index.append(begin + own)
                weight.append(np.ones(rows))
            elif isinstance(term, Congruence):
                F, G = term.F.dense(inequality.sizes), term.G.dense(inequality.sizes)
                i, j = np.triu_indices(term.F.rows)
                entry = begin + np.arange(len(i))
                off = i != j
                left += [F[i], F[j[off]]]
                right += [G[j], G[i[off]]]
                index += [entry, entry[off]]
                weight += [np.full(len(i), term.weight), np.full(int(off.sum()), term.weight)]
            elif isinstance(term, Scaled):
                self.dense.append((begin, term.S.mid))
        empty = np.zeros((0, n))
        self.U = np.concatenate([*left, empty])
        self.V = np.concatenate([*right, empty])
        column = np.concatenate([*index, np.zeros(0, dtype=np.intp)]).astype(np.intp)
        data = np.concatenate([*weight, np.zeros(0)])
        #: (variables x dyads), so that gradients and Hessians of dyads are summed per variable
        self.sum = sparse.csr_matrix((data, (column, np.arange(len(column)))), shape=(layout.size, len(column)))
        self.size = layout.size

    def rescale(self, scale: Array) -> None:
        """Congruence of the whole inequality with diag(scale), which changes neither feasibility nor objective."""
        outer = np.outer(scale, scale)
        self.scale = self.scale * scale
        self.constant = self.constant * outer
        self.U, self.V = self.U * scale, self.V * scale
        self.dense = [(j, S * outer) for j, S in self.dense]

    def linear(self, y: Array) -> Array:
        """M(y) - C."""
        half = self.U.T @ ((self.sum.T @ y)[:, None] * self.V)
        out = half + half.T
        for j, S in self.dense:
            out += y[j] * S
        return out

    def adjoint(self, Y: Array) -> Array:
        """<A_j, Y> for every variable j, Y symmetric."""
        out = self.sum @ (2 * np.einsum("ij,ij->i", self.U @ Y, self.V))
        for j, S in self.dense:
            out[j] += np.vdot(S, Y)
        return out

    def hessian(self, X: Array, Y: Array) -> Array:
        """tr(A_i X A_j Y) for all pairs of variables."""
        UX, VX, UY, VY = self.U @ X, self.V @ X, self.U @ Y, self.V @ Y
        cross = (VX @ self.U.T) * (UY @ self.V.T)
        dyad = cross + cross.T + (VX @ self.V.T) * (UY @ self.U.T) + (UX @ self.U.T) * (VY @ self.V.T)
        out = np.asarray(self.sum @ (self.sum @ dyad).T)
        for j, S in self.dense:
            SY = S @ Y
            XSY = X @ SY
            column = self.sum @ (
                np.einsum("ij,ij->i", self.U @ XSY, self.V) + np.einsum("ij,ij->i", self.V @ XSY, self.U)
            )
            out[j] += column
            out[:, j] += column
            for i, R in self.dense:
                out[i, j] += np.vdot((R @ X).T, SY)
        return (out + out.T) / 2
