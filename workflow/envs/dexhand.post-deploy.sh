#!/usr/bin/env bash
set -euo pipefail
python -m pip install --constraint requirements/compute.txt --constraint requirements/tools.txt --editable .
