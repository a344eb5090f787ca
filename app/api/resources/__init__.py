"""One file per kind of thing the API offers; each declares its routes and calls one function per route."""

from app.api.route import Resource

RESOURCES: tuple[Resource, ...] = ()
