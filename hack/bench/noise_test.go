package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// At every hour there is a time zone in which a day begins then.
func TestDayFrom(t *testing.T) {
	for hour := range 24 {
		midnight := time.Date(2026, 2, 28, hour, 0, 0, 0, time.UTC)
		day, zone := dayFrom(midnight)
		location, err := time.LoadLocation(zone)
		require.NoError(t, err)
		start, err := time.ParseInLocation(time.DateOnly, day, location)
		require.NoError(t, err)
		require.True(t, start.Equal(midnight), "%s in %s begins at %s, not at %s", day, zone, start.UTC(), midnight)
	}
}
