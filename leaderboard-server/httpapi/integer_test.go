package httpapi

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestIntegersHoweverTheyAreWritten(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "-0.0": 0, "0e99999999999999999999": 0, "0.000e-5": 0,
		"100": 100, "100.0": 100, "1e2": 100, "1E+2": 100, "1.0e2": 100, "1.25e2": 125, "12500e-2": 125, "-7.000": -7, "0.5e1": 5,
		"9007199254740991": leaderboard.MaxScore, "-9007199254740991.0": -leaderboard.MaxScore, "9.007199254740991e15": leaderboard.MaxScore,
		"1000000000000000000000e-10": 100000000000,
	} {
		got, err := parseInteger(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}

	for text, want := range map[string]error{
		"100.5": errFraction, "1e-1": errFraction, "1e-99999999999999999999": errFraction, "9007199254740990.9": errFraction,
		"9007199254740992": errTooLarge, "-9007199254740992.0": errTooLarge, "1e16": errTooLarge, "1e99999999999999999999": errTooLarge,
		"12345678901234567890": errTooLarge,
	} {
		_, err := parseInteger(text)
		require.ErrorIs(t, err, want, text)
	}
}

// Against exact arithmetic, for all that JSON calls a number.
func TestIntegersAreExact(t *testing.T) {
	digits := rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), 1, 20, -1)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + trimZeros(digits.Draw(t, "whole"))
		if rapid.Bool().Draw(t, "fraction?") {
			text += "." + digits.Draw(t, "fraction")
		}
		if rapid.Bool().Draw(t, "exponent?") {
			text += rapid.SampledFrom([]string{"e", "E", "e+", "E-"}).Draw(t, "e") + strconv.Itoa(rapid.IntRange(0, 40).Draw(t, "exponent"))
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is no JSON", text)
		}

		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		most := big.NewRat(leaderboard.MaxScore, 1)
		got, err := parseInteger(text)
		switch {
		case !exact.IsInt():
			require.Error(t, err, text)
		case new(big.Rat).Abs(exact).Cmp(most) > 0:
			require.ErrorIs(t, err, errTooLarge, text)
		default:
			require.NoError(t, err, text)
			require.Equal(t, exact.Num().Int64(), got, text)
		}
	})
}

func trimZeros(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}
