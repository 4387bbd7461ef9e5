package leaderboard

import "context"

// Erase is what the audit has of a player who was erased. It cannot be taken back.
const Erase AuditAction = "erase"

// ByPlayer is the actor of what a player did, in the audit.
const ByPlayer = "player"

// Eraser erases players.
type Eraser interface {
	// Erase deletes all that says who a player is, and leaves the player out of all rankings for
	// good, in one transaction with its record; what takes longer is done soon after. Who was
	// erased before stays so: the record is that of then. own is whose token it is, where the
	// player asks: one that is withdrawn, or of a player who is not active, is refused.
	// CodeNoPlayer: there never was such a player.
	Erase(ctx context.Context, erasure Moderation, own *Caller) (AuditRecord, error)
}

// ErasePlayer erases a player for an admin.
func (s *Service) ErasePlayer(ctx context.Context, erasure Moderation) (AuditRecord, error) {
	if err := s.checkModeration(erasure); err != nil {
		return AuditRecord{}, err
	}
	return s.Eraser.Erase(ctx, erasure, nil)
}

// EraseOwn erases the caller's player, who has to know the password, if there is one.
func (s *Service) EraseOwn(ctx context.Context, caller Caller, player Player, password string) (AuditRecord, error) {
	if player.PasswordHash != "" {
		if err := s.requirePassword(ctx, player, "password", password); err != nil {
			return AuditRecord{}, err
		}
	}
	return s.Eraser.Erase(ctx, Moderation{Action: Erase, Actor: ByPlayer, Player: caller.Player, Reason: "asked for by the player"}, &caller)
}
