"""Results as JSON, and as the files of the output folder.

Every document carries `schema`, its name and version. A key is added without a new version, never renamed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipctrl.networks.loading.policy import Policy
from lipctrl.presentation import Document, Facts
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.check import Result
from lipctrl.results import Bound, Region, Report
from lipctrl.theorems.rows import with_certificate_head
from lipctrl.tools.output import certificate_name, staged, to_json

REPORT = "report.json"
PICTURE = "report.png"
LIPSCHITZ = "lipschitz"


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
                    key: getattr(row, key) for key in ("name", "verdict", "trust", "model", "scope", "reason", "margin")
                },
                "region": _region(row.region),
                "seconds": row.seconds,
            }
            for row in report.theorems
        ],
        "certificate": None if certificate is None else str(certificate),
    }


def _region(region: Region | None) -> dict[str, Any] | None:
    return None if region is None else {key: getattr(region, key) for key in ("kind", "volume", "units")}


def bound_json(bound: Bound, certificate: Path | None) -> dict[str, Any]:
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
    )
    fields = {key: getattr(bound, key) for key in keys}
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


def write_report(report: Report, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Write certificates, report and picture into `folder`.

    Returns
    -------
    content : dict
        What report.json holds.
    files : list of Path
        The certificate behind the verdict first, the picture last.
    """
    from lipctrl.tools.plot import save_picture

    names = {claim: certificate_name(claim) for claim in report.certificates}
    headline = folder / names[report.headline] if report.headline in names else None
    content = report_json(report, headline)
    outdated = tuple(certificate_name(name) for name in (LIPSCHITZ, *(row.name for row in report.theorems)))
    with staged(folder, outdated) as stage:
        for claim, name in names.items():
            write_certificate(report.certificates[claim], stage / name)
        (stage / REPORT).write_text(to_json(content) + "\n", encoding="utf-8")
        save_picture(report, stage / PICTURE)
    certificates = sorted((folder / name for name in names.values()), key=lambda path: path != headline)
    return content, [*certificates, folder / REPORT, folder / PICTURE]


def write_bound(bound: Bound, policy: Policy, folder: Path) -> Path | None:
    """Write the certificate of a bound, if it has one; its path."""
    name = certificate_name(LIPSCHITZ)
    if bound.certificate is None:
        return None
    with staged(folder) as stage:
        write_certificate(with_certificate_head(bound.certificate, policy.summary()), stage / name)
    return folder / name
