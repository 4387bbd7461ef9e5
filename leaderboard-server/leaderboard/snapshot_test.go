package leaderboard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSnapshotsAreSharedForATime(t *testing.T) {
	var reads atomic.Int64
	entered, open := make(chan struct{}, 1000), make(chan struct{})
	read := func() (Page, error) { //nolint:unparam // as get wants it
		n := reads.Add(1)
		entered <- struct{}{}
		<-open
		return Page{TotalEntries: n}, nil
	}
	s := snapshots{age: time.Hour}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			page, err := s.get(t.Context(), snapshotKey{board: "a"}, read)
			if err != nil || page.TotalEntries != 1 {
				t.Error(page, err)
			}
		})
	}
	<-entered
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.get(left, snapshotKey{board: "a"}, read)
	require.ErrorIs(t, err, context.Canceled)
	close(open)
	group.Wait()
	page, err := s.get(t.Context(), snapshotKey{board: "b"}, read)
	require.NoError(t, err)
	require.Equal(t, int64(2), page.TotalEntries, "another board")
	s.pages[snapshotKey{board: "a"}].taken = time.Now().Add(-time.Hour)
	page, err = s.get(t.Context(), snapshotKey{board: "a"}, read)
	require.NoError(t, err)
	require.Equal(t, int64(3), page.TotalEntries, "too old")
	for i := range 2 * maxSnapshots {
		_, err = s.get(t.Context(), snapshotKey{pageSize: int64(i)}, read)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(s.pages), maxSnapshots)
}

func TestSnapshotsKeepNoErrorsAndNothingWhenOff(t *testing.T) {
	reads := 0
	failing := func() (Page, error) { reads++; return Page{}, errors.New("away") }
	s := snapshots{age: time.Hour}
	for range 2 {
		_, err := s.get(t.Context(), snapshotKey{}, failing)
		require.Error(t, err)
	}
	require.Equal(t, 2, reads)
	off := snapshots{}
	for range 2 {
		_, err := off.get(t.Context(), snapshotKey{}, func() (Page, error) { reads++; return Page{}, nil })
		require.NoError(t, err)
	}
	require.Equal(t, 4, reads)
}
