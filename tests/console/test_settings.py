"""Settings: secrets shown once, people and their roles, endpoints and their deliveries."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from app.access import api_keys
from app.access.merchants import settings_of
from app.access.models import ApiKey, User
from app.events.models import AuditEntry, Delivery, WebhookEndpoint
from app.kit.database import Database
from tests.console.conftest import Visitor
from tests.console.seed import PASSWORD, Seeded

Come = Callable[[str], Visitor]
_SECRET = re.compile(r'<code class="secret" tabindex="0">([^<]+)</code>')


def test_a_key_is_shown_once_works_and_can_be_revoked(visitor: Come, database: Database) -> None:
    admin = visitor("admin")
    made = admin.post("/settings/keys", name="Shop", roles="integrator")
    found = _SECRET.search(made.text)
    assert found is not None
    assert found[1] not in admin.read("/settings/keys")
    with database.begin() as tx:
        actor = api_keys.authenticate(tx, found[1])
        key = tx.session.scalars(select(ApiKey).where(ApiKey.name == "Shop")).one()
    assert actor.roles == {"integrator"}
    admin.post(f"/settings/keys/{key.id}/revoke")
    assert "Revoked" in admin.read("/settings/keys")
    with database.begin() as tx:
        actions = tx.session.scalars(select(AuditEntry.action).where(AuditEntry.object_id == key.id)).all()
    assert actions == ["key.created", "key.revoked"]


def test_a_systems_key_never_decides(visitor: Come, database: Database) -> None:
    visitor("admin").post("/settings/keys", name="Sly", roles=["reviewer", "admin", "integrator"])
    with database.begin() as tx:
        assert tx.session.scalars(select(ApiKey.roles).where(ApiKey.name == "Sly")).one() == ["integrator"]


@pytest.mark.parametrize("path", ["/settings/keys", "/settings/users", "/settings/webhooks"])
def test_nobody_but_an_administrator_changes_settings(visitor: Come, database: Database, path: str) -> None:
    operator = visitor("operator")
    operator.post(path, name="x", url="https://x.example", email="x@x.example", password=PASSWORD, roles="admin")
    with database.begin() as tx:
        assert tx.session.scalars(select(ApiKey)).all() == []
        assert tx.session.scalars(select(User).where(User.email == "x@x.example")).all() == []
        assert len(tx.session.scalars(select(WebhookEndpoint)).all()) == 1


def test_a_looser_limit_counts_when_another_person_has_confirmed_it(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    admin, operator = visitor("admin"), visitor("operator")
    rows = {"currency": ["EUR", "KWD", ""], "review": ["2000", "12.5", ""], "refund": ["500", "0", ""]}
    operator.post("/settings/limits", **rows)
    assert "asks for looser limits" not in operator.read("/settings/limits")
    admin.post("/settings/limits", **rows)
    mark = re.findall('name="mark" value="([^"]+)"', operator.read("/settings/limits"))[0]
    admin.post("/settings/limits/confirm", mark=mark)
    operator.post("/settings/limits/confirm", mark="another one")
    page = admin.read("/settings/limits")
    assert "Another administrator or operator must confirm this" in page
    assert "another person must confirm" in page
    with database.begin() as tx:
        assert settings_of(tx, seeded.merchant).review_limit == {"EUR": 100000}
    assert "Tom Adeyemi asks for looser limits" in operator.read("/settings/limits")
    operator.post("/settings/limits/confirm", mark=mark)
    with database.begin() as tx:
        settings = settings_of(tx, seeded.merchant)
        said = tx.session.scalars(select(AuditEntry).where(AuditEntry.object_id == seeded.merchant)).all()
    assert (settings.review_limit, settings.refund_approval_limit) == (
        {"EUR": 200000, "KWD": 12500},
        {"EUR": 50000, "KWD": 0},
    )
    assert [(one.actor, one.action) for one in said] == [
        (seeded.users["admin"], "limits.proposed"),
        (seeded.users["operator"], "limits.confirmed"),
    ]


def test_a_limit_that_is_no_amount_is_refused_in_words(visitor: Come) -> None:
    admin = visitor("admin")
    admin.post("/settings/limits", currency=["JPY"], review=["1.5"], refund=[""])
    assert "with at most 0 decimals" in admin.read("/settings/limits")


def test_a_personal_token_acts_as_its_person(visitor: Come, database: Database, seeded: Seeded) -> None:
    made = visitor("reviewer").post("/settings/profile/tokens", name="My script")
    found = _SECRET.search(made.text)
    assert found is not None
    with database.begin() as tx:
        assert api_keys.authenticate(tx, found[1]).id == seeded.users["reviewer"]


def test_a_person_is_added_changed_and_disabled(visitor: Come, database: Database, seeded: Seeded) -> None:
    admin = visitor("admin")
    admin.post(
        "/settings/users", name="Nia", email="nia@mer-weir.example", password="a very long word", roles=["reviewer"]
    )
    assert "Nia" in admin.read("/settings/users")
    with database.begin() as tx:
        nia = tx.session.scalars(select(User).where(User.name == "Nia")).one().id
    admin.post(f"/settings/users/{nia}/roles", roles=["analyst", "operator"])
    admin.post(f"/settings/users/{nia}/disable")
    with database.begin() as tx:
        user = tx.session.get_one(User, nia)
    assert user.roles == ["analyst", "operator"]
    assert user.disabled_at is not None
    assert visitor("").sign_in("nia", "a very long word").status_code == 401


def test_a_weak_password_is_refused_in_words(visitor: Come) -> None:
    admin = visitor("admin")
    admin.post("/settings/users", name="Nia", email="nia@mer-weir.example", password="short", roles=["reviewer"])
    assert "must have at least 12 characters" in admin.read("/settings/users")


def test_the_last_administrator_stays(visitor: Come, seeded: Seeded) -> None:
    admin = visitor("admin")
    admin.post(f"/settings/users/{seeded.users['admin']}/disable")
    assert "only administrator" in admin.read("/settings/users")


def test_a_changed_password_ends_every_session(visitor: Come) -> None:
    one, two = visitor("reviewer"), visitor("reviewer")
    fields = {"present": PASSWORD, "new": "another long secret", "again": "another long secret"}
    assert one.post("/settings/profile/password", **fields).status_code == 303
    assert two.get("/review").status_code == 303
    assert visitor("").sign_in("reviewer", "another long secret").location == "/"


def test_an_administrator_sets_a_forgotten_password_and_that_is_on_record(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    reviewer, user_id = visitor("reviewer"), seeded.users["reviewer"]
    visitor("operator").post(f"/settings/users/{user_id}/password", password="not an administrator's")
    admin = visitor("admin")
    admin.post(f"/settings/users/{user_id}/password", password="short")
    assert "must have at least 12 characters" in admin.read("/settings/users")
    assert reviewer.get("/review").status_code == 200, "who was refused has changed nothing"

    admin.post(f"/settings/users/{user_id}/password", password="a long new one")
    assert reviewer.get("/review").status_code == 303
    assert visitor("").sign_in("reviewer").status_code == 401
    assert visitor("").sign_in("reviewer", "a long new one").location == "/"
    with database.begin() as tx:
        entry = tx.session.scalars(select(AuditEntry).where(AuditEntry.action == "user.password_reset")).one()
    assert (entry.actor, entry.object_id) == (seeded.users["admin"], user_id)


def test_two_different_new_passwords_change_nothing(visitor: Come) -> None:
    reviewer = visitor("reviewer")
    reviewer.post(
        "/settings/profile/password", present=PASSWORD, new="another long secret", again="another long sicret"
    )
    assert "differ" in reviewer.read("/settings/profile")
    assert visitor("").sign_in("reviewer").status_code == 303


def test_an_endpoint_is_made_rotated_disabled(visitor: Come, database: Database) -> None:
    admin = visitor("admin")
    made = admin.post("/settings/webhooks", url="https://203.0.113.10/hook", description="New", kinds=["payment"])
    assert _SECRET.search(made.text) is not None
    with database.begin() as tx:
        endpoint = tx.session.scalars(select(WebhookEndpoint).where(WebhookEndpoint.description == "New")).one()
    assert endpoint.event_types == ["payment.*"]
    assert _SECRET.search(admin.post(f"/settings/webhooks/{endpoint.id}/rotate").text) is not None
    admin.post(f"/settings/webhooks/{endpoint.id}/disable")
    assert "Disabled" in admin.read(f"/settings/webhooks/{endpoint.id}")


def test_a_delivery_that_was_given_up_is_sent_again(visitor: Come, database: Database, seeded: Seeded) -> None:
    admin, endpoint = visitor("admin"), seeded.others["endpoint"]
    assert "500 Internal Server Error" in admin.read(f"/settings/webhooks/{endpoint}")
    with database.begin() as tx:
        dead = tx.session.scalars(select(Delivery).where(Delivery.status == "dead")).one().id
    admin.post(f"/settings/webhooks/{endpoint}/resend/{dead}")
    with database.begin() as tx:
        delivery = tx.session.get_one(Delivery, dead)
    assert (delivery.status, delivery.tries) == ("pending", 0)
    assert delivery.due_at is not None


def test_a_dispute_takes_evidence_and_an_answer(visitor: Come, database: Database, seeded: Seeded) -> None:
    reviewer, dispute = visitor("reviewer"), seeded.others["dispute"]
    reviewer.post(f"/disputes/{dispute}/evidence", name="receipt", text="No. 4411")
    assert "No. 4411" in reviewer.read(f"/disputes/{dispute}")
    reviewer.post(f"/disputes/{dispute}/evidence", name="Bad Name", text="x")
    assert "A fact needs a name" in reviewer.read(f"/disputes/{dispute}")
    reviewer.post(f"/disputes/{dispute}/submit")
    assert "asked to hand in the evidence" in reviewer.read(f"/disputes/{dispute}")
    with database.begin() as tx:
        actions = tx.session.scalars(select(AuditEntry.action).where(AuditEntry.object_id == dispute)).all()
    assert actions == ["dispute.evidence_put", "dispute.submit_requested"]
