"""Plants: what is accepted, what is refused with advice, and that nothing changes on the way."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import control
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import savemat

from lipctrl.errors import PlantError
from lipctrl.plants.goal import Goal
from lipctrl.plants.plant import Plant
from lipctrl.plants.plant_file import plant_from_file

A, B, C = [[0.9, 0.1], [0.0, 0.8]], [[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def matrices(draw):
    n, m, p = (draw(st.integers(1, 4)) for _ in range(3))
    return tuple(draw(arrays(np.float64, shape, elements=finite)) for shape in ((n, n), (n, m), (p, n), (p, m)))


@settings(max_examples=30, deadline=None)
@given(matrices(), st.sampled_from([0, 0.05, 2]))
def test_a_round_trip_through_python_control_changes_no_bit(data, dt):
    plant = Plant.from_control(control.ss(*data, dt, remove_useless_states=False))
    back = Plant.from_control(plant.to_control())
    for key, value in zip("ABCD", data, strict=True):
        assert np.array_equal(getattr(plant, key), value)
        assert np.array_equal(getattr(back, key), value)
    assert plant.dt == back.dt == dt
    assert back.state_names == plant.state_names


@pytest.mark.parametrize("suffix", ["json", "mat", "npz"])
@settings(max_examples=5, deadline=None)
@given(data=matrices())
def test_a_file_gives_the_numbers_that_were_written(tmp_path_factory, suffix, data):
    path = tmp_path_factory.mktemp("plants") / f"mill.{suffix}"
    content = {**dict(zip("ABCD", data, strict=True)), "dt": 0.1, "x0": np.arange(float(data[0].shape[0]))}
    if suffix == "json":
        path.write_text(json.dumps({k: np.asarray(v).tolist() for k, v in content.items()}))
    elif suffix == "mat":
        savemat(path, content)
    else:
        np.savez(path, **content)
    plant = plant_from_file(path)
    for key, value in zip("ABCD", data, strict=True):
        assert np.array_equal(getattr(plant, key), value)
    assert (plant.dt, plant.name) == (0.1, "mill")
    assert np.array_equal(plant.x0, content["x0"])


def test_names_and_operating_point_come_along():
    sys = control.ss(A, B, C, 0, 0.05, states=["p", "v"], inputs=["force"], outputs=["a", "b", "c"], name="cart")
    plant = Plant.from_control(sys, x0=[1, 2], goal=Goal([1, 2], 0.1))
    assert (plant.state_names, plant.input_names, plant.output_names) == (("p", "v"), ("force",), ("a", "b", "c"))
    assert plant.name == "cart"
    assert plant.x0.tolist() == [1, 2]
    assert plant.goal.contains(plant.x0)


def test_nothing_can_be_changed_afterwards():
    source = np.array(A)
    plant = Plant(source, B, C, dt=0.05)
    source[0, 0] = 7
    assert plant.A[0, 0] == 0.9
    for key in ("A", "B", "C", "D", "x0", "u0", "y0"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(plant, key)[0] = 1
    assert np.array_equal(replace(plant, name="other").A, plant.A)


def test_the_certificate_form_reads_back_exactly():
    plant = Plant(A, B, C, dt=0.1, x0=[1 / 3, -0.0])
    form = plant.to_dict()
    assert [[float.fromhex(v) for v in row] for row in form["A"]] == A
    assert float.fromhex(form["dt"]) == 0.1
    assert [float.fromhex(v) for v in form["x0"]] == [1 / 3, 0.0]


@pytest.mark.parametrize("dt", [None, True, False, -1, float("nan"), float("inf"), "fast"])
def test_an_unspecified_sampling_time_is_refused(dt):
    with pytest.raises(PlantError, match="dt") as caught:
        Plant(A, B, C, dt=dt)
    assert "dt = 0 for continuous" in caught.value.advice


@pytest.mark.parametrize("dt", [None, True])
def test_an_unspecified_time_base_of_python_control_is_refused(dt):
    with pytest.raises(PlantError, match="unspecified"):
        Plant.from_control(control.ss(A, B, C, 0, dt))


@pytest.mark.parametrize(
    ("matrices", "what"),
    [
        (([[1, 2, 3], [4, 5, 6]], B, C), "A has shape"),
        ((A, [[1.0]], C), "B has shape"),
        ((A, B, [[1.0]]), "C has shape"),
        ((A, B, C, [[1.0]]), "D has shape"),
        ((A, [0, 1], C), "B has 1 dimensions"),
        (([[1, 2], [3]], B, C), "A is not an array"),
        (([[1j, 0], [0, 1]], B, C), "A is not an array of real"),
        (([["a", 0], [0, 1]], B, C), "A is not an array"),
        (([[np.nan, 0], [0, 1]], B, C), "A holds NaN"),
        ((A, [[np.inf], [0]], C), "B holds NaN or infinite"),
        ((np.zeros((0, 0)), np.zeros((0, 1)), np.zeros((1, 0))), "0 states"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(matrices, what):
    with pytest.raises(PlantError, match=what) as caught:
        Plant(*matrices, dt=0.1)
    assert caught.value.advice


@pytest.mark.parametrize("keywords", [{"x0": [1]}, {"u0": [1, 2]}, {"y0": [1]}, {"x0": [np.nan, 0]}])
def test_operating_points_that_do_not_fit_are_refused(keywords):
    with pytest.raises(PlantError, match=next(iter(keywords))):
        Plant(A, B, C, dt=0.1, **keywords)


@pytest.mark.parametrize("keywords", [{"state_names": ["x"]}, {"input_names": "u"}, {"goal": Goal([0, 0, 0], 1)}])
def test_names_and_goals_that_do_not_fit_are_refused(keywords):
    with pytest.raises(PlantError):
        Plant(A, B, C, dt=0.1, **keywords)


def test_what_is_no_state_space_is_refused_with_the_way_out():
    with pytest.raises(PlantError, match="TransferFunction") as caught:
        Plant.from_control(control.tf([1], [1, 1]))
    assert "control.ss(sys)" in caught.value.advice
    with pytest.raises(PlantError, match="ndarray"):
        Plant.from_control(np.eye(2))


def test_files_that_say_too_little_are_refused(tmp_path):
    def written(name, **content):
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    with pytest.raises(PlantError, match="does not say its sampling time"):
        plant_from_file(written("a.json", A=A, B=B, C=C))
    with pytest.raises(PlantError, match="B are missing"):
        plant_from_file(written("b.json", A=A, C=C, dt=0.1))
    with pytest.raises(PlantError, match="unknown keys Ts"):
        plant_from_file(written("c.json", A=A, B=B, C=C, Ts=0.1, dt=0.1))
    with pytest.raises(PlantError, match="unspecified"):
        plant_from_file(written("d.json", A=A, B=B, C=C, dt=None))
    with pytest.raises(PlantError, match="no file"):
        plant_from_file(tmp_path / "missing.json")
    with pytest.raises(PlantError, match="not a plant file"):
        plant_from_file(tmp_path / "plant.pkl")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(PlantError, match="not a JSON object"):
        plant_from_file(tmp_path / "list.json")
    np.savez(tmp_path / "e.npz", A=A, B=B, C=C, dt=[0.1, 0.2])
    with pytest.raises(PlantError, match="dt has 2 entries"):
        plant_from_file(tmp_path / "e.npz")


def test_files_that_can_be_read_in_two_ways_are_refused(tmp_path):
    """A feedthrough under another name was taken for zero, and of two matrices of one name the last was read."""
    plant = {"A": [[0.5]], "B": [[1.0]], "C": [[1.0]], "dt": 0.1}
    path = tmp_path / "plant.json"
    path.write_text(json.dumps(plant)[:-1] + ', "A": [[2.0]]}')
    with pytest.raises(PlantError, match="twice"):
        plant_from_file(path)
    path = tmp_path / "plant.npz"
    np.savez(path, **plant, d=[[1.0]])
    with pytest.raises(PlantError, match="unknown keys d"):
        plant_from_file(path)
    np.savez(path, **plant)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("A", archive.read("B.npy"))
    with pytest.raises(PlantError, match="twice"):
        plant_from_file(path)
    path = tmp_path / "plant.mat"
    savemat(path, plant | {"d": 1.0})
    with pytest.raises(PlantError, match="holds d, but no D"):
        plant_from_file(path)
    savemat(path, plant | {"D": 0.0, "d": 1.0, "k": 3.0})
    assert plant_from_file(path).D.tolist() == [[0.0]]
    first = path.read_bytes()
    savemat(path, {"A": 2.0})
    path.write_bytes(first + path.read_bytes()[128:])
    with pytest.raises(PlantError, match="twice"):
        plant_from_file(path)


@pytest.mark.parametrize("suffix", ["json", "mat", "npz"])
def test_damaged_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"plant.{suffix}"
    path.write_bytes(b"{ not a plant")
    with pytest.raises(PlantError, match=r"could not be read(?!.*allow_pickle)"):
        plant_from_file(path)


def test_a_pickle_inside_a_file_is_never_loaded(tmp_path):
    class Alarm:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    np.savez(tmp_path / "evil.npz", A=np.array([Alarm()], dtype=object), B=B, C=C, dt=0.1)
    with pytest.raises(PlantError, match="could not be read"):
        plant_from_file(tmp_path / "evil.npz")


def test_the_goal_counts_angles_modulo_their_period():
    goal = Goal([0, 0], [0.3, np.inf], [2 * np.pi, 0])
    assert goal.contains([2 * np.pi - 0.2, 100.0])
    assert not goal.contains([np.pi, 0.0])
    assert not goal.contains([np.nan, 0.0])
    assert not goal.contains([0.0, np.inf])
    assert goal.distance([-2 * np.pi + 0.3, 0.4]) == pytest.approx(0.5)


def test_a_box_lies_in_the_goal_with_all_its_states_not_with_its_corners_alone():
    goal = Goal([0, 1], [0.3, np.inf], [2 * np.pi, 0])
    assert goal.contains_box([-0.2, -1e9], [0.2, 1e9]) and goal.contains_box([6.1, 0], [6.5, 0])
    assert not goal.contains_box([-0.1, 0], [0.4, 0])
    assert goal.contains([0.1, 0]) and goal.contains([2 * np.pi - 0.1, 0])
    assert not goal.contains_box([0.1, 0], [2 * np.pi - 0.1, 0]), "nearly a turn: pi lies between"
    for low, high in (([np.nan, 0], [0.1, 0]), ([0.1, 0], [-0.1, 0]), ([0, -np.inf], [0, np.inf])):
        assert not goal.contains_box(low, high)


@pytest.mark.parametrize(
    "arguments", [([np.inf], 1), ([0], -1), ([0], np.nan), ([0, 0], [1, 2, 3]), ([0], 1, [-1]), ([[0]], 1)]
)
def test_goals_that_make_no_sense_are_refused(arguments):
    with pytest.raises(PlantError):
        Goal(*arguments)


def test_a_number_beyond_float64_is_refused(tmp_path):
    path = tmp_path / "plant.json"
    path.write_text('{"A": [[1%s]], "B": [[1]], "C": [[1]], "dt": 0.1}' % ("0" * 400))
    with pytest.raises(PlantError, match="A is not an array of real numbers"):
        plant_from_file(path)


def test_the_words_of_a_goal_name_its_states():
    assert Goal([0.0, -2.0], [0.3, np.inf], [6.0, 0.0], names=("theta", "speed")).words == "|theta| <= 0.3 modulo 6"
    assert Goal([1.0, -2.0], 0.5).words == "|x[0] - 1| <= 0.5, |x[1] + 2| <= 0.5"
