"""Tell a Slack channel when credit runs low, once, and when it is back. For cron.

    CLOUDFLARE_API_TOKEN=…             # with AI Gateway Read and Account Settings Read
    SLACK_WEBHOOK_URL=…                # an incoming webhook; whoever knows it can post
    */15 * * * *  python slack_alert.py low_accounts.json

The file remembers which accounts are low. It changes only when Slack has taken the message, so a
message may come twice, but none is lost. What cannot be read keeps its state.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import aiohttp

from cfaigw_billing import AsyncCloudflare, CloudflareError, CreditBalances, Money

THRESHOLD = Money.dollars(10)
TIMEOUT = aiohttp.ClientTimeout(total=10)

log = logging.getLogger(__name__)


class WebhookError(Exception):
    """Slack did not take the message."""


async def alert(
    client: AsyncCloudflare, webhook_url: str, threshold: Money, already_low: set[str]
) -> set[str]:
    """Post which accounts have become low, and which no longer are; all that are low now."""
    balances = await client.ai_gateway.billing.credit_balances()
    low = balances.below(threshold).keys()
    newly, recovered = low - already_low, (already_low & balances.keys()) - low
    for account_id, error in balances.failed.items():
        log.warning("%s could not be read: %s", account_id, error)
    if newly or recovered:
        news = {
            f"Low, below {threshold}": amounts(balances, newly),
            "No longer low": amounts(balances, recovered),
            "Could not be read": [balances.names[name] for name in sorted(balances.failed)],
        }
        lines = [f"{title}: {', '.join(names)}" for title, names in news.items() if names]
        await post(webhook_url, "\n".join(lines))
    return low | (already_low & balances.failed.keys())


def amounts(balances: CreditBalances, accounts: set[str]) -> list[str]:
    return [f"{balances.names[a]} ({balances[a].balance_money})" for a in sorted(accounts)]


async def post(webhook_url: str, text: str) -> None:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(webhook_url, json={"text": text}, allow_redirects=False) as response,
        ):
            problem = None if response.status == 200 else f"answered {response.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        problem = f"failed with {type(error).__name__}"
    if problem:  # raised here, because errors of aiohttp show the URL, as causes too
        raise WebhookError(f"the webhook {problem}")


async def sweep(webhook_url: str, already_low: set[str]) -> set[str]:
    async with AsyncCloudflare(max_charge=0) as client:  # cannot charge a card
        return await alert(client, webhook_url, THRESHOLD, already_low)


def main(state: Path) -> None:
    already_low = set[str](json.loads(state.read_text())) if state.exists() else set[str]()
    try:
        low = asyncio.run(sweep(os.environ["SLACK_WEBHOOK_URL"], already_low))
    except (CloudflareError, WebhookError) as error:
        sys.exit(str(error))
    new = state.with_suffix(".new")
    new.write_text(json.dumps(sorted(low)))
    new.replace(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
