package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// chunkBytes is how long the lines of a chunk are together, in bytes, where they are fewer
// than leaderboard.MaxSubmissions.
const chunkBytes = 256 << 10

// errStopping ends a stream because the server stops.
var errStopping = errors.New("the server is stopping")

// lines are the items of a request that come line by line. A goroutine reads them: what came
// while a chunk was under way is the next one, and when that is full it reads no further.
type lines struct {
	source  io.Reader
	control *http.ResponseController
	// patience is how long there may come nothing.
	patience time.Duration
	stopped  atomic.Bool
	done     chan struct{} // closed once nothing reads any more

	ready, room chan struct{} // of capacity 1: there is something to take; it was taken
	mu          sync.Mutex
	items       []item
	size        int
	end         error // io.EOF: all were read
}

// readLines begins to read. The caller stops it.
func readLines(source io.Reader, control *http.ResponseController, patience time.Duration) *lines {
	l := &lines{source: source, control: control, patience: patience, done: make(chan struct{}),
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	go l.read()
	return l
}

// take waits for items and returns those that there are; with end they are the last ones. Once
// stopping is closed nothing more is read.
func (l *lines) take(stopping <-chan struct{}) (items []item, end error) {
	select {
	case <-l.ready:
	case <-stopping:
		l.stop()
	}

	l.mu.Lock()
	items, end = l.items, l.end
	l.items, l.size = make([]item, 0, len(items)), 0 // the next chunk is about as long
	l.mu.Unlock()

	signal(l.room)
	return items, end
}

// stop has no further line read, and returns once that is so. What was read can be taken.
func (l *lines) stop() {
	select {
	case <-l.done: // the connection goes on
		return
	default:
	}

	l.stopped.Store(true)
	_ = l.control.SetReadDeadline(time.Now()) // wakes a reader that waits; Read sees the rest
	signal(l.room)
	<-l.done
}

// Read implements [io.Reader]: each time there has to come something in time.
func (l *lines) Read(p []byte) (int, error) {
	_ = l.control.SetReadDeadline(time.Now().Add(l.patience)) // without one, that of the connection holds
	if l.stopped.Load() {
		return 0, errStopping
	}
	return l.source.Read(p)
}

func (l *lines) read() {
	defer close(l.done)

	reader := bufio.NewReaderSize(l, maxBody)
	for {
		line, err := reader.ReadSlice('\n')
		if len(bytes.TrimSpace(line)) > 0 && (err == nil || errors.Is(err, io.EOF)) && !l.add(line) {
			err = errStopping
		}
		if errors.Is(err, io.EOF) {
			_ = l.control.SetReadDeadline(time.Time{}) // what comes next is another request
		}
		if err != nil {
			l.finish(l.reason(err))
			return
		}
	}
}

// reason says why no further line is read.
func (l *lines) reason(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case l.stopped.Load():
		return errStopping
	case errors.Is(err, bufio.ErrBufferFull):
		return newProblem(kindTooLarge, fmt.Sprintf("a line has more than %d bytes: each line is one score", maxBody))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{kind: kindMalformed, detail: fmt.Sprintf("nothing came for %s: send an empty line while there is no score, or end the request", l.patience), cause: err}
	}
	return &problem{kind: kindMalformed, detail: "the body ended early", cause: err}
}

// add puts an item to the others once there is room; false: the stream was stopped.
func (l *lines) add(line []byte) bool {
	it := readItem(line)
	for {
		l.mu.Lock()
		full := len(l.items) >= leaderboard.MaxSubmissions || len(l.items) > 0 && l.size+len(line) > chunkBytes
		if !full {
			l.items, l.size = append(l.items, it), l.size+len(line)
		}
		l.mu.Unlock()

		if !full {
			signal(l.ready)
			return true
		}
		<-l.room
		if l.stopped.Load() {
			return false
		}
	}
}

func (l *lines) finish(why error) {
	l.mu.Lock()
	l.end = why
	l.mu.Unlock()
	signal(l.ready)
}

// signal notes something in a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
