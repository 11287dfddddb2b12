"""confluent-kafka as a program of its own, which can be killed: `confluent_member.py HOST:PORT TOPIC GROUP`, with range, until
SIGTERM. It speaks as a member of program_client.py does."""
import json
import signal
import sys
import threading

import confluent_client


def tell(event):
    print(json.dumps(event), flush=True)


class Told:
    """What is read is told at once."""

    def record(self, partition, offset, value):
        tell({"record": [partition, offset, value]})


class Member(confluent_client.Member):
    def assigned(self, consumer, partitions):
        super().assigned(consumer, partitions)
        tell({"owned": sorted(self.mine)})

    def revoked(self, consumer, partitions):
        super().revoked(consumer, partitions)
        tell({"owned": sorted(self.mine)})


def main():
    bootstrap, topic, group = sys.argv[1:]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    member = Member(confluent_client.Client(bootstrap, strategy="range"), topic, group, Told(), "")
    ended.wait()
    member.close()


if __name__ == "__main__":
    main()
