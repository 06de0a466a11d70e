"""The proxy in the environment: `HTTPS_PROXY`, `NO_PROXY`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from .._wire.secrets import Secret


def environment_proxy(base_url: str) -> Mapping[str, Any]:
    """Return the options that send a request through the proxy of the environment, if any."""
    address = URL(base_url)
    # Plain http is only for this machine, and a proxy must not see the credentials.
    if address.scheme != "https" or proxy_bypass(address.host or ""):
        return {}
    value = Secret(getproxies().get("https") or "")
    if not value:
        return {}
    options = _proxy_options(value)
    if options is None:
        raise ValueError(
            "HTTPS_PROXY must be the address of a proxy, such as http://host:8080 or "
            "http://user:password@host:8080 (special characters in it percent-encoded)"
        )
    return options


def _proxy_options(value: Secret) -> Mapping[str, Any] | None:
    """Return the address of a proxy, and its password as a header; `None` if it is not valid.

    If the password were in the address, aiohttp would keep it in its errors.
    """
    try:
        url = URL(value if "://" in value else f"http://{value}")
        port = url.port
    except ValueError:
        return None
    if (
        url.scheme not in ("http", "https")
        or not (url.host and port)
        or url.path_qs + url.raw_fragment != "/"
    ):
        return None
    if url.raw_user is None and url.raw_password is None:
        return {"proxy": url}
    credentials = unquote_to_bytes(f"{url.raw_user or ''}:{url.raw_password or ''}")
    header = Secret(f"Basic {b64encode(credentials).decode()}")
    return {"proxy": url.with_user(None), "proxy_headers": {"Proxy-Authorization": header}}
