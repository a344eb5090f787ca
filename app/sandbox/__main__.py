"""`python -m app.sandbox`: one sandbox company as its own process, until SIGTERM or Ctrl-C."""

import argparse
import signal
import sys
from pathlib import Path

from app.kit.crypto import signing_key
from app.sandbox.config import SandboxConfig
from app.sandbox.server import RunningSandbox


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.sandbox", description="A payment gateway to test against")
    parser.add_argument("--name", required=True, help="what the company is called, e.g. sandbox_a")
    parser.add_argument("--data", required=True, type=Path, help="folder of its books")
    parser.add_argument("--api-key", required=True, help="what callers authenticate with")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed on the first line")
    parser.add_argument("--webhook-url", default="", help="where events are sent; none: they are kept")
    parser.add_argument("--webhook-secret", default="", help="whsec_...; needed with --webhook-url")
    parser.add_argument(
        "--healthy-for",
        action="append",
        default=[],
        metavar="METHOD",
        help="approve this payment method instead of its special behaviour; may be repeated",
    )
    parser.add_argument("--settle-seconds", type=float, default=3, help="until pending things are decided")
    parser.add_argument("--dispute-seconds", type=float, default=2, help="from a capture to its dispute")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    if given.webhook_url:
        signing_key(given.webhook_secret)
    config = SandboxConfig(
        name=given.name,
        data=given.data,
        api_key=given.api_key,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        healthy_for=frozenset(given.healthy_for),
        settle_seconds=given.settle_seconds,
        dispute_seconds=given.dispute_seconds,
    )
    # Blocked before any thread starts, so that only the sigwait below ever receives them.
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    sandbox = RunningSandbox(config, given.host, given.port)
    sys.stdout.write(f"{given.name} listens on {sandbox.base_url}\n")
    sys.stdout.flush()
    signal.sigwait(stopping)
    sandbox.close()


if __name__ == "__main__":
    main()
