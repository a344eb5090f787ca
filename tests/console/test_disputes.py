"""The list of disputes: the nearest deadline first, in pages."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest

from app.console.read import dispute
from app.disputes.models import Dispute
from app.kit.database import Database
from tests.console.conftest import Visitor
from tests.console.seed import Seeded

Come = Callable[[str], Visitor]


def test_a_long_list_has_pages_and_the_nearest_deadline_first(
    visitor: Come, database: Database, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as tx:
        row = tx.session.get_one(Dispute, seeded.others["dispute"])
        copy = {column.name: getattr(row, column.name) for column in row.__table__.columns}
        for number, (status, hours) in enumerate(
            (("won", 1), ("needs_response", 9), ("won", 5), ("needs_response", 3))
        ):
            own = {"id": f"dis_{number}", "gateway_reference": f"dp_{number}", "status": status}
            times = {
                "due_by": row.due_by + timedelta(hours=hours),
                "created_at": row.created_at + timedelta(hours=hours),
            }
            tx.session.add(Dispute(**{**copy, **own, **times}))
        tx.session.add(Dispute(**{**copy, "id": "dis_4", "gateway_reference": "dp_4", "due_by": None}))
    monkeypatch.setattr(dispute, "PAGE", 2)
    found, path = [], "/disputes"
    while path:
        page = visitor("operator").read(path)
        found += re.findall(r'<tr class="link" id="(dis_\w+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = unescape(following[1]) if following else ""
    assert found == [seeded.others["dispute"], "dis_3", "dis_1", "dis_4", "dis_2", "dis_0"]
    narrowed = visitor("operator").read("/disputes?status=needs_response")
    assert "/disputes?status=needs_response&amp;after=" in narrowed
