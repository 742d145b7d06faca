"""Anderson's extrapolation of a fixed-point iteration x <- g(x).

With the residuals f = w (g(x) - x) of the last iterates, the next is g(x) - sum_i a_i dg_i, where a minimises
|f - sum_i a_i df_i| over the differences of g and f from one iterate to the next.
Reference: Walker, Ni, SIAM J. Numer. Anal. 49 (2011).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, solve

from lipctrl.lmi.lmi import Array

#: differences that are combined, and the ridge of their normal equations
MEMORY, RIDGE = 20, 1e-10


class Anderson:
    """The differences of the last iterates; of each, the residual in the weights of its time."""

    def __init__(self) -> None:
        self.steps = self.changes = np.empty((0, 0))
        self.last: tuple[Array, Array] | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.count, self.last, self.gram = 0, None, np.empty((MEMORY, MEMORY))

    def extrapolated(self, x: Array, image: Array, weight: Array) -> Array:
        """The next iterate, after x with g(x) = `image`."""
        residual = weight * (image - x)
        if self.last is not None:
            before, image_before = self.last
            self._remember(image - image_before, residual - weight * (image_before - before))
        self.last = (x, image)
        held = min(self.count, MEMORY)
        if not held:
            return image
        scale = 1 / np.sqrt(np.diagonal(self.gram)[:held])
        matrix = self.gram[:held, :held] * scale[:, None] * scale + RIDGE * np.eye(held)
        against = scale * (self.changes[:held] @ residual.reshape(-1))
        try:
            share = scale * solve(matrix, against, assume_a="pos", check_finite=False)
        except LinAlgError:
            self.forget()
            return image
        return np.asarray(image - (share @ self.steps[:held]).reshape(image.shape))

    def _remember(self, step: Array, change: Array) -> None:
        """Keep the differences of the images and of the residuals, in place of the oldest."""
        if self.steps.shape[1] != step.size:
            self.steps, self.changes = np.empty((MEMORY, step.size)), np.empty((MEMORY, step.size))
        place, held = self.count % MEMORY, min(self.count + 1, MEMORY)
        self.steps[place], self.changes[place] = step.reshape(-1), change.reshape(-1)
        products = self.changes[:held] @ self.changes[place]
        self.gram[place, :held] = self.gram[:held, place] = products
        self.count += 1
        if not products[place] > 0:
            self.forget()
