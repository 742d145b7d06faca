"""Typed errors: each says what was given, what was expected, and what to do next."""

from __future__ import annotations


class LipctrlError(Exception):
    """Base of every error that lipctrl raises on purpose.

    Parameters
    ----------
    message : str
        What was given and what was expected.
    advice : str
        What to do next.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class LoadError(LipctrlError):
    """A file could not be read as what it claims to be."""


class UnsupportedPolicyError(LoadError):
    """The file is readable, but holds something lipctrl does not model."""


class MissingNormalizerError(LoadError):
    """The agent was trained on normalised observations and its statistics are not at hand."""


class NetworkError(LipctrlError):
    """A network whose layers do not fit together or whose numbers are not finite."""


class PlantError(LipctrlError):
    """A plant of the wrong shape, with an unspecified time base, or not a state-space model."""


class GymnasiumError(PlantError):
    """A Gymnasium environment that cannot be differentiated: no settable state, hidden state, randomness."""


class LoopError(LipctrlError):
    """Plant and policy do not form a well-posed loop (sizes, units, algebraic loop)."""


class SolverError(LipctrlError):
    """An optimiser is not installed, has no licence, or returned nothing usable."""


class SolverFailure(SolverError):
    """An optimiser that is there broke down, or returned numbers of another shape than asked."""


class MemoryLimitError(SolverError):
    """More memory would be needed than is allowed; nothing was allocated."""


class CertificateError(LipctrlError):
    """A certificate that cannot be read or written."""
