package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sync/errgroup"

	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// call is one kind of request.
type call struct {
	name   string
	method string
	path   string
	// token says that a player who is online asks.
	token bool
	// body makes the body; nil: none.
	body func() []byte
}

// rising numbers the submissions: see submission.
var rising atomic.Int64

// submission makes the body of a submission to a board (empty: global). Half of
// them beat every score there is, so they change the ledger's standing and the
// ranking; the others are below every standing and only add an event.
func submission(board string) func() []byte {
	return func() []byte {
		score := rand.Int64N(1_000_000) - 1_000_000
		if rand.IntN(2) == 0 {
			score = 1_000_000_000 + rising.Add(1)
		}

		body := append([]byte(`{"score":`), strconv.FormatInt(score, 10)...)
		if board != "" {
			body = append(append(append(body, `,"game_id":"`...), board...), '"')
		}

		return append(body, '}')
	}
}

var (
	submitCall     = call{name: "durable submit", method: http.MethodPost, path: "/v1/scores/submit", token: true, body: submission("")}
	submitRaceCall = call{name: "durable submit, two standings", method: http.MethodPost, path: "/v1/scores/submit", token: true, body: submission("race")}
	firstPageCall  = call{name: "first page", method: http.MethodGet, path: "/v1/leaderboard/global?page_size=10"}
	deepPageCall   = call{name: "deep page", method: http.MethodGet, path: "/v1/leaderboard/global?page_size=10&page=%d"}
	ownRankCall    = call{name: "own rank", method: http.MethodGet, path: "/v1/leaderboard/my_rank", token: true}
	loginCall      = call{name: "login", method: http.MethodPost, path: "/v1/auth/token", body: func() []byte {
		return fmt.Appendf(nil, `{"username":"player-%d","password":%q}`, 1+rand.IntN(online), site.Password)
	}}
)

// targeter makes the call's requests to a program.
func (c call) targeter(base string, players []site.Player) vegeta.Targeter {
	headers := make([]http.Header, 1, len(players)+1)
	headers[0] = http.Header{"Content-Type": {"application/json"}}
	if c.token {
		headers = headers[:0]
		for _, player := range players {
			headers = append(headers, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + player.Token}})
		}
	}

	deep := bytes.Contains([]byte(c.path), []byte("%d"))
	return func(t *vegeta.Target) error {
		t.Method, t.URL = c.method, base+c.path
		if deep {
			t.URL = base + fmt.Sprintf(c.path, 100+rand.IntN(900))
		}

		t.Header = headers[rand.IntN(len(headers))]
		if c.body != nil {
			t.Body = c.body()
		}

		return nil
	}
}

// figures are what one load showed.
type figures struct {
	Requests uint64        `json:"requests"`
	Rate     float64       `json:"rate"` // answers with 2xx a second
	P50      time.Duration `json:"p50"`
	P99      time.Duration `json:"p99"`
	P999     time.Duration `json:"p999"`
	Failed   uint64        `json:"failed"`
	// CPU time of one request in each process.
	Generator time.Duration `json:"cpuGenerator"`
	Server    time.Duration `json:"cpuServer"`
	Postgres  time.Duration `json:"cpuPostgres"`
	Redis     time.Duration `json:"cpuRedis"`
}

const (
	// warmUp is how long a load runs before it counts.
	warmUp = 500 * time.Millisecond
	// rounds is into how many parts a load is cut, so that what is compared takes
	// turns: a machine that slows down for a while then meets all of it.
	rounds = 8
)

// load is how a call is repeated: rate 0 is the closed loop, in which each of the
// connections sends its next request when it has the answer to the last one.
type load struct {
	call
	connections int
	rate        int
	duration    time.Duration // of all rounds together
}

// tally is a load on one program: it keeps its connections and adds up what all
// rounds showed.
type tally struct {
	program *site.Program
	client  *http.Client
	metrics vegeta.Metrics
	ok      uint64
	elapsed time.Duration
	cpu     [4]time.Duration
}

// round drives the program for a time and adds to the tally.
func (s *game) round(ctx context.Context, sum *tally, l load, duration time.Duration) error {
	before, err := s.times(sum.program)
	if err != nil {
		return err
	}

	started := time.Now()
	if err := s.drive(ctx, sum, l, duration); err != nil {
		return err
	}

	sum.elapsed += time.Since(started)
	after, err := s.times(sum.program)
	if err != nil {
		return err
	}

	for i := range sum.cpu {
		sum.cpu[i] += after[i] - before[i]
	}

	return nil
}

func (sum *tally) figures() figures {
	sum.metrics.Close()
	f := figures{Requests: sum.metrics.Requests, Rate: float64(sum.ok) / sum.elapsed.Seconds(), Failed: sum.metrics.Requests - sum.ok,
		P50: sum.metrics.Latencies.Quantile(0.5), P99: sum.metrics.Latencies.Quantile(0.99), P999: sum.metrics.Latencies.Quantile(0.999)}
	for i, each := range []*time.Duration{&f.Generator, &f.Server, &f.Postgres, &f.Redis} {
		*each = sum.cpu[i] / time.Duration(max(1, f.Requests))
	}
	return f
}

// compare runs a load on the programs in turn.
func (s *game) compare(ctx context.Context, l load, programs ...*site.Program) ([]figures, error) {
	return s.compareWith(ctx, l, func(time.Duration) error { return nil }, programs...)
}

// compareWith is compare with something else that takes its turn in every round.
func (s *game) compareWith(ctx context.Context, l load, other func(time.Duration) error, programs ...*site.Program) ([]figures, error) {
	sums := make([]*tally, len(programs))
	for i, p := range programs {
		client := newClient(l.connections)
		defer client.CloseIdleConnections()
		if err := s.round(ctx, &tally{program: p, client: client}, l, warmUp); err != nil {
			return nil, err
		}
		sums[i] = &tally{program: p, client: client}
	}

	for range rounds {
		for _, sum := range sums {
			if err := s.round(ctx, sum, l, l.duration/rounds); err != nil {
				return nil, err
			}
		}
		if err := other(l.duration / rounds); err != nil {
			return nil, err
		}
	}

	results := make([]figures, len(programs))
	for i, sum := range sums {
		results[i] = sum.figures()
	}

	return results, nil
}

// takeTurns runs loads on the server in turn: each goes first as often as the others.
func (s *game) takeTurns(ctx context.Context, warmUp time.Duration, loads ...load) ([]figures, error) {
	sums := make([]*tally, len(loads))
	for i, l := range loads {
		client := newClient(l.connections)
		defer client.CloseIdleConnections()
		sums[i] = &tally{program: s.server, client: client}
		if err := s.round(ctx, &tally{program: s.server, client: client}, l, warmUp); err != nil {
			return nil, err
		}
	}

	for i := range rounds {
		for j := range loads {
			turn := (i + j) % len(loads)
			if err := s.round(ctx, sums[turn], loads[turn], loads[turn].duration/rounds); err != nil {
				return nil, err
			}
		}
	}

	results := make([]figures, len(loads))
	for i, sum := range sums {
		results[i] = sum.figures()
	}
	return results, nil
}

// meet lets every player who is online ask for its rank once, so that the program
// knows their tokens and names, as one that has run for a while does.
func (s *game) meet(ctx context.Context, p *site.Program) error {
	const callers = 16
	group, ctx := errgroup.WithContext(ctx)
	for first := range callers {
		group.Go(func() error {
			for i := first; i < len(s.Players); i += callers {
				status, body, err := get(ctx, p.URL+ownRankCall.path, s.Players[i].Token)
				if err != nil {
					return err
				}
				if status != http.StatusOK {
					return fmt.Errorf("a rank was answered with %d %s", status, body)
				}
			}
			return nil
		})
	}

	return group.Wait()
}

// drive sends requests for a time.
func (s *game) drive(ctx context.Context, sum *tally, l load, duration time.Duration) error {
	attacker := vegeta.NewAttacker(vegeta.Client(sum.client), vegeta.Workers(uint64(l.connections)), vegeta.MaxWorkers(uint64(l.connections)), vegeta.MaxBody(0))
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()

	var failed string
	before := sum.ok
	for result := range attacker.Attack(l.targeter(sum.program.URL, s.Players), vegeta.Rate{Freq: l.rate, Per: time.Second}, duration, l.name) {
		sum.metrics.Add(result)
		if result.Code/100 == 2 {
			sum.ok++
		} else if failed == "" {
			failed = fmt.Sprintf("%d %s", result.Code, result.Error)
		}
	}

	if sum.ok == before && ctx.Err() == nil {
		return fmt.Errorf("no %s was answered: %s\n%s", l.name, failed, sum.program.Tail())
	}

	return ctx.Err()
}

// times are the CPU times so far of the generator, the program, PostgreSQL and Redis.
func (s *game) times(p *site.Program) (times [4]time.Duration, err error) {
	if times[0], err = ownTime(); err != nil {
		return times, err
	}

	for i, pid := range []int{p.PID(), s.Postgres.PID(), s.Redis.PID()} {
		if times[1+i], err = processTime(pid); err != nil {
			return times, err
		}
	}

	return times, nil
}
