"""Which gateways may be tried for a payment, best first."""

from collections.abc import Sequence

from pydantic import Field

from app.access.merchants import merchant_of
from app.gateways.registry import Registry as Gateways
from app.operations import OperationContext, OperationError, Result


class Ranking(Result):
    """Names of gateways in the order to try them; never empty."""

    gateways: list[str] = Field(title="Gateways", description="Names, best first")


def rank(context: OperationContext, preferred: Sequence[str]) -> Ranking:
    """The preferred ones first, then the rest of the merchant's, or of all when the merchant names none.

    NO_ELIGIBLE_GATEWAY when none of them is configured here.
    """
    gateways = context.use(Gateways)
    allowed = merchant_of(context.tx, context.merchant_id).settings.get("gateways") or gateways.names
    ranked = [name for name in dict.fromkeys([*preferred, *allowed]) if name in allowed and name in gateways.names]
    if not ranked:
        raise OperationError("NO_ELIGIBLE_GATEWAY", "None of the merchant's gateways is configured")
    return Ranking(gateways=ranked)
