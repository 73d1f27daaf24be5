package analyze

import "testing"

// What was added last with a key is found until its time comes, however many
// came since, and not once its four-tuple is in use again.
func TestGraveyard(t *testing.T) {
	const lasts = 100
	g := newGraveyard()
	added := map[uint64]int64{} // the key's latest, by when it goes
	for now := range int64(5000) {
		g.expire(now)
		key := uint64(now*now) % 257 << 4 // many in one chain, and many come again
		g.add(tombstone{key: key, until: now + lasts})
		added[key] = now + lasts
		if now%7 == 0 {
			g.find(key).taken = true
			added[key] = 0
		}
		for key, until := range added {
			switch found := g.find(key); {
			case until <= now && found != nil:
				t.Fatalf("at %d what went at %d is found, or what was taken: %+v", now, until, *found)
			case until > now && (found == nil || found.until != until):
				t.Fatalf("at %d what goes at %d is not found, but %+v", now, until, found)
			}
		}
	}
	if n := len(g.ring); n > 2*lasts {
		t.Errorf("the ring has room for %d, and never more than %d stood in it", n, lasts)
	}
}
