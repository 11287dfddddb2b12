"""Makes what ConsoleConsumer's formatters print of __consumer_offsets comparable: `offsets_alike.py GROUP... < printed`.

Of each key of the named groups the last value, without times, ids and generations (how many rebalances two members make while
they start depends on who is faster). Exit 1 when nothing was printed: a topic that cannot be read must not look like an empty one.
"""
import json
import sys


def objects(text):
    """The formatters print one object after the other, with nothing in between; the consumer's log may end them."""
    decoder, at = json.JSONDecoder(), 0
    while text.startswith("{", at):
        value, at = decoder.raw_decode(text, at)
        yield value
        while at < len(text) and text[at].isspace():
            at += 1


def alike(data):
    """A value without what differs from run to run."""
    for changing in ("commitTimestamp", "currentStateTimestamp", "topicId", "generation", "leader"):
        if changing in data and data[changing] not in (None, -1):
            data[changing] = "…"
    for member in data.get("members", []):
        member.update(memberId="…", clientHost="…", subscription="…")
        member["assignment"] = "…"
    if "members" in data:
        data["members"].sort(key=lambda member: member["clientId"] + str(member.get("groupInstanceId")))
    return data


def main():
    last, seen = {}, 0
    for record in objects(sys.stdin.read().strip()):
        seen += 1
        if record["key"]["data"]["group"] in sys.argv[1:]:
            last[json.dumps(record["key"])] = record["value"]
    for key, value in sorted(last.items()):
        if value:
            value["data"] = alike(value["data"])
        print(key, json.dumps(value, ensure_ascii=False))
    if not seen:
        sys.exit("nothing was printed of __consumer_offsets")


if __name__ == "__main__":
    main()
