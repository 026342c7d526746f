"""OTLP/HTTP, judged by OpenTelemetry's own protocol definition: what the agent posts is parsed strictly, by protobuf's JSON
mapping, into an ExportLogsServiceRequest or an ExportMetricsServiceRequest. Some records are rejected without a name, as the
protocol has it.
"""

import gzip
import json
import socket
import subprocess

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from agent import Agent, account, cause, check_account, in_spool, is_drained
from backend import Backend, reply


def respond(request, response):
    """200, with a message of the protocol as JSON."""
    text = json_format.MessageToJson(response).encode()
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)


class Collector(Backend):
    """Takes what is exactly an ExportLogsServiceRequest; anything else is told as 400 and kept in `wrong`."""

    def __init__(self):
        super().__init__()
        self.url = self.url.removesuffix("/in")
        self.wrong = []
        self.reject = 0
        self.rejected = 0

    def answer(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        try:
            assert request.path == "/v1/logs", request.path
            assert request.headers["content-type"] == "application/json"
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            # Strict: a field that the protocol does not know, or a value of another type, is an error. There are no trace
            # ids in it, the one place where OTLP leaves protobuf's mapping.
            message = json_format.Parse(body, ExportLogsServiceRequest(), ignore_unknown_fields=False)
            lines = [self.check(record, resource.resource) for resource in message.resource_logs
                     for scope in resource.scope_logs for record in scope.log_records]
        except Exception as why:  # whatever is wrong, the case has to see it
            self.wrong.append(f"{why!r}: {body[:500]!r}")
            return reply(request, 400)
        response = ExportLogsServiceResponse()
        with self.lock:
            gone = min(self.reject, len(lines) - 1)
            self.reject -= gone
            self.rejected += gone
        if gone:
            response.partial_success.rejected_log_records = gone
            response.partial_success.error_message = "too old"
        self.take(lines[gone:])
        respond(request, response)

    @staticmethod
    def check(record, resource):
        event = json.loads(record.body.string_value)
        attributes = {one.key: one.value for one in record.attributes}
        host = {one.key: one.value.string_value for one in resource.attributes}
        assert len(attributes) == len(record.attributes), "attribute keys must be unique"
        assert record.time_unix_nano == event["time"] * 1_000_000
        assert attributes["log.record.uid"].string_value == event["metadata"]["uid"]
        assert attributes["ocsf.class_uid"].int_value == event["class_uid"]
        assert host["service.name"] == "linnet-agent"
        assert (host["host.id"], host["host.name"]) == (event["device"]["uid"], event["device"]["hostname"])
        numbers = {1: SeverityNumber.SEVERITY_NUMBER_INFO, 2: SeverityNumber.SEVERITY_NUMBER_WARN}
        assert record.severity_number == numbers.get(event["severity_id"], record.severity_number) != 0
        assert record.event_name.startswith("linnet.")
        return record.body.string_value.encode()


def otlp_by_the_official_schema():
    """Every request is what OpenTelemetry's protobuf says, text of any kind included, and all of it arrives."""
    collector = Collector()
    agent = Agent("otlp", {"url": collector.url, "kind": "otlp"})
    agent.start()
    odd = ["\x01\x1b[2J", 'quoted "\\" \n\t', "雀\u2028\ufeff", b"\xff\xfe\x80", "a" * 30000, "\\u0000\\"]
    for argument in odd:
        subprocess.run(["/bin/true", argument], check=True)
    tokens = cause(200)
    in_spool(agent, tokens)
    agent.until("all is settled", is_drained)
    health = agent.stop()
    assert not collector.wrong, collector.wrong[0]
    assert not collector.missing(tokens)
    check_account(collector, health)
    assert collector.doubles == 0
    print(f"   {len(collector.digests)} records")


def otlp_rejected_without_a_name():
    """What a collector rejects without saying which is in the account to the last one, and told in the stream."""
    collector = Collector()
    agent = Agent("otlp-rejected", {"url": collector.url, "kind": "otlp", "events": ["exec", "exit", "sensor"]})
    agent.start()
    agent.until("the first is settled", is_drained)
    collector.reject = 25
    tokens = cause(100)
    in_spool(agent, tokens)
    agent.until("all is settled", lambda health: is_drained(health) and collector.reject == 0)
    health = agent.until("it is told", lambda _: collector.classes[6008] > 0)
    health = agent.stop()
    assert not collector.wrong, collector.wrong[0]
    one = account(health)
    dropped = sum(kind["dropped"].get("refused_unnamed", 0) for kind in one.values())
    delivered = sum(kind["delivered"] for kind in one.values())
    assert (dropped, collector.rejected, delivered) == (25, 25, len(collector.digests)), (one, collector.rejected)
    assert collector.doubles == 0, "it must not be sent again"


class MetricsCollector(Backend):
    """Takes what is exactly an ExportMetricsServiceRequest, and keeps each. It may be `down`, or `pick`."""

    def __init__(self):
        super().__init__()
        self.url = self.url.removesuffix("/in")
        self.wrong = []
        self.taken = []
        self.mode = "down"

    def answer(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        if self.mode == "down":
            return reply(request, 503)
        try:
            assert request.path == "/v1/metrics", request.path
            assert request.headers["content-type"] == "application/json"
            body = gzip.decompress(body)
            message = json_format.Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=False)
            [resource] = message.resource_metrics
            [scope] = resource.scope_metrics
            host = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert host["service.name"] == "linnet-agent" and host["host.name"] == socket.gethostname(), host
            metrics = {metric.name: metric for metric in scope.metrics}
            assert len(metrics) == len(scope.metrics), "each metric once"
            for metric in scope.metrics:
                self.check(metric)
        except Exception as why:  # whatever is wrong, the case has to see it
            self.wrong.append(f"{why!r}: {body[:500]!r}")
            return reply(request, 400)
        self.taken.append(metrics)
        response = ExportMetricsServiceResponse()
        if self.mode == "pick":
            response.partial_success.rejected_data_points = 3
            response.partial_success.error_message = "too many"
        respond(request, response)

    @staticmethod
    def check(metric):
        """What the data model asks for (OpenTelemetry, metrics data model: sums, gauges, single writer)."""
        kind = metric.WhichOneof("data")
        assert metric.description and kind in ("sum", "gauge"), metric
        assert (kind == "sum") == metric.name.endswith("_total"), metric.name
        data = getattr(metric, kind)
        if kind == "sum":
            assert data.is_monotonic
            assert data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        streams = [tuple((one.key, one.value.string_value) for one in point.attributes) for point in data.data_points]
        assert streams and len(streams) == len(set(streams)), f"{metric.name}: {streams}"
        for point in data.data_points:
            assert point.WhichOneof("value"), metric.name
            assert point.start_time_unix_nano <= point.time_unix_nano != 0, metric.name


def otlp_metrics_by_the_official_schema():
    """Metrics come as OpenTelemetry's protobuf says, after a collector that failed, and the last ones at the end."""
    collector = MetricsCollector()
    agent = Agent(
        "otlp-metrics",
        None,
        sinks={},
        metrics={"otlp": {"url": collector.url, "interval_s": 5, "proxy": "none"}},
    )
    agent.start()
    told = lambda health: health["pushed_metrics"]
    agent.until("a failure is told", lambda health: told(health)["failures"] > 0 and "503" in told(health).get("last_error", ""))
    collector.mode = "pick"
    agent.until("a rejection is told", lambda health: told(health)["rejected_points"] > 0 and "too many" in told(health)["last_error"])
    collector.mode = "well"
    cause(100)
    agent.until("all goes well", lambda health: len(collector.taken) > 1 and "last_error" not in told(health))
    health = agent.stop()
    assert not collector.wrong, collector.wrong[0]
    last = collector.taken[-1]
    attempted = {
        point.attributes[0].value.string_value: point.as_int
        for point in last["linnet_records_attempted_total"].sum.data_points
    }
    assert attempted == {kind: one["attempted"] for kind, one in health["losses"].items()}, (attempted, health["losses"])
    assert attempted["exec"] > 100
    [state] = [point for point in last["linnet_agent_state"].gauge.data_points if point.as_int == 1]
    assert state.attributes[0].value.string_value == "stopping", state
    print(f"   {len(last)} metrics, {len(collector.taken)} times")


CASES = [otlp_by_the_official_schema, otlp_rejected_without_a_name, otlp_metrics_by_the_official_schema]
