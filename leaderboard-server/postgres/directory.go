package postgres

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// directoryPause is for how long no names are looked up after a failure: without
// it every page with an unknown name would wait for a database that is away.
const directoryPause = time.Second

// Directory keeps the names of players that were asked for lately in memory. A
// player's number and id never change within one history of the ledger; of a new name
// [Directory.Apply] is told, and [Ledger.LoadCatalog] forgets who was erased. After a failover
// that lost transactions, or a restore, numbers are given out a
// second time, so the names end with the ledger's identity.
type Directory struct {
	ledger      *Ledger
	pausedUntil atomic.Int64 // Unix nanoseconds

	mu sync.RWMutex
	// identity is that of the ledger which the names are from; empty: not known yet.
	identity string
	// epoch rises whenever the names are dropped, or one of them becomes another.
	epoch    uint64
	byNumber *lru.Cache[int64, leaderboard.PlayerName]
	byID     *lru.Cache[leaderboard.PlayerID, leaderboard.PlayerName]
	// byExternal and byOwner have whose external ids and owner ids these are.
	byExternal, byOwner *aliases
}

// NewDirectory makes a directory that remembers up to size players (about 300
// bytes each).
func NewDirectory(ledger *Ledger, size int) (*Directory, error) {
	d := &Directory{ledger: ledger}
	var err error
	// A name is in both or in neither, so that it is found by its number when it has to go.
	d.byNumber, err = lru.NewWithEvict(size, func(_ int64, name leaderboard.PlayerName) { d.byID.Remove(name.ID) })
	if err != nil {
		return nil, fmt.Errorf("make the cache of players: %w", err)
	}
	d.byID, err = lru.NewWithEvict(size, func(_ leaderboard.PlayerID, name leaderboard.PlayerName) { d.byNumber.Remove(name.Number) })
	if err != nil {
		return nil, fmt.Errorf("make the cache of players: %w", err)
	}

	if d.byExternal, err = lru.New[string, leaderboard.PlayerID](size); err != nil {
		return nil, fmt.Errorf("make the cache of external ids: %w", err)
	}
	if d.byOwner, err = lru.New[string, leaderboard.PlayerID](size); err != nil {
		return nil, fmt.Errorf("make the cache of owners: %w", err)
	}

	ledger.directory.Store(d)
	return d, nil
}

// ObserveIdentity drops all names if the ledger's identity is another than that of
// the ledger which they were read from. It is cheap where it is not.
func (d *Directory) ObserveIdentity(identity string) {
	d.mu.RLock()
	same := d.identity == identity
	d.mu.RUnlock()

	if !same {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.adopt(identity)
	}
}

// adopt drops all names unless they are of this identity. The caller holds the lock.
func (d *Directory) adopt(identity string) {
	if d.identity == identity {
		return
	}

	d.identity = identity
	d.epoch++
	d.byNumber.Purge()
	d.byID.Purge()
	d.byExternal.Purge()
	d.byOwner.Purge()
}

// forget drops the names of players who were erased, and of those that are being looked up:
// they may be theirs.
func (d *Directory) forget(numbers []int64) {
	if len(numbers) == 0 {
		return
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	for _, number := range numbers {
		d.byNumber.Remove(number)
	}
	// Whose they were is not known any more: erasures are rare, and all are found again.
	d.byExternal.Purge()
	d.byOwner.Purge()
}

// remember adds names that were looked up when the directory had this epoch. If the
// names were dropped since, these might be of the ledger of before, or from before a
// player took another one.
func (d *Directory) remember(epoch uint64, names []identifiedName) {
	if len(names) == 0 {
		return
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch != epoch {
		return
	}

	// One statement read them all.
	d.adopt(names[0].Identity)
	for _, n := range names {
		d.byNumber.Add(n.Number, n.PlayerName)
		d.byID.Add(n.ID, n.PlayerName)
	}
}

// Apply gives players the names that they have taken, and owners those that they were given. What is being looked up meanwhile may
// be of before and is not kept.
func (d *Directory) Apply(changes ...leaderboard.AccountChange) {
	d.mu.Lock()
	defer d.mu.Unlock()

	for _, c := range changes {
		if c.Username == "" && c.OwnerName == "" {
			continue
		}
		d.epoch++
		name, ok := d.byID.Peek(c.Player)
		if was := name; ok {
			name.Username, name.OwnerName = cmp.Or(c.Username, name.Username), cmp.Or(c.OwnerName, name.OwnerName)
			if name != was {
				d.byID.Add(name.ID, name)
				d.byNumber.Add(name.Number, name)
			}
		}
	}
}

// Name implements [leaderboard.Directory].
func (d *Directory) Name(ctx context.Context, id leaderboard.PlayerID) (leaderboard.PlayerName, error) {
	d.mu.RLock()
	name, ok := d.byID.Get(id)
	epoch := d.epoch
	d.mu.RUnlock()

	if ok {
		return name, nil
	}

	looked, err := d.ledger.nameByID(ctx, id)
	if err != nil {
		return leaderboard.PlayerName{}, err
	}

	d.remember(epoch, []identifiedName{looked})
	return looked.PlayerName, nil
}

// Find implements [leaderboard.Directory], with at most one query.
func (d *Directory) Find(ctx context.Context, ids []leaderboard.PlayerID) (map[leaderboard.PlayerID]leaderboard.PlayerName, error) {
	found := make(map[leaderboard.PlayerID]leaderboard.PlayerName, len(ids))
	var missing []leaderboard.PlayerID
	d.mu.RLock()
	for _, id := range ids {
		if name, ok := d.byID.Get(id); ok {
			found[id] = name
		} else {
			missing = append(missing, id)
		}
	}
	epoch := d.epoch
	d.mu.RUnlock()

	if len(missing) == 0 {
		return found, nil
	}
	names, err := d.ledger.namesByID(ctx, missing)
	if err != nil {
		return nil, err
	}

	d.remember(epoch, names)
	for _, n := range names {
		found[n.ID] = n.PlayerName
	}
	return found, nil
}

// Names implements [leaderboard.Directory], with at most one query.
func (d *Directory) Names(ctx context.Context, numbers []int64) (map[int64]leaderboard.PlayerName, error) {
	found, missing, epoch := d.known(numbers)
	if len(missing) == 0 {
		return found, nil
	}
	if time.Now().UnixNano() < d.pausedUntil.Load() {
		return found, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the players' names cannot be read now, try again").After(directoryPause)
	}

	names, err := d.ledger.namesByNumber(ctx, missing)
	if err != nil {
		if leaderboard.CodeOf(err) == leaderboard.CodeUnavailable && ctx.Err() == nil {
			d.pausedUntil.Store(time.Now().Add(directoryPause).UnixNano())
		}
		return found, err
	}

	d.remember(epoch, names)
	for _, n := range names {
		found[n.Number] = n.PlayerName
	}

	return found, nil
}

// known divides numbers into those whose names are in memory and those that are to
// be looked up, and says of which epoch that is.
func (d *Directory) known(numbers []int64) (found map[int64]leaderboard.PlayerName, missing []int64, epoch uint64) {
	found = make(map[int64]leaderboard.PlayerName, len(numbers))
	d.mu.RLock()
	defer d.mu.RUnlock()

	for _, number := range numbers {
		if name, ok := d.byNumber.Get(number); ok {
			found[number] = name
		} else {
			missing = append(missing, number)
		}
	}

	return found, missing, d.epoch
}
