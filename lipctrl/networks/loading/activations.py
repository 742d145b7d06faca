"""Which scalar nonlinearity the recorded ``activation_fn`` of a policy is."""

from __future__ import annotations

from typing import Any

from lipctrl.errors import LoadError, UnsupportedPolicyError
from lipctrl.networks.loading.arrays import as_number
from lipctrl.networks.loading.inert import Global, Record, kind_of

Nonlinearity = tuple[str, dict[str, float]]

TANH: Nonlinearity = ("tanh", {})
RELU: Nonlinearity = ("relu", {})

# PyTorch class: kind and parameters when called without arguments, and which arguments name which parameter
_KNOWN: dict[str, tuple[Nonlinearity, dict[str, str]]] = {
    "activation.Tanh": (TANH, {}),
    "activation.ReLU": (RELU, {}),
    "activation.ReLU6": (("hardtanh", {"low": 0.0, "high": 6.0}), {}),
    "activation.LeakyReLU": (("leaky_relu", {"negative_slope": 0.01}), {"negative_slope": "negative_slope"}),
    "activation.ELU": (("elu", {"alpha": 1.0}), {"alpha": "alpha"}),
    "activation.GELU": (("gelu", {}), {}),
    "activation.SiLU": (("silu", {}), {}),
    "activation.Softplus": (("softplus", {"beta": 1.0}), {"beta": "beta"}),
    "activation.Sigmoid": (("sigmoid", {}), {}),
    "activation.Hardtanh": (("hardtanh", {"low": -1.0, "high": 1.0}), {"min_val": "low", "max_val": "high"}),
    "linear.Identity": (("identity", {}), {}),
}


def read_activation(value: Any) -> Nonlinearity:
    """Kind and parameters of a recorded PyTorch activation class, or of a ``functools.partial`` of one.

    Raises
    ------
    UnsupportedPolicyError
        For an activation, or a parameter of one, that lipctrl does not model.
    """
    if isinstance(value, Record) and value.calls("functools.partial"):
        return _read_partial(value)
    if isinstance(value, Global) and value.module.startswith("torch.nn.modules."):
        known = _KNOWN.get(f"{value.module.removeprefix('torch.nn.modules.')}.{value.name}")
        if known is not None:
            return known[0]
    raise UnsupportedPolicyError(
        f"The policy uses the activation {kind_of(value)}, which is not modelled.",
        "Known: " + ", ".join(name.split(".")[1] for name in _KNOWN) + ". Train again with one of them.",
    )


def _read_partial(value: Record) -> Nonlinearity:
    state = value.state
    if not isinstance(state, tuple) or len(state) != 4 or not isinstance(state[2], dict | None):
        raise LoadError("The policy's activation is an unreadable functools.partial.", "Save the agent again.")
    function, positional, keywords, _ = state
    kind, parameters = read_activation(function) if isinstance(function, Global) else ("", {})
    known = _KNOWN.get(f"{function.module.removeprefix('torch.nn.modules.')}.{function.name}") if kind else None
    if known is None or positional not in ((), None):
        raise UnsupportedPolicyError("The policy's activation is made by code, not by a class of PyTorch.")
    parameters = dict(parameters)
    for name, given in (keywords or {}).items():
        if name == "inplace":
            continue
        if name not in known[1]:
            raise UnsupportedPolicyError(f"The parameter {name!r} of the activation {kind} is not modelled.")
        parameters[known[1][name]] = as_number(given)
    return kind, parameters
