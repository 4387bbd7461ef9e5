package controllers

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

func TestDatabaseURL(t *testing.T) {
	spec := v1alpha1.PostgresSpec{Host: "db.example.com", Port: 5433, Database: "games"}
	tests := map[string]struct {
		mode         v1alpha1.SSLMode
		ownAuthority bool
		want         string
	}{
		"plain":                    {v1alpha1.SSLModeDisable, false, "sslmode=disable"},
		"encrypted only":           {v1alpha1.SSLModeRequire, true, "sslmode=require"},
		"verified by an authority": {v1alpha1.SSLModeVerifyFull, true, "sslmode=verify-full&sslrootcert=%2Fetc%2Fleaderboard%2Fauthorities%2Fpostgres-ca.crt"},
		"verified by the system's": {v1alpha1.SSLModeVerifyFull, false, "sslmode=verify-full"},
	}

	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spec.SSLMode = tt.mode
			got := databaseURL(spec, "login", "p@ss/word", tt.ownAuthority)
			require.Equal(t, "postgres://login:p%40ss%2Fword@db.example.com:5433/games?"+tt.want, got)

			if !tt.ownAuthority { // pgx reads the authority's file at once
				config, err := pgx.ParseConfig(got)
				require.NoError(t, err)
				require.Equal(t, "p@ss/word", config.Password)
				require.Equal(t, tt.mode != v1alpha1.SSLModeDisable, config.TLSConfig != nil)
			}
		})
	}
}
