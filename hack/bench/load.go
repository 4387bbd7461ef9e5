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

// load is how a call is repeated: rate 0 is the closed loop, in which each of the
// connections sends its next request when it has the answer to the last one.
type load struct {
	call
	connections int
	rate        int
	duration    time.Duration
}

// run drives the program.
func (s *game) run(ctx context.Context, p *site.Program, l load) (figures, error) {
	const warm = 500 * time.Millisecond
	if _, err := s.drive(ctx, p, l, warm, nil); err != nil {
		return figures{}, err
	}
	before, err := s.times(p)
	if err != nil {
		return figures{}, err
	}
	var metrics vegeta.Metrics
	started := time.Now()
	ok, err := s.drive(ctx, p, l, l.duration, &metrics)
	if err != nil {
		return figures{}, err
	}
	elapsed := time.Since(started)
	after, err := s.times(p)
	if err != nil {
		return figures{}, err
	}
	f := figures{Requests: metrics.Requests, Rate: float64(ok) / elapsed.Seconds(), Failed: metrics.Requests - ok,
		P50: metrics.Latencies.Quantile(0.5), P99: metrics.Latencies.Quantile(0.99), P999: metrics.Latencies.Quantile(0.999)}
	for i, each := range []*time.Duration{&f.Generator, &f.Server, &f.Postgres, &f.Redis} {
		*each = (after[i] - before[i]) / time.Duration(max(1, metrics.Requests))
	}
	return f, nil
}

// drive sends requests for a time and returns how many were answered with 2xx.
func (s *game) drive(ctx context.Context, p *site.Program, l load, duration time.Duration, metrics *vegeta.Metrics) (ok uint64, err error) {
	attacker := vegeta.NewAttacker(vegeta.Workers(uint64(l.connections)), vegeta.MaxWorkers(uint64(l.connections)),
		vegeta.Connections(l.connections), vegeta.MaxConnections(l.connections), vegeta.KeepAlive(true), vegeta.HTTP2(false),
		vegeta.Timeout(patience), vegeta.MaxBody(0))
	pacer := vegeta.Rate{Freq: l.rate, Per: time.Second}
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()
	var failed string
	for result := range attacker.Attack(l.targeter(p.URL, s.Players), pacer, duration, l.name) {
		if metrics != nil {
			metrics.Add(result)
		}
		if result.Code/100 == 2 {
			ok++
		} else if failed == "" {
			failed = fmt.Sprintf("%d %s", result.Code, result.Error)
		}
	}
	if metrics != nil {
		metrics.Close()
	}
	if ok == 0 {
		return 0, fmt.Errorf("no %s was answered: %s\n%s", l.name, failed, p.Tail())
	}
	return ok, ctx.Err()
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
