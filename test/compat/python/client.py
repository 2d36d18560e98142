"""A client of a Fleetwire node made of nothing but its proto files and grpcio: registers agents, sends, follows, acknowledges.

Run by test/compat/python.test.ts, which checks what it prints. docs/guides/other-languages.md shows parts of it word for word.
"""

import json
import queue
import sys
import threading

import grpc

import status_pb2
from fleetwire.v1 import message_pb2, node_pb2, node_pb2_grpc

WAIT_S = 30


def open_channel(node_json, token_file):
    with open(node_json) as file:
        address = json.load(file)["address"]
    with open(token_file) as file:
        token = file.read().strip()
    return grpc.insecure_channel(address), [("authorization", "Bearer " + token)]


class Session:
    """One Attach stream: what is said goes into a queue, what is heard is sorted by a thread that reads."""

    def __init__(self, node, metadata, hello):
        self.heard = queue.Queue()
        self.said = queue.Queue()
        self.say(node_pb2.AttachRequest(hello=hello))
        self.call = node.Attach(iter(self.said.get, None), metadata=metadata)
        threading.Thread(target=self.follow, daemon=True).start()

    def say(self, request):
        self.said.put(request)

    def follow(self):
        try:
            for response in self.call:
                self.heard.put(response)
        except grpc.RpcError as error:
            self.heard.put(error)

    def close(self):
        self.said.put(None)

    def next(self, kind):
        """The next response of this kind; others are passed over, an error is raised."""
        while True:
            response = self.heard.get(timeout=WAIT_S)
            if isinstance(response, grpc.RpcError):
                raise response
            if response.WhichOneof("kind") == kind:
                return response

    def deliveries(self, count):
        found = []
        while len(found) < count:
            found += self.next("deliver").deliver.deliveries
        return found

    def acknowledge(self, up_to, also=()):
        self.say(node_pb2.AttachRequest(ack=node_pb2.DeliveryAck(up_to=up_to, also=also)))


def refusal_of(error):
    """Reason, advice and time to wait out of the trailers of a refused call."""
    found = {"code": error.code().name, "reason": "", "help": "", "retry_after_ms": 0}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            name = detail.type_url.rsplit(".", 1)[-1]
            if name == "ErrorInfo":
                found["reason"] = status_pb2.ErrorInfo.FromString(detail.value).reason
            elif name == "Help":
                found["help"] = status_pb2.Help.FromString(detail.value).links[0].description
            elif name == "RetryInfo":
                delay = status_pb2.RetryInfo.FromString(detail.value).retry_delay
                found["retry_after_ms"] = delay.seconds * 1000 + delay.nanos // 1_000_000
    return found


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return refusal_of(error)
    raise AssertionError("it was not refused")


def serving(channel):
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=status_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=status_pb2.HealthCheckResponse.FromString,
    )
    return check(status_pb2.HealthCheckRequest(service="fleetwire.v1.NodeService")).status == 1


def outgoing(ref, to, text):
    return node_pb2.Outgoing(ref=ref, to=to, body=text.encode(), content_type="text/plain")


def send_in_a_stream(session, to, texts):
    messages = [outgoing(ref, to, text) for ref, text in enumerate(texts, 1)]
    session.say(node_pb2.AttachRequest(send=node_pb2.SendBatch(messages=messages)))
    ids = {}
    while len(ids) < len(texts):
        for accepted in session.next("accepted").accepted.accepted:
            ids[accepted.ref] = accepted.id
    return [ids[ref] for ref in sorted(ids)]


def final_receipts(session, ids):
    """The stage in which each message has ended, and the place from which the next session goes on."""
    stages = {}
    cursor = None
    while not set(ids) <= set(stages):
        response = session.next("receipts")
        for receipt in response.receipts.receipts:
            if receipt.final:
                stages[receipt.message_id] = message_pb2.Stage.Name(receipt.stage)
        cursor = response.receipt_mark.cursor
    return [stages[id] for id in ids], cursor


def main(node_json, token_file):
    channel, metadata = open_channel(node_json, token_file)
    node = node_pb2_grpc.NodeServiceStub(channel)
    result = {"serving": serving(channel)}

    # Two agents: they are registered by the hello of their first session.
    bob = Session(node, metadata, node_pb2.AttachHello(name="py-bob", window=16, resuming=True))
    welcome = bob.next("welcome").welcome
    alice = Session(node, metadata, node_pb2.AttachHello(name="py-alice", receipts=True, resuming=True))
    alice.next("welcome")
    result["agent"] = {"name": welcome.name, "id": welcome.agent, "node": welcome.node_name}

    # One message by a call of its own, more of them in the stream.
    single = node.Send(
        node_pb2.SendRequest(**{"from": "py-alice"}, message=outgoing(0, "py-bob", "one")),
        metadata=metadata,
        timeout=WAIT_S,
    )
    ids = [single.id] + send_in_a_stream(alice, "py-bob", ["two", "three"])

    # In order; acknowledged together, which the sender is told.
    taken = bob.deliveries(3)
    bob.acknowledge(taken[-1].sequence)
    stages, cursor = final_receipts(alice, ids)
    result["texts"] = [delivery.body.decode() for delivery in taken]
    result["same"] = [delivery.id for delivery in taken] == ids
    result["stages"] = stages

    # What was never sent cannot be acknowledged: said, and harmless.
    bob.acknowledge(taken[-1].sequence + 1000)
    unknown = bob.next("ack_unknown").ack_unknown
    result["ack"] = {"reason": unknown.reason, "highest": unknown.highest == taken[-1].sequence}

    # Bob goes without acknowledging the fifth message, and finds it at his return; alice finds the receipts of the time between.
    more = send_in_a_stream(alice, "py-bob", ["four", "five"])
    four, five = bob.deliveries(2)
    bob.acknowledge(four.sequence)
    final_receipts(alice, more[:1])
    bob.close()
    alice.close()
    resume = node_pb2.DeliveryAck(up_to=four.sequence)
    bob = Session(node, metadata, node_pb2.AttachHello(name="py-bob", resuming=True, resume=resume))
    again = bob.deliveries(1)[0]
    bob.acknowledge(again.sequence)
    result["again"] = [again.body.decode(), again.sequence == five.sequence]
    waited = node.WaitMessage(node_pb2.WaitMessageRequest(id=more[1], timeout_ms=20_000), metadata=metadata)
    result["waited"] = [waited.final, message_pb2.Stage.Name(waited.receipts[0].stage)]
    alice = Session(
        node,
        metadata,
        node_pb2.AttachHello(name="py-alice", receipts=True, resuming=True, receipts_after=cursor),
    )
    result["later"], cursor = final_receipts(alice, more)

    # Another session of the same agent takes over, and this one is told.
    newer = Session(node, metadata, node_pb2.AttachHello(name="py-bob", resuming=True, resume=resume))
    newer.next("welcome")
    result["goodbye"] = bob.next("goodbye").goodbye.reason

    # Refusals have a reason to decide on: in the trailers of a call, in the answer on a stream.
    request = node_pb2.SendRequest(**{"from": "py-alice"}, message=outgoing(0, "", "to nobody"))
    result["refused"] = refused(lambda: node.Send(request, metadata=metadata, timeout=WAIT_S))
    result["no_token"] = refused(lambda: node.NodeStatus(node_pb2.NodeStatusRequest(), timeout=WAIT_S))
    alice.say(node_pb2.AttachRequest(send=node_pb2.SendBatch(messages=[outgoing(9, "no one!", "?")])))
    refusal = alice.next("refused").refused
    result["refused_in_stream"] = {"ref": refusal.ref, "kind": refusal.kind, "reason": refusal.reason}
    huge = node_pb2.AttachRequest(ack=node_pb2.DeliveryAck(up_to=2**64 - 1))
    newer.say(huge)
    result["huge"] = refused(lambda: newer.next("goodbye"))
    alice.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
