"""Every table, imported in one place: the metadata that migrations and tests compare with the database."""

from app import installation
from app.access import models as access
from app.api import models as api
from app.disputes import models as disputes
from app.engine import models as engine
from app.events import models as events
from app.jobs import models as jobs
from app.kit.database import Base
from app.ledger import models as ledger
from app.payments import models as payments
from app.refunds import models as refunds

metadata = Base.metadata

__all__ = [
    "access",
    "api",
    "disputes",
    "engine",
    "events",
    "installation",
    "jobs",
    "ledger",
    "metadata",
    "payments",
    "refunds",
]
