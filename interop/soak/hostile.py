"""Peers that a broker has to outlive, each kind a coroutine that never ends: they hang up, do not read, do not go on, send what is
large, small, wrong or too much, and all of them at once. Nothing of what they get for it is judged here."""
import asyncio
import random
import struct
import urllib.request

import frames as wire


async def connect(address):
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port), limit=1 << 16)


async def read_answer(reader):
    size = int.from_bytes(await reader.readexactly(4), "big")
    return await reader.readexactly(size)


async def ask(address, *frames):
    """Asks on a connection of its own, reads as it should, and gives the last answer."""
    reader, writer = await connect(address)
    try:
        answer = b""
        for frame in frames:
            writer.write(frame)
            answer = await asyncio.wait_for(read_answer(reader), 60)
        return answer
    finally:
        writer.transport.abort()


class Peers:
    def __init__(self, address, admin, seed):
        self.address, self.admin = address, admin
        self.random = random.Random(seed)
        self.done, self.number = {}, 0
        # The topic that was hung up on last.
        self.hung_up = None
        # Megabytes out of kilobytes; made once, since a checksum takes Python its time.
        self.bomb, self.large = wire.bomb(120), wire.batch(wire.record(self.random.randbytes(900_000)))
        self.small = wire.batch(wire.record(b"small"))

    def fresh(self, what):
        self.number += 1
        return f"{what}-{self.number}"

    async def open(self):
        return await connect(self.address)

    async def ask(self, *frames):
        return await ask(self.address, *frames)

    async def unread(self, frames, seconds):
        """Sends it all, reads nothing for a while, and is gone."""
        _, writer = await self.open()
        try:
            writer.transport.pause_reading()
            writer.write(b"".join(frames))
            await asyncio.sleep(seconds)
        finally:
            writer.transport.abort()

    async def forever(self, kind, pause):
        name = kind.__name__
        self.done.setdefault(name, 0)
        while True:
            try:
                await kind()
                self.done[name] += 1
            except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                # The broker would not have it any more.
                self.done[name] += 1
            await asyncio.sleep(self.random.uniform(0.5, 1.5) * pause)

    # 1. What must outlive the request that asked for it.

    async def hangs_up_on_topics(self):
        name = self.fresh("hung-up")
        for request in (wire.create_topic(name, 3), wire.delete_topic(name)):
            _, writer = await self.open()
            writer.write(request)
            await asyncio.sleep(self.random.uniform(0, 0.02))
            writer.transport.abort()
            await asyncio.sleep(0.05)
        # On a busy machine the deletion may have come before the creation. The topics that are left of that would be all that
        # memory and series show in the end.
        left, self.hung_up = self.hung_up, name
        if left:
            await self.ask(wire.delete_topic(left))

    async def churns_topics(self):
        """Created, written to, committed for, deleted; and somebody scrapes."""
        name = self.fresh("churned")
        await self.ask(wire.create_topic(name, 3), wire.produce(name, [(0, self.small)]), wire.commit(f"of-{name}", name, 3), wire.delete_topic(name))
        if self.number % 20 == 0:
            scrape = lambda: urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=60).read()
            await asyncio.get_running_loop().run_in_executor(None, scrape)

    # 2. What is asked for and not read, or begun and not ended.

    async def does_not_read_records(self):
        await self.unread([wire.fetch("large", 0, 55 << 20)] * 40, 5)

    async def does_not_read_groups(self):
        await self.unread([wire.list_groups()] * 100, 3)

    async def does_not_read_offsets(self):
        await self.unread([wire.fetch_all_offsets("heavy")] * 100, 3)

    async def does_not_read_one_group_a_thousand_times(self):
        await self.unread([wire.describe(["crowd"] * 1000)] * 3, 3)

    async def does_not_go_on(self):
        """A frame that is begun, with a part of it every now and then."""
        _, writer = await self.open()
        try:
            writer.write(struct.pack(">i", 60 << 20))
            for _ in range(20):
                writer.write(bytes(1 << 20))
                await asyncio.sleep(0.5)
            await asyncio.sleep(20)
        finally:
            writer.transport.abort()

    async def owes_nothing_and_stays(self):
        """An answer that is owed, then a request that closes; never read, never left."""
        await self.unread([wire.fetch("large", 0, 10 << 20), wire.frame(999, 0, b"")], 20)

    async def comes_and_goes(self):
        open_ones = [await self.open() for _ in range(50)]
        for _, writer in open_ones:
            writer.transport.abort()

    # 3. What takes long on a thread that others need.

    async def sends_bombs(self):
        await self.ask(wire.produce("bombs", [(partition, self.bomb) for partition in range(4)]))

    async def is_many_producers(self):
        """Two hundred producer ids, an append of each."""
        reader, writer = await self.open()
        try:
            for _ in range(200):
                writer.write(wire.init_producer_id())
                _, _, _, producer, epoch = struct.unpack_from(">iihqh", await read_answer(reader))
                writer.write(wire.produce("producers", [(0, wire.batch(wire.record(b"v"), producer=(producer, epoch, 0)))]))
                await read_answer(reader)
        finally:
            writer.transport.abort()

    # 4. What is larger than one batch.

    async def commits_much(self):
        """Offsets with metadata for every partition of a topic, of a group that then expires."""
        await self.ask(*[wire.commit(self.fresh("forgotten"), "wide", 200, "m" * 2000)] * 3)

    async def is_a_crowd(self):
        """A group of many members with much to say, none of which stays."""
        group, seats = self.fresh("crowd"), []
        try:
            for _ in range(100):
                _, writer = await self.open()
                seats.append(writer)
                writer.write(wire.join(group, 6000, bytes(1200)))
            await asyncio.sleep(3)
        finally:
            for writer in seats:
                writer.transport.abort()

    # 5. What grows for ever.

    async def sends_noise(self):
        for _ in range(20):
            _, writer = await self.open()
            writer.write(wire.blob(wire.noise(2000)))
            await asyncio.sleep(0)
            writer.transport.abort()

    async def sends_broken_batches(self):
        broken = bytearray(self.small)
        broken[-1] ^= 1
        await self.ask(*[wire.produce("bombs", [(0, bytes(broken))])] * 20)

    async def heartbeats_of_nobody(self):
        await self.ask(*[wire.heartbeat(f"nobody-{number}") for number in range(200)])

    async def writes(self):
        await self.ask(*[wire.produce("large", [(0, self.large)])] * 5)

    async def all(self):
        for name, partitions in {"large": 1, "bombs": 4, "producers": 1, "wide": 200}.items():
            await self.ask(wire.create_topic(name, partitions))
        await self.ask(*[wire.produce("large", [(0, self.large)])] * 60)
        await self.ask(wire.commit("heavy", "wide", 200, "m" * 3000))
        kinds = {
            self.hangs_up_on_topics: 0.5, self.churns_topics: 0.5, self.does_not_read_records: 5, self.does_not_read_groups: 3,
            self.does_not_read_offsets: 3, self.does_not_read_one_group_a_thousand_times: 5, self.does_not_go_on: 5, self.owes_nothing_and_stays: 3,
            self.comes_and_goes: 1, self.sends_bombs: 10, self.is_many_producers: 2, self.commits_much: 5, self.is_a_crowd: 10, self.sends_noise: 0.5,
            self.sends_broken_batches: 1, self.heartbeats_of_nobody: 0.5, self.writes: 2,
        }
        await asyncio.gather(*(self.forever(kind, pause) for kind, pause in kinds.items()))


def run(address, admin, seed, done):
    """In a process of its own; tells `done`, a shared dictionary, how often each kind has come."""
    peers = Peers(address, admin, seed)

    async def main():
        work = asyncio.ensure_future(peers.all())
        while not work.done():
            await asyncio.sleep(1)
            done.update(peers.done)
        work.result()

    asyncio.run(main())
