#!/usr/bin/env python3
"""Django's command line for the example, wherever it is called from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "videos.settings")
    execute_from_command_line(sys.argv)
