"""The two operators of a torture: what no lookup could find out they read in the gateway's books, and both say so.

What was parked, because too many workers died with it in their hands, they let go on: they know who killed those.
"""

import threading
from collections import Counter
from typing import Final

from app.errors import AppError
from app.kit.database import Json
from app.traffic.shop import Shop

#: Of the demo's people those who are operators; whoever was first may not be second.
PEOPLE: Final = {"first_person": "operator", "second_person": "admin"}
_EVERY_SECONDS: Final = 3.0


class Operators:
    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="operators", daemon=True)
        self.decided: Counter[str] = Counter()
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            try:
                # A task carries the process of its instance, which is the payment's and not the called one.
                tasks = list(self._shop.every("/v1/tasks", status="open"))
                for task in tasks:
                    if task["element"] in PEOPLE:
                        self._decide(task)
                for instance in list(self._shop.every("/v1/instances", status="incident")):
                    for incident in instance["incidents"]:
                        self._let_go_on(incident)
            except AppError as error:
                self.decided[error.code] += 1  # nobody answered, or somebody else decided: look again

    def _decide(self, task: Json) -> None:
        facts = task["facts"]
        payment = self._shop.get(f"/v1/payments/{facts['payment']}")
        gateway = next((one["gateway"] for one in payment["attempts"] if one["id"] == facts["attempt"]), "")
        if not gateway:
            return  # an answer to a dispute shows at the dispute, whose books decide it
        found = _in_books(self._shop.charges(gateway), facts["attempt"])
        if found is not None and found["status"] in ("pending", "requires_action"):
            return  # the gateway has not decided yet
        took_effect = found is not None and found["status"] not in ("declined", "failed")
        body: Json = {"decision": "charged" if took_effect else "not_charged", "note": "Read in the gateway's books"}
        if took_effect and found is not None:
            body["data"] = {"gateway_reference": found["id"]}
        who = PEOPLE[task["element"]]
        self._shop.post(f"/v1/tasks/{task['id']}/complete", f"{task['id']}-{who}", body, who)
        self.decided[str(body["decision"])] += 1

    def _let_go_on(self, incident: Json) -> None:
        if (incident["kind"], incident["status"]) == ("parked", "open"):
            self._shop.post(f"/v1/incidents/{incident['id']}/retry", incident["id"], {}, PEOPLE["first_person"])
            self.decided["let_go_on"] += 1


def _in_books(charges: list[Json], key: str) -> Json | None:
    for charge in charges:
        for one in (charge, *charge["captures"], *charge["voids"], *charge["refunds"]):
            if one["key"] == key:
                return dict(one)
    return None
