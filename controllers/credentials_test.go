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
			got := databaseURL(spec, "login", "p@ss/word", tt.ownAuthority).String()
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

// Through a pooler the login is the same, without any parameter that PgBouncer
// refuses at the start of a connection, and without named prepared statements.
func TestPooledURL(t *testing.T) {
	spec := v1alpha1.PostgresSpec{Host: "db.example.com", Port: 5433, Database: "games", SSLMode: v1alpha1.SSLModeRequire, PoolerHost: "pool.example.com"}
	direct := databaseURL(spec, "login", "p@ss/word", false)
	before := direct.String()

	for port, want := range map[int32]uint16{0: 6432, 6000: 6000} {
		spec.PoolerPort = port
		config, err := pgx.ParseConfig(pooledURL(spec, direct).String())
		require.NoError(t, err)
		require.Equal(t, "pool.example.com", config.Host)
		require.Equal(t, want, config.Port)
		require.Equal(t, "login", config.User)
		require.Equal(t, "p@ss/word", config.Password)
		require.Equal(t, "games", config.Database)
		require.NotNil(t, config.TLSConfig)
		require.Equal(t, pgx.QueryExecModeCacheDescribe, config.DefaultQueryExecMode)
		require.Empty(t, config.RuntimeParams)
	}

	require.Equal(t, before, direct.String())
}
