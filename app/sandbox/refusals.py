"""Requests the sandbox does not carry out. None of these has an effect and none is remembered under a key."""

from app.errors import AppError


class Malformed(AppError):
    code = "invalid_request"
    title = "The request is not well formed"
    status = 400


class BadKey(AppError):
    code = "unauthorized"
    title = "The API key is missing or wrong"
    status = 401


class NotLoopback(AppError):
    code = "forbidden"
    title = "The admin interface answers to this machine only"
    status = 403


class NoSuchThing(AppError):
    code = "not_found"
    title = "There is no such object"
    status = 404


class KeyReused(AppError):
    code = "idempotency_key_reused"
    title = "The idempotency key was used for another request"
    status = 409


class NotNow(AppError):
    code = "not_now"
    title = "The object is not in a state that allows this"
    status = 409
