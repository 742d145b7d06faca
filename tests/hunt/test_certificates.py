"""Certificates with a number, a layer, a region or a plant that is not theirs: rejected, or still true.

Each kind of certificate is corrupted in each of its numbers and as a whole. What the checker still accepts is compared
with a referee that shares no line with it (sampling, eigenvalues). And where the numbers of a proof are moved to the
edge, what the proof in process accepts is definite in exact fractions of the checker's own matrix.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs import check as checker
from lipctrl.proofs.certificate import network_block, plant_block
from lipctrl.proofs.verify import holds
from lipctrl.theorems import hinf, lipschitz, lyapunov
from lipctrl.theorems.lyapunov_search import find_global
from tests.hunt.matrices_of_the_checker import rebuilt
from tests.hunt.tally import Tally
from tests.networks_for_tests import linear_feedback, random_network
from tests.proofs.test_check import CERTIFICATES, corrupted, make, numbers, refuted, truly_definite


def accepted(certificate: dict[str, Any]) -> bool:
    """What the checker says, without the detour over a file; anything but Rejected is a fault of the checker."""
    try:
        return bool(checker._derive(certificate, certificate["theorem"]))
    except checker.Rejected:
        return False


def at(certificate: dict[str, Any], path: tuple[Any, ...]) -> Any:
    for key in path:
        certificate = certificate[key]
    return certificate


def whole(rng: np.random.Generator, c: dict[str, Any]) -> str:
    """One change of a larger part; returns its name."""
    changes: list[tuple[str, tuple[Any, ...], Any]] = []
    layers = c.get("network", {}).get("layers", [])
    affine = [k for k, layer in enumerate(layers) if layer["type"] == "affine"]
    if affine:
        k = int(rng.choice(affine))
        changes += [
            ("heavier layer", ("network", "layers", k, "W"), lambda x: 1.25 * x),
            ("other policy", ("network", "layers", k, "W"), lambda x: x + rng.standard_normal(x.shape)),
            ("mirrored layer", ("network", "layers", k, "W"), lambda x: -x),
            ("moved biases", ("network", "layers", k, "b"), lambda x: x + 0.5),
        ]
    if "plant" in c:
        changes += [
            (f"changed {key}", ("plant", key), lambda x: x * 1.2 + 0.05 * rng.standard_normal(x.shape)) for key in "ABC"
        ] + [("moved point", ("plant", "y0"), lambda x: x + 0.3)]
    for path in (("upper",), ("lipschitz", "upper"), ("gamma",), ("hinf", "gamma"), ("rho",), ("lipschitz", "rho")):
        if all(key in at(c, path[:k]) for k, key in enumerate(path)):
            changes.append(("lowered bound", path, lambda x: 0.8 * x))
    for path in (("level",), ("generators",), ("input_set",), ("lipschitz", "input_set")):
        if all(key in at(c, path[:k]) for k, key in enumerate(path)) and at(c, path) is not None:
            if path[-1] == "input_set":
                changes.append(("enlarged box", (*path, "box"), lambda x: 1.5 * x + 0.1))
            else:
                changes.append((f"enlarged {path[-1]}", path, lambda x: 1.5 * x))
    for path in (("bounds",), ("lipschitz", "bounds")):
        if all(key in at(c, path[:k]) for k, key in enumerate(path)):
            k = int(rng.integers(len(at(c, path))))
            changes.append(("tighter slopes", (*path, k, "slope"), lambda x: x * [1, 0.9] + [0.05, 0]))
    name, path, change = changes[rng.integers(len(changes))]
    inner = at(c, path[:-1])
    value = make.unhexed(inner[path[-1]])
    inner[path[-1]] = make.hexed(change(value))
    return name


def judge(tally: Tally, certificate: dict[str, Any], words: str, rng: np.random.Generator) -> None:
    tally.tried += 1
    try:
        if not accepted(certificate):
            tally.count("rejected")
            return
    except Exception as error:
        tally.fail(f"{words}: {type(error).__name__}: {error}")
        return
    tally.count("accepted, and true")
    if refuted(certificate, rng):
        tally.fail(f"{words}: accepted, and false")


def study(count: int, seed: int = 0) -> Tally:
    """Three in four times one number, else a part; kinds in turn, numbers in turn."""
    rng, tally = np.random.default_rng(seed), Tally("corrupted certificates")
    names = list(CERTIFICATES)
    paths = {name: list(numbers(CERTIFICATES[name])) for name in names}
    for places in paths.values():
        rng.shuffle(places)
    with tally.clock():
        for k in range(count):
            name = names[k % len(names)]
            certificate = copy.deepcopy(CERTIFICATES[name])
            if k // len(names) % 4 == 3:
                words = whole(rng, certificate)
            else:
                path = paths[name][(k // len(names)) % len(paths[name])]
                inner = at(certificate, path[:-1])
                inner[path[-1]] = corrupted(float.fromhex(inner[path[-1]]), rng).hex()
                words = str(path)
            judge(tally, certificate, f"{name} {words}", rng)
    return tally


def edge_study(count: int, seed: int = 0) -> Tally:
    """Values moved until the proof in process changes its mind: what it accepts is true, exactly."""
    rng, tally = np.random.default_rng(seed), Tally("proof in process against exact matrices, at the edge")
    with tally.clock():
        while tally.tried < count:
            statement, values, block = stated(rng)
            if statement is None:
                continue
            low, high = 0.0, 1.0  # shares of the way from proved values to values that cannot be
            target = {name: np.zeros_like(value) for name, value in values.items()}
            for _ in range(12):
                middle = (low + high) / 2
                trial = {name: (1 - middle) * values[name] + middle * target[name] for name in values}
                tally.tried += 1
                if not holds(statement.lmi, trial):
                    high = middle
                    continue
                low = middle
                tally.count("proved")
                claim = block[0](statement, trial)
                found = rebuilt({"theorem": block[1], **block[2], **claim})
                if block[1] == "lipschitz" and min(float(t.min()) for t in trial.values()) > 0:
                    smaller = rebuilt({"theorem": block[1], **block[2], **claim}, eliminate=True)
                    tally.count("last layer eliminated")
                    if all(map(truly_definite, smaller.values())) > all(map(truly_definite, found.values())):
                        tally.fail(f"seed {seed}, trial {tally.tried}: definite only after elimination")
                if not all(truly_definite(matrix) for matrix in found.values()):
                    tally.fail(f"{block[1]} seed {seed}, trial {tally.tried}: proved in process, not definite")
                whole = {"format": "lipctrl-certificate", "version": 1, "theorem": block[1], **block[2], **claim}
                if not accepted(json.loads(json.dumps(whole))):
                    tally.count("proved in process, refused by the checker")
    return tally


def stated(rng: np.random.Generator) -> tuple[Any, dict[str, np.ndarray], tuple[Any, str, dict[str, Any]]]:
    """A statement with values at which it is proved."""
    seed = int(rng.integers(10**6))
    which = int(rng.integers(3))
    if which == 0:
        network = random_network((2, 3, 2, 1), ("relu", "tanh", "gelu")[seed % 3], seed)
        one = lipschitz.state(network)
        start = dict(one.lmi.start or {})
        return one, start, (lipschitz.claim, "lipschitz", {"network": network_block(network)})
    A = rng.standard_normal((2, 2))
    A *= rng.uniform(0.3, 0.95) / np.abs(np.linalg.eigvals(A)).max()
    plant = Plant(A, rng.standard_normal((2, 1)), np.eye(2), dt=0.1)
    if which == 1:
        two = hinf.state(plant)
        values = dict(two.lmi.start or {})
        values["gamma_sq"] = np.array([round(4 * float(values["gamma_sq"][0]) + 1) ** 2 / 16.0])
        return two, values, (hinf.claim, "hinf_norm", {"plant": plant_block(plant)})
    loop = Loop(plant, linear_feedback(0.02 * rng.standard_normal((1, 2))))
    found = find_global(loop)
    if found is None:
        return None, {}, (lyapunov.claim, "lyapunov", {})
    blocks = {"network": network_block(loop.network), "plant": plant_block(loop.plant)}
    return found[0], found[1], (lyapunov.claim, "lyapunov", blocks)


def test_corrupted_certificates_are_rejected_or_true() -> None:
    tally = study(30 * len(CERTIFICATES), 5)
    assert not tally.failures
    assert tally.met["rejected"] > tally.tried / 3


def test_proofs_in_process_are_true_at_the_edge() -> None:
    tally = edge_study(150, 1)
    assert not tally.failures
    assert 30 < tally.met["proved"] < 140
    assert tally.met.get("proved in process, refused by the checker", 0) == 0


@pytest.mark.parametrize("name", ["lipschitz-global", "lyapunov-local", "small-gain-local"])
def test_another_policy_is_another_certificate(name: str) -> None:
    """Layers swapped, and the network of another certificate of the same shape."""
    certificate = copy.deepcopy(CERTIFICATES[name])
    layers = certificate["network"]["layers"]
    layers[0]["W"] = [row[::-1] for row in layers[0]["W"]]
    rng = np.random.default_rng(0)
    tally = Tally(name)
    judge(tally, certificate, name, rng)
    assert not tally.failures
    other = Network([Affine(3 * np.ones((4, 2))), Elementwise("tanh", 4), Affine(np.ones((1, 4)))])
    certificate["network"] = network_block(other)
    assert not accepted(certificate)
