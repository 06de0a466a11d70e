"""The calls that a client makes itself.

@generated from `_async/calls.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from typing import TypeVar, Unpack

from .._core.options import ReadOptions, RequestOptions
from .._core.untyped import BillingOnly, UntypedParams
from .executor import BlockingExecutor
from ..types import Params

T = TypeVar("T")


class Calls(BillingOnly):
    """The methods of a client that take any parameters, or a path."""

    _executor: BlockingExecutor

    def send(self, params: Params[T], **options: Unpack[ReadOptions]) -> T:
        """Make the call that `params` describes.

        Args:
            params: The parameters, such as `BillingCreditBalanceParams(account_id="…")`; their
                class determines the call and the type of the answer.
            **options: See `ReadOptions`; `max_age` is for calls that only read.

        Raises: `ValueError` or `TypeError` before anything is sent, `APIStatusError`,
            `APIConnectionError`, `APIResponseValidationError`.
        """
        return self._executor.send(params, options)

    def get(self, path: str, *, cast_to: type[T], **options: Unpack[ReadOptions]) -> T:
        """Call an endpoint that has no method here, with GET.

        Args:
            path: The path below `base_url`, such as "/accounts/…/ai-gateway/gateways".
            cast_to: The type to make from the whole answer, envelope included: `dict`, `object`, an
                attrs class or a dataclass; `str` or `bytes` for the unchanged body.
            **options: See `ReadOptions`; `max_age` is only for GET.

        Permission: That of the endpoint. A repeat changes nothing, so the SDK retries it.
        Raises: `APIStatusError`, also if the answer has `success: false`;
            `APIConnectionError`, `APIResponseValidationError`; `ValueError` or `TypeError` before
            anything is sent.
        """
        params = UntypedParams(method="GET", path=path, cast_to=cast_to)
        return self._executor.send(params, options)

    def post(
        self, path: str, *, cast_to: type[T], body: object = None, **options: Unpack[RequestOptions]
    ) -> T:
        """Call an endpoint that has no method here, with POST; `body` is sent as JSON.

        Arguments and errors are those of `get`. The effect of a repeat is not known, so the SDK
        retries it only if nothing can have arrived. Calls that charge a card are refused: use their
        methods.
        """
        params = UntypedParams(method="POST", path=path, cast_to=cast_to, body=body)
        return self._executor.send(params, options)

    def put(
        self, path: str, *, cast_to: type[T], body: object = None, **options: Unpack[RequestOptions]
    ) -> T:
        """Call an endpoint that has no method here, with PUT; `body` is sent as JSON.

        Arguments and errors are those of `get`. The SDK retries it.
        """
        params = UntypedParams(method="PUT", path=path, cast_to=cast_to, body=body)
        return self._executor.send(params, options)

    def patch(
        self, path: str, *, cast_to: type[T], body: object = None, **options: Unpack[RequestOptions]
    ) -> T:
        """Call an endpoint that has no method here, with PATCH; `body` is sent as JSON.

        Arguments and errors are those of `get`. The SDK retries it like `post`.
        """
        params = UntypedParams(method="PATCH", path=path, cast_to=cast_to, body=body)
        return self._executor.send(params, options)

    def delete(
        self, path: str, *, cast_to: type[T], body: object = None, **options: Unpack[RequestOptions]
    ) -> T:
        """Call an endpoint that has no method here, with DELETE; `body` is sent as JSON.

        Arguments and errors are those of `get`. The SDK retries it.
        """
        params = UntypedParams(method="DELETE", path=path, cast_to=cast_to, body=body)
        return self._executor.send(params, options)
