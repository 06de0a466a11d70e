"""An emulator of Cloudflare AI Gateway billing, to test an application against.

It is a real HTTP server on the loopback interface. It keeps the state of its accounts as the real
service does, records every request and charge, and fails when told to:

    from cfaigw_billing import AsyncCloudflare
    from cfaigw_billing.testing import Emulator, Fault

    async with Emulator() as emulator:
        account = emulator.add_account("acc", balance=640.19)  # cents: $6.40
        async with AsyncCloudflare(
            base_url=emulator.base_url, api_token=emulator.api_token
        ) as client:
            await client.ai_gateway.billing.topup.create(account_id="acc", amount=5000)
            emulator.advance(seconds=2)
            assert account.balance == 5640.19

            emulator.inject(Fault(silence="close", after=True), path="/topup")  # the answer is lost

Blocking code writes `with Emulator() as emulator`. In pytest, the fixture `billing_emulator` is a
running emulator.
"""

from ._faults import Fault
from ._limit import RequestLimit
from ._messages import RecordedRequest
from ._server import Emulator
from ._state import Charge, EmulatedAccount, EmulatedInvoice

__all__ = [
    "Charge",
    "EmulatedAccount",
    "EmulatedInvoice",
    "Emulator",
    "Fault",
    "RecordedRequest",
    "RequestLimit",
]
