"""`python -m bench.system.worker`: a worker as in production, but for its gateway, which is in its own process."""

import signal
import threading
from dataclasses import replace

from app.bootstrap import create_worker, wire
from app.gateways.registry import Registry
from app.settings import Settings
from bench.system.six import InstantGateway

if __name__ == "__main__":
    wired = wire(Settings())
    running = create_worker(replace(wired, gateways=Registry([InstantGateway()])))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=running.stop).start())
    running.run()
