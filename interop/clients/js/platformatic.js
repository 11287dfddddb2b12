// @platformatic/kafka: a consumer is a stream.
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

const PARTITIONS = [0, 1, 2, 3]

export function open(bootstrap, { say, asked }) {
  const options = { clientId: 'platformatic', bootstrapBrokers: [bootstrap], retries: 10, retryDelay: 200 }
  const admin = async ask => {
    const admin = new Admin(options)
    const answer = await ask(admin)
    await admin.close()
    return answer
  }
  return {
    create: (topic, partitions) => admin(a => a.createTopics({ topics: [topic], partitions, replicas: 1 })),
    async produce(topic, records) {
      const producer = new Producer({ ...options, serializers: stringSerializers })
      await producer.send({ messages: records.map(record => ({ topic, ...record })), acks: -1 })
      await producer.close()
    },
    ends: topic => admin(async a => {
      const partitions = PARTITIONS.map(partitionIndex => ({ partitionIndex, timestamp: -1n }))
      const [listed] = await a.listOffsets({ topics: [{ name: topic, partitions }] })
      return Object.fromEntries(listed.partitions.map(p => [p.partitionIndex, Number(p.offset)]))
    }),
    committed: (topic, groupId) => admin(async a => {
      const [group] = await a.listConsumerGroupOffsets({ groups: [{ groupId, topics: [{ name: topic, partitionIndexes: PARTITIONS }] }] })
      return Object.fromEntries(group.topics[0].partitions.map(p => [p.partitionIndex, Number(p.committedOffset)]))
    }),
    list: () => admin(async a => Object.fromEntries([...(await a.listGroups()).values()].map(g => [g.id, capitals(g.state)]))),
    describe: name => admin(async a => {
      const group = (await a.describeGroups({ groups: [name] })).get(name)
      return { state: capitals(group.state), members: group.members.size }
    }),
    reset: (topic, groupId) => admin(a => a.alterConsumerGroupOffsets({
      groupId, topics: [{ name: topic, partitionOffsets: PARTITIONS.map(partition => ({ partition, offset: 0n })) }]
    })),
    delete: group => admin(a => a.deleteGroups({ groups: [group] })),
    async member(topic, groupId, groupInstanceId) {
      const consumer = new Consumer({
        ...options, groupId, deserializers: stringDeserializers, sessionTimeout: 10000, heartbeatInterval: 500, rebalanceTimeout: 10000,
        maxWaitTime: 100, autocommit: true, ...(groupInstanceId && { groupInstanceId })
      })
      consumer.on('consumer:group:join', ({ assignments }) =>
        say({ owned: (assignments ?? []).filter(a => a.topic === topic).flatMap(a => a.partitions) }))
      consumer.on('consumer:group:rebalance', () => say({ owned: [] }))
      const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
      stream.on('data', ({ partition, offset, value }) => say({ record: [partition, Number(offset), value] }))
      stream.on('error', error => process.stderr.write(`${error.stack}\n`))
      await asked
      await stream.close()
      await consumer.close()
    }
  }
}

// The states as the other clients print them: Stable, PreparingRebalance.
function capitals(state) {
  return state.toLowerCase().split('_').map(word => word[0].toUpperCase() + word.slice(1)).join('')
}
