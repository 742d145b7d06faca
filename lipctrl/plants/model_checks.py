"""Whether a model's equations are what they must be: one function, the same on every kind of number.

They are run at a few points of the domain on floats, arrays, derivative numbers and intervals, and recorded as a
program. Where these disagree, no proof about the program would be one about the plant. Samples, no proof: a model that
means to deceive can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import product
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import PlantError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model, is_cached
from lipctrl.plants.plant import checked_dt
from lipctrl.plants.program import ADVICE, Program, record_model

Array = NDArray[np.float64]

_POINTS, _AGREE = 6, 1e-9


def check_model(model: Model) -> None:
    """Whether the model is well formed.

    Raises
    ------
    PlantError
        If an attribute is missing or has the wrong size; if step does not clip actions to the limits that the model
        states; if what is made of step and observe is overridden; if step or observe fails on a kind of number or
        returns too few or too many of them, depends on something other than its arguments, keeps something in the
        model, or is not the program recorded; if full turns of an angle change it; if the class, built with the extreme
        values of uncertain parameters, gives another plant.
    """
    _check_sizes(model)
    _check_derived(model)
    _check_memory(model)
    programs = record_model(model)
    angles_of(model)
    _check_parameters(model, programs)
    _check_rebuilt(model)
    n, q = model.n_states, len(model.uncertain)
    for place, values in enumerate(_points(model)):
        _check_limits(model, programs[0], values, nominal=place == 0 or not model.uncertain)
        given = values[:n], values[n : len(values) - q], values[len(values) - q :]
        _compare("step", model, lambda m, x, u: m.step(x, u), given, programs[0])
        _compare("observe", model, lambda m, x, u: m.observe(x), (given[0], given[1][:0], given[2]), programs[1])


def angles_of(model: Model) -> NDArray[np.bool_]:
    """The states of period 2 pi, the real number, shape (n,): full turns of them are seen to turn the next state alone.

    Raises
    ------
    PlantError
        If they are not. A proof that takes states full turns apart for one would be none.
    """
    angles = np.abs(model.periods - 2 * np.pi) < 1e-12
    for i in np.flatnonzero(angles).tolist():
        step, observe = record_model(model)
        if any(turn != 0 for turn in observe.turns(i)) or step.turns(i) != [int(i == j) for j in range(model.n_states)]:
            name = model.state_names[i] if len(model.state_names) else f"x[{i}]"
            raise PlantError(
                f"The {name} of {model.name} has the period 2 pi, but it is not seen that full turns leave the "
                "equations alone: it must be used through sin and cos alone, and be observed through them.",
                "Write sin(2 x) as 2 sin(x) cos(x), or give it the period 0.",
            )
    return angles


def _check_sizes(model: Model) -> None:
    n, m, p = (_attribute(model, name) for name in ("n_states", "n_actions", "n_observations"))
    if checked_dt(_attribute(model, "dt")) != model.dt:
        raise PlantError(f"The dt of the model {model.name} is {model.dt!r}, expected a number of seconds.")
    wanted = {"state_names": n, "action_names": m, "observation_names": p, "periods": n}
    wanted |= {"state_low": n, "state_high": n, "action_low": m, "action_high": m}
    for name, size in wanted.items():
        value = _attribute(model, name)
        given = np.shape(value)
        if given != (size,) and not (name.endswith("_names") and given == (0,)):
            raise PlantError(
                f"The {name} of the model {model.name} has shape {given}, expected {(size,)}.",
                "Give one entry for each state, action or observation.",
            )
    for name in ("periods", "state_low", "state_high", "action_low", "action_high"):
        if not isinstance(getattr(model, name), np.ndarray):
            raise PlantError(f"The {name} of the model {model.name} is no numpy array.", "Give one: np.array([...]).")
    if not (model.goal is None or isinstance(model.goal, Goal)):
        raise PlantError(
            f"The goal of the model {model.name} is {model.goal!r}.", "Give a lipctrl.plants.goal.Goal or None."
        )
    try:
        copy(model).goal = model.goal
    except AttributeError as error:
        raise PlantError(
            f"No copy of the model {model.name} can be given another goal ({error}).",
            "Let its attributes be set: a dataclass without frozen=True.",
        ) from error
    for name in ("state", "action"):
        low, high = (np.asarray(getattr(model, f"{name}_{side}"), dtype=np.float64) for side in ("low", "high"))
        if not np.all(low <= high) or (name == "state" and not np.all(np.isfinite(low) & np.isfinite(high))):
            raise PlantError(
                f"The {name}_low and {name}_high of the model {model.name} are {low} and {high}.",
                "Give low <= high, for the states finite numbers: the box from which simulations start.",
            )


def _attribute(model: Model, name: str) -> Any:
    if not hasattr(model, name):
        raise PlantError(
            f"The model {model.name} has no attribute {name}.", "lipctrl.plants.dynamics.Dynamics says what it needs."
        )
    return getattr(model, name)


def _check_derived(model: Model) -> None:
    """Whether all that is made from step and observe is."""
    for name in ("advance", "outputs", "residual", "derivatives", "at", "extremes"):
        if getattr(type(model), name) is not getattr(Model, name) or name in vars(model):
            raise PlantError(
                f"The model {model.name} has its own {name}, which would be another plant than that of its equations.",
                "Write step and observe alone.",
            )


def _check_memory(model: Model) -> None:
    """Whether step and observe leave the model as it is: what one call keeps would change, or outlive, the next.

    What is kept of one value of a parameter would be used for all others; cached properties are forgotten in time.
    """
    n, point = model.n_states, next(_points(model))
    x, u, parameters = point[:n], point[n : n + model.n_actions], point[n + model.n_actions :]
    plant = model.at(parameters.tolist())
    before = _kept(plant)
    try:
        with np.errstate(all="ignore"):
            plant.step(tuple(x.tolist()), tuple(u.tolist()))
            plant.observe(tuple(x.tolist()))
    except Exception:
        return  # refused below, in words
    after = _kept(plant)
    for name, (value, length) in after.items():
        if name not in before or before[name][0] is not value or before[name][1] != length:
            raise PlantError(
                f"The step or observe of {model.name} sets its attribute {name!r}.",
                "A plant has no memory but its state: make it a state, or compute it anew (functools.cached_property).",
            )


def _kept(model: Model) -> dict[str, tuple[Any, int]]:
    """The attributes but for cached properties, and how many entries they hold."""
    return {
        name: (value, len(value) if isinstance(value, dict | list | set) else 0)
        for name, value in vars(model).items()
        if not is_cached(model, name)
    }


def _check_parameters(model: Model, programs: Sequence[Program]) -> None:
    """Whether step or observe reads each uncertain parameter itself, not only something computed from it before."""
    q = len(model.uncertain)
    for i, (name, (low, high)) in enumerate(model.uncertain.items()):
        nominal = getattr(model, name)
        if not (np.isfinite(low) and np.isfinite(high) and low < high and low <= nominal <= high):
            raise PlantError(
                f"The parameter {name!r} of {model.name} is {nominal!r}, in the interval {(low, high)!r}.",
                "Give finite ends, low < high, with the nominal value between them (Model.with_uncertain does).",
            )
        if not any(program.reads(program.inputs - q + i) for program in programs):
            raise PlantError(
                f"The equations of {model.name} do not read the uncertain parameter {name!r}.",
                "Compute what depends on it in step or observe, from the attribute of this name.",
            )


def _check_rebuilt(model: Model) -> None:
    """Whether the model built with the extreme values is the one that holds them: what was computed from a parameter
    before, in the constructor, would stay nominal.

    Seen only where the class can be built from its parameters, and gives this very plant at the nominal ones.
    """
    nominal = {name: getattr(model, name) for name in model.parameters}

    def agrees(values: Sequence[float]) -> bool | None:
        try:
            built = type(model)(**{**nominal, **dict(zip(model.uncertain, values, strict=True))})
            pairs = [np.array([_behaviour(m, x) for x in _points(model)]) for m in (built, model.at(values))]
            limits = [np.array(m.limits, dtype=np.float64) for m in (built, model)]
        except Exception:
            return None
        with np.errstate(all="ignore"):
            apart = np.abs(pairs[0] - pairs[1]) > _AGREE * (1.0 + np.abs(pairs[1]))
        return not bool(np.any(apart)) and np.array_equal(limits[0], limits[1], equal_nan=True)

    if not agrees([nominal[name] for name in model.uncertain]):
        return
    for corner in product(*model.uncertain.values()):
        if agrees(corner) is False:
            values = ", ".join(f"{name}={value!r}" for name, value in zip(model.uncertain, corner, strict=True))
            raise PlantError(
                f"{type(model).__name__}({values}) is another plant than {model.name} with these values: something was "
                "computed from a parameter before, and stays what it was.",
                "Compute what depends on an uncertain parameter in step or observe, from the attribute of its name.",
            )


def _behaviour(model: Model, values: Array) -> Array:
    """What a plant does at one state and action."""
    x, u = np.split(values[: model.n_states + model.n_actions], [model.n_states])
    with np.errstate(all="ignore"):
        return np.concatenate([model.advance(x, u), model.outputs(x)])


def _check_limits(model: Model, step: Program, values: Array, nominal: bool) -> None:
    """Whether an action beyond a limit does what one on it does: the proof is about step, an actuator obeys its limit.

    Limits may depend on an uncertain parameter. Those stated are of its nominal value; elsewhere: only whether there
    are any.
    """
    unit = np.minimum(1.0, np.asarray(model.state_high, dtype=np.float64) - model.state_low)
    for i in range(model.n_actions):
        for side, limit, sign in (("low", model.action_low[i], -1.0), ("high", model.action_high[i], 1.0)):
            if not np.isfinite(limit):
                continue
            room = sign * (1.0 + abs(limit))
            ends = np.array([values, values])
            ends[:, model.n_states + i] = limit + room * np.array([0.0, 1.0] if nominal else [1.0, 3.0])
            with np.errstate(all="ignore"):
                on, beyond = (np.array(step(tuple(end)), dtype=np.float64) for end in ends)
            if np.any(np.abs(beyond - on) > _AGREE * (unit + np.abs(on))):
                raise PlantError(
                    f"The action_{side} of {model.name} is {limit:g} for action {i}, but its step does not clip it.",
                    "Clip the action in step with lipctrl.intervals.functions.clip, or state infinite limits.",
                )


def _points(model: Model) -> Iterator[Array]:
    """Fixed points of the domain, as values of the state, the action and the parameters, first their nominal."""
    ends = [
        (np.asarray(model.state_low, dtype=np.float64), np.asarray(model.state_high, dtype=np.float64)),
        (np.asarray(model.action_low, dtype=np.float64), np.asarray(model.action_high, dtype=np.float64)),
    ]
    ends += [(np.array([low]), np.array([high])) for low, high in model.uncertain.values()]
    low, high = (np.concatenate([end[side] for end in ends]) for side in (0, 1))
    low, high = np.where(np.isfinite(low), low, -1.0), np.where(np.isfinite(high), high, 1.0)
    fractions = np.random.default_rng(0).uniform(0.02, 0.98, (_POINTS, len(low)))
    fractions[0, len(low) - len(model.uncertain) :] = 0.5
    yield from low + fractions * (high - low)


def _compare(name: str, model: Model, function: Callable[..., Any], given: Sequence[Array], program: Program) -> None:
    """Run the function at one point in every way that lipctrl does."""
    point = tuple(np.concatenate(given).tolist())
    n, k = len(given[0]), len(given[0]) + len(given[1])

    def run(kind: str, values: Sequence[Any], convert: Callable[[Any], Any]) -> list[Any]:
        try:
            with np.errstate(all="ignore"):
                parts = function(model.at(values[k:]), tuple(values[:n]), tuple(values[n:k]))
                found = [convert(part) for part in parts]
        except Exception as error:
            raise PlantError(
                f"The {name} of {model.name} fails on {kind} ({type(error).__name__}: {error}).", ADVICE
            ) from error
        if len(found) != len(program.outputs):
            raise PlantError(f"The {name} of {model.name} gives {len(found)} {kind}, not {len(program.outputs)}.")
        return found

    def refuse(words: str) -> NoReturn:
        raise PlantError(
            f"The {name} of {model.name} gives {words} at ({', '.join(f'{value:.6g}' for value in point)}).",
            "It must be one function of its arguments alone, without randomness or memory. " + ADVICE,
        )

    first, again = (np.array(run("floats", point, float)) for _ in range(2))
    if not np.array_equal(first, again, equal_nan=True):
        refuse("two different results for the same arguments")
    if not np.all(np.isfinite(first)):
        return  # it is not defined there
    with np.errstate(all="ignore"):
        others = {"as the program recorded": np.array(program(point), dtype=np.float64)}
    pairs = [np.array([value, value]) for value in point]
    others["on arrays"] = np.array(run("arrays", pairs, lambda part: np.broadcast_to(part, (2,))[0]), dtype=np.float64)
    if not np.array_equal(pairs, np.array([point, point]).T):
        refuse("a result and changes its arguments")
    values = run("derivative numbers", Dual.variables(point), lambda part: float(getattr(part, "value", part)))
    others["on derivative numbers"] = np.array(values)
    slack = _AGREE * (1.0 + np.abs(first))
    for words, other in others.items():
        if not np.all(np.abs(other - first) <= slack):
            refuse(f"{first} on floats, but {other} {words}")
    boxes = run("intervals", [Interval(value) for value in point], Interval.exact)
    boxes += run("affine forms", [AffineForm([value]) for value in point], _range)
    for box, value, more in zip(boxes, [*first, *first], [*slack, *slack], strict=True):
        if not (np.all(box.lo <= value + more) and np.all(value - more <= box.hi)):
            refuse(f"{value} on floats, but {box} on intervals")


def _range(part: Any) -> Interval:
    return part.range()[0] if isinstance(part, AffineForm) else Interval.exact(float(part))
