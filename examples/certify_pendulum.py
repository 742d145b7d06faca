"""Certify a trained policy on Gymnasium's pendulum, write what was proved, and check one of the certificates again."""

from __future__ import annotations

from pathlib import Path

import lipctrl
from lipctrl.tools.files import write_report

report = lipctrl.certify(lipctrl.load_policy("policies/pendulum-ppo"), "Pendulum-v1")
print(report)

content, files = write_report(report, Path("lipctrl-out"))
print("\nverdict behind:", content["certificate"])
print(lipctrl.check(files[0]).claim)
