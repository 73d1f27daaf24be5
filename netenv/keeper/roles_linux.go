package keeper

import "github.com/lastack/lastack/netenv/keeper/hostinit"

// init runs before any package of this module but hostinit has run a line.
func init() { hostinit.TakeOver(RoleKeeper, runKeeper) }
