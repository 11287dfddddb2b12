// Command clients is three Go clients behind the verbs of ../program_client.py: `clients LIBRARY VERB BOOTSTRAP ARGUMENT...`.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

type record struct{ key, value string }

type group struct {
	State   string `json:"state"`
	Members int    `json:"members"`
}

// library is what each client does in its own way.
type library interface {
	create(topic string, partitions int) error
	produce(topic string, records []record) error
	ends(topic string) (map[int]int64, error)
	committed(topic, group string) (map[int]int64, error)
	list() (map[string]string, error)
	describe(name string) (group, error)
	reset(topic, group string) error
	delete(group string) error
	// member consumes until ctx ends, then commits and leaves.
	member(ctx context.Context, topic, group, instance string) error
}

var out sync.Mutex

func say(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func sayRecord(partition int, offset int64, value []byte) {
	say(map[string]any{"record": []any{partition, offset, string(value)}})
}

func sayOwned(partitions []int) {
	if partitions == nil {
		partitions = []int{}
	}
	say(map[string]any{"owned": partitions})
}

func records() (all []record) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "\t")
		all = append(all, record{key, value})
	}
	return all
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: clients LIBRARY VERB BOOTSTRAP ARGUMENT...")
	}
	at := args[2]
	named := map[string]func(string) library{"franz-go": newFranz, "sarama": newSarama, "kafka-go": newSegmentio}
	make, known := named[args[0]]
	if !known {
		return fmt.Errorf("no library %q", args[0])
	}
	client, verb, rest := make(at), args[1], append(args[3:], "", "", "")
	answer := func(value any, err error) error {
		if err == nil {
			say(value)
		}
		return err
	}
	switch verb {
	case "create":
		partitions, err := strconv.Atoi(rest[1])
		if err != nil {
			return err
		}
		return client.create(rest[0], partitions)
	case "produce":
		return client.produce(rest[0], records())
	case "ends":
		ends, err := client.ends(rest[0])
		return answer(ends, err)
	case "committed":
		committed, err := client.committed(rest[0], rest[1])
		return answer(committed, err)
	case "list":
		groups, err := client.list()
		return answer(groups, err)
	case "describe":
		described, err := client.describe(rest[0])
		return answer(described, err)
	case "reset":
		return client.reset(rest[0], rest[1])
	case "delete":
		return client.delete(rest[0])
	case "member":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		return client.member(ctx, rest[0], rest[1], rest[2])
	}
	return fmt.Errorf("no verb %q", verb)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
