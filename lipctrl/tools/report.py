"""Results as JSON and as documents.

Every document carries `schema`, its name and version. A key is added without a new version, never renamed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lipctrl.networks.loading.policy import Policy
from lipctrl.presentation import Document, Facts
from lipctrl.proofs.check import Result
from lipctrl.results import Bound, Region, Report


def report_json(report: Report, certificate: Path | None) -> dict[str, Any]:
    """A report by its keys; `certificate` is the path of the one behind the verdict."""
    return {
        "schema": "lipctrl-report-1",
        "verdict": report.verdict,
        "trust": report.trust,
        "claim": report.claim,
        "model": report.model,
        "arithmetic": report.arithmetic,
        "scope": report.scope,
        "policy": report.policy,
        "plant": report.plant,
        "equilibrium": {key: report.equilibrium.get(key) for key in ("x", "u", "proved", "target_distance")},
        "lipschitz": None
        if report.lipschitz is None
        else {key: getattr(report.lipschitz, key) for key in ("upper", "lower", "product", "method", "norm")},
        "theorems": [
            {
                **{
                    key: getattr(row, key)
                    for key in ("name", "verdict", "trust", "model", "arithmetic", "scope", "reason", "margin")
                },
                "region": _region(row.region),
                "seconds": row.seconds,
            }
            for row in report.theorems
        ],
        "certificate": None if certificate is None else str(certificate),
    }


def _region(region: Region | None) -> dict[str, Any] | None:
    if region is None:
        return None
    of_cells = ("domain_volume", "share", "simulated_share", "least_share", "pairs_share", "final_half_widths")
    more = {"cells": of_cells, "ellipsoids": ("simulated_share",)}.get(region.kind, ())
    return {key: getattr(region, key) for key in ("kind", "volume", *more, "units")}


def bound_document(bound: Bound, policy: Policy) -> Document:
    """A Lipschitz bound for print, with what is to be known of the policy that it is about."""
    document = bound.document()
    notes = Facts(tuple(("Note", note) for note in policy.notes))
    return replace(document, blocks=(*document.blocks, notes)) if policy.notes else document


def bound_json(bound: Bound, policy: Policy, certificate: Path | None) -> dict[str, Any]:
    """A Lipschitz bound by its keys."""
    keys = (
        "upper",
        "lower",
        "product",
        "sdp_lower",
        "sdp_gap",
        "method",
        "solver",
        "norm",
        "region",
        "trust",
        "seconds",
        "status",
        "iterations",
        "note",
    )
    fields = {key: getattr(bound, key) for key in keys} | {"notes": list(policy.notes)}
    return {"schema": "lipctrl-bound-1", **fields, "certificate": None if certificate is None else str(certificate)}


def inspect_json(policy: Policy) -> dict[str, Any]:
    """What a policy's file holds."""
    return {"schema": "lipctrl-inspect-1", **policy.describe()}


def inspect_document(policy: Policy) -> Document:
    """What a policy's file holds, for print."""
    fields = policy.describe()
    title = f"{fields.pop('algorithm')}: {fields.pop('name')}"
    layers, notes = fields.pop("layers"), fields.pop("notes")
    rows = [(key.replace("_", " "), "-" if value is None else str(value)) for key, value in fields.items()]
    chain = [("layers" if i == 0 else "", layer) for i, layer in enumerate(layers)]
    return Document(title, (Facts((*rows, *chain, *(("note", note) for note in notes))),))


def check_json(result: Result, path: Path) -> dict[str, Any]:
    """The checker's answer by its keys."""
    fields = {key: getattr(result, key) for key in ("accepted", "theorem", "claim", "reason")}
    return {"schema": "lipctrl-check-1", **fields, "certificate": str(path)}


def check_document(result: Result, path: Path) -> Document:
    """The checker's answer for print."""
    word = "ACCEPTED" if result.accepted else "REJECTED"
    rows = [
        ("Theorem", result.theorem or "-"),
        *([("Claim", result.claim)] if result.accepted else [("Reason", result.reason)]),
    ]
    return Document(f"{word} {path}", (Facts(tuple(rows)),))
