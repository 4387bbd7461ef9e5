-- admits: 6
-- What players log in with beside a password: a device's secret, or an account elsewhere.
-- Servers of the version before know such players by name, and let none of them in who has no
-- password: their hash is empty, which is that of no password.
CREATE TABLE player_identities (
    -- Empty: a device.
    issuer     text COLLATE "C" NOT NULL,
    -- SHA-256 of the device's secret, or of what the issuer calls the player.
    subject    bytea NOT NULL,
    player     bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_of_players ON player_identities (player);
