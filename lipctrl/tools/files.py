"""The files of the output folder: certificates, report, picture."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from lipctrl.networks.loading.policy import Policy
from lipctrl.proofs.certificate import write_certificate
from lipctrl.results import Bound, Report
from lipctrl.theorems import levels_row, region_row, sector_row
from lipctrl.theorems.rows import ROWS, certificate_with_head
from lipctrl.tools.output import certificate_name, staged, to_json
from lipctrl.tools.plot import save_picture
from lipctrl.tools.report import report_json

REPORT = "report.json"
PICTURE = "report.png"
LIPSCHITZ = "lipschitz"
CLAIMS = (LIPSCHITZ, *ROWS, region_row.NAME, region_row.DOMAIN, levels_row.NAME, sector_row.NAME)
"""All that have certificates: those of an earlier run, of another policy perhaps, do not stay beside a report."""


def write_report(report: Report, folder: str | Path) -> tuple[dict[str, Any], list[Path]]:
    """Write certificates, report and picture into `folder`.

    Returns
    -------
    content : dict
        What report.json holds.
    files : list of Path
        The certificate behind the verdict first, the picture last.
    """
    folder = Path(folder)
    names = {claim: certificate_name(claim) for claim in report.certificates}
    headline = folder / names[report.headline] if report.headline in names else None
    content = report_json(report, headline)
    with staged(folder, tuple(map(certificate_name, CLAIMS))) as stage:
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
        with contextlib.suppress(OSError):  # one of an earlier run says something else
            (folder / name).unlink()
        return None
    with staged(folder) as stage:
        described = policy.summary() | {"network_sha256": policy.network.sha256}
        write_certificate(certificate_with_head(bound.certificate, described, bound.words), stage / name)
    return folder / name
