"""A client of the gateway that holds every answer against schemas/http/openapi.yaml."""

import hashlib
import hmac
import http.client
import itertools
import json
import pathlib
import re
import time

import jsonschema
import yaml
from conftest import ROOT, wait_until

DOCUMENT = ROOT / "schemas" / "http" / "openapi.yaml"
PERFORMANCE = "/api/v2/performances/1"
users = itertools.count(1000)
keys = itertools.count(1)


def strict_document():
    """The document, and in it no object may have a member that it does not name."""
    document = yaml.safe_load(DOCUMENT.read_text())
    for name, schema in document["components"]["schemas"].items():
        if schema["type"] == "object" and name != "V1Place":  # which v1Status extends
            schema.setdefault("additionalProperties", False)
    return document


class Answer:
    def __init__(self, response):
        self.status, self.bytes = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.type = self.headers.get("content-type", "").split(";")[0]
        self.json = json.loads(self.bytes) if self.type.endswith("json") and self.bytes else None

    @property
    def code(self):
        return self.json["code"]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.bytes.decode(errors='replace')}"


class Client:
    """call() is one request on a connection of its own."""

    document = strict_document()
    resolver = jsonschema.RefResolver("", document)

    def __init__(self, status):
        self.status = status
        self.port = status["http_port"]
        config = (pathlib.Path(status["dir"]) / "engine.cfg").read_text()
        self.callback_key = re.search(r'callback_key = "(.+)"', config).group(1)

    def call(self, method, path, body=None, ticket=None, key=None, raw=None, **headers):
        """Headers by keywords: If_None_Match=... An `_as` of None sends no Content-Type."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            raw = json.dumps(body)
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        if ticket is not None:
            sent["Authorization"] = f"Bearer {ticket}"
        if key is not None:
            sent["Idempotency-Key"] = key
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, raw, sent)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        self.check(method, path, answer)
        return answer

    # ---- the document ------------------------------------------------------------------------

    def deref(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def operation(self, method, path):
        for pattern, item in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[1-9][0-9]*", pattern), path.split("?")[0]):
                return item.get(method.lower())
        return None

    def validate(self, value, schema):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(value)

    def check(self, method, path, answer):
        """What is refused is a Problem, everywhere; where the document knows the operation, it knows the answer."""
        operation = self.operation(method, path)
        if operation is None:
            assert answer.status in (404, 405) or method in ("OPTIONS", "HEAD"), answer
        else:
            response = operation["responses"].get(str(answer.status))
            assert response is not None, f"{method} {path}: the document has no {answer}"
            response = self.deref(response)
            for name, header in response.get("headers", {}).items():
                assert name.lower() in answer.headers, f"{method} {path}: no {name}: {answer}"
                kind = self.deref(header)["schema"]
                text = answer.headers[name.lower()]
                self.validate(int(text) if kind["type"] == "integer" else text, kind)
            content = response.get("content")
            assert (answer.type in content) if content else answer.bytes == b"", f"{method} {path}: {answer}"
            if content:
                value = answer.json if answer.type.endswith("json") else answer.bytes.decode()
                self.validate(value, content[answer.type]["schema"])
        if answer.type == "application/problem+json" and method != "HEAD":
            self.validate(answer.json, {"$ref": "#/components/schemas/Problem"})
            assert answer.json["status"] == answer.status
            assert answer.headers["content-language"] in ("ko", "en")
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) >= 1

    # ---- buying --------------------------------------------------------------------------------

    def enter(self, user=None, **more):
        return self.call("POST", f"{PERFORMANCE}/tickets", {"userId": user or next(users)}, **more)

    def admitted(self, user=None):
        """The ticket of somebody who is active."""
        ticket = self.enter(user).json["ticket"]

        def place():
            return self.call("GET", f"{PERFORMANCE}/tickets/me", ticket=ticket).json["state"] == "ACTIVE"

        wait_until(place, what="admission")
        return ticket

    def hold(self, ticket, *seats, key=None, **more):
        return self.call("POST", f"{PERFORMANCE}/reservations", {"seats": list(seats)}, ticket=ticket,
                         key=key or f"key-{next(keys)}", **more)

    def pay(self, ticket, reservation, key=None, wait=False, **more):
        return self.call("POST", f"/api/v2/reservations/{reservation}/payments{'?wait=true' if wait else ''}",
                         ticket=ticket, key=key or f"key-{next(keys)}", **more)

    def reservation(self, ticket, reservation):
        return self.call("GET", f"/api/v2/reservations/{reservation}", ticket=ticket)

    def cancel(self, ticket, reservation):
        return self.call("DELETE", f"/api/v2/reservations/{reservation}", ticket=ticket)

    def reservation_becomes(self, ticket, reservation, state):
        return wait_until(lambda: self.reservation(ticket, reservation).json["state"] == state, what=state)

    def seats(self, **more):
        return self.call("GET", f"{PERFORMANCE}/seats", **more)

    def callback(self, payment, state="AUTHORISED", amount=50000, at=None, key=None, **more):
        """One that the payment gateway might have sent; signed with its key unless another is given."""
        raw = json.dumps({"eventId": f"e-{next(keys)}", "paymentId": str(payment), "state": state, "amount": amount})
        return self.signed(raw, at, key, **more)

    def signed(self, raw, at=None, key=None, **more):
        stamp = str(int(time.time() if at is None else at))
        mac = hmac.new((key or self.callback_key).encode(), f"{stamp}.{raw}".encode(), hashlib.sha256)
        headers = {"X_Psp_Timestamp": stamp, "X_Psp_Signature": mac.hexdigest(), **more}
        return self.call("POST", "/api/v2/payments/callbacks", raw=raw, **headers)

    # ---- v1 ------------------------------------------------------------------------------------

    def v1(self, method, path, user=None, seat=None, **more):
        if seat is not None:
            return self.call(method, f"/api/v1/{path}", {"userId": user, "seatId": seat}, **more)
        return self.call(method, f"/api/v1/{path}?userId={user}", **more)

    def v1_ready(self, user):
        wait_until(lambda: self.v1("GET", "queue/status", user).json["status"] == "READY", what="READY")
        return user
