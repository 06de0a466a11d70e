"""What later versions of Python have in the standard library."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 13):
    from warnings import deprecated as deprecated
else:
    # Installed with aiohttp and anyio, which need it there themselves.
    from typing_extensions import deprecated as deprecated
