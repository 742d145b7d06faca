"""Makers of files as Stable-Baselines3 and PyTorch write them, opcode by opcode, without either."""

from __future__ import annotations

import base64
import io
import itertools
import json
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space

PPO = ("stable_baselines3.common.policies", "ActorCriticPolicy")
SAC = ("stable_baselines3.sac.policies", "SACPolicy")
TD3 = ("stable_baselines3.td3.policies", "TD3Policy")
DQN = ("stable_baselines3.dqn.policies", "DQNPolicy")
ARS = ("sb3_contrib.ars.policies", "ARSPolicy")

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def fragment(value: Any) -> bytes:
    """The instructions that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    """The instruction that imports a name."""
    return f"c{module}\n{attribute}\n".encode()


def whole(*fragments: bytes) -> bytes:
    return b"\x80\x02" + b"".join(fragments) + b"."


def table(entries: dict[str, bytes]) -> bytes:
    """The instructions that push a dictionary of values given as instructions."""
    return b"}(" + b"".join(fragment(key) + value for key, value in entries.items()) + b"u"


def built(module: str, attribute: str, state: bytes) -> bytes:
    """The instructions that make an object and set its state."""
    return name(module, attribute) + b")\x81" + state + b"b"


def storage(kind: str, key: str, count: Any, legacy: bool) -> bytes:
    last = fragment(count) + (b"N" if legacy else b"")
    return b"(" + fragment("storage") + name("torch", kind) + fragment(key) + fragment("cpu") + last + b"tQ"


def tensor(
    key: str,
    size: Any,
    stride: Any,
    offset: Any = 0,
    count: Any = None,
    kind: str = "FloatStorage",
    legacy: bool = False,
) -> bytes:
    count = int(np.prod(size)) if count is None else count
    pieces = [storage(kind, key, count, legacy), fragment(offset), fragment(size), fragment(stride), b"\x89"]
    hooks = name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + b"".join(pieces) + hooks + b"tR"


def ordered(entries: dict[str, bytes]) -> bytes:
    pairs = b"".join(fragment(key) + value for key, value in entries.items())
    return name("collections", "OrderedDict") + b")R(" + pairs + b"u"


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return stream.getvalue()


def torch_zip(state: dict[str, np.ndarray], **extra: bytes) -> bytes:
    tensors, members = {}, {}
    for position, (key, array) in enumerate(state.items()):
        tensors[key] = tensor(str(position), array.shape, contiguous(array.shape), kind=STORAGES[array.dtype.name])
        members[f"archive/data/{position}"] = array.tobytes()
    return zipped({"archive/data.pkl": whole(ordered(tensors)), **members, **extra})


def torch_legacy(state: dict[str, np.ndarray]) -> bytes:
    tensors, raw = {}, b""
    for position, (key, array) in enumerate(state.items()):
        kind = STORAGES[array.dtype.name]
        tensors[key] = tensor(str(position), array.shape, contiguous(array.shape), kind=kind, legacy=True)
        raw += struct.pack("<q", array.size) + array.tobytes()
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, 2)
    keys = pickle.dumps([str(position) for position in range(len(state))], 2)
    return head + system + whole(ordered(tensors)) + keys + raw


def serialized(content: bytes) -> dict[str, str]:
    return {":type:": "text for people", ":serialized:": base64.b64encode(content).decode()}


def box(low: Any, high: Any, dtype: Any = np.float32) -> Box:
    return Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


def random_state(
    policy: tuple[str, str], sizes: list[int], rng: np.random.Generator, sde: bool = False
) -> dict[str, Any]:
    """Parameters of an MLP in the layout of a policy class."""
    hidden = {PPO: "mlp_extractor.policy_net.", SAC: "actor.latent_pi.", TD3: "actor.mu."}.get(policy, "action_net.")
    hidden = "q_net.q_net." if policy == DQN else hidden
    last = {PPO: "action_net", SAC: "actor.mu.0" if sde else "actor.mu"}.get(policy)
    state = {}
    for position, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        key = last if last and position == len(sizes) - 2 else f"{hidden}{2 * position}"
        state[f"{key}.weight"] = rng.normal(size=(n_out, n_in)).astype(np.float32)
        state[f"{key}.bias"] = rng.normal(size=n_out).astype(np.float32)
    return state


def sb3_zip(
    policy: tuple[str, str],
    state: dict[str, np.ndarray],
    observations: Space,
    actions: Space,
    keywords: bytes | dict[str, Any] | None = None,
    members: dict[str, bytes] | None = None,
    **entries: Any,
) -> bytes:
    """A zip as ``model.save`` writes it. `keywords` as bytes are the instructions of pickled policy_kwargs."""
    kwargs = serialized(whole(keywords)) if isinstance(keywords, bytes) else (keywords or {})
    data = {
        "policy_class": serialized(whole(name(*policy))),
        "policy_kwargs": kwargs,
        "observation_space": serialized(pickle.dumps(observations)),
        "action_space": serialized(pickle.dumps(actions)),
        "use_sde": False,
        **entries,
    }
    parts = {
        "data": json.dumps(data).encode(),
        "policy.pth": torch_zip(state),
        "_stable_baselines3_version": b"2.9.2",
    }
    return zipped({**parts, **(members or {})})


def vecnormalize(mean: Any, var: Any, space: Space | None = None, **state: Any) -> bytes:
    """A pickle as ``VecNormalize.save`` writes it."""
    moments = {
        "mean": fragment(np.asarray(mean, float)),
        "var": fragment(np.asarray(var, float)),
        "count": fragment(9.0),
    }
    statistics = built("stable_baselines3.common.running_mean_std", "RunningMeanStd", table(moments))
    plain = {"epsilon": 1e-8, "clip_obs": 10.0, "norm_obs": True, "training": False, **state}
    entries = {"obs_rms": statistics} | {key: fragment(value) for key, value in plain.items()}
    if space is not None:
        entries["observation_space"] = fragment(space)
    return whole(built("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize", table(entries)))
